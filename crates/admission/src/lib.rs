//! x
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::unwrap_used)]

mod buckets;
mod credentials;
mod forwarded;
mod grant;
mod networks;
mod origin;
mod per_address;
pub mod proxy_protocol;
mod scheme;
mod secret;
mod ticket;
mod token_file;

pub use buckets::{Bucket, Rate, Traffic, TrafficLimits};
pub use credentials::{
    CredentialError, MAX_TOKEN, Presented, TokenPlace, TokenSource, TokenSourceError, TokenSources,
};
pub use forwarded::{Client, ForwardedHeader, MAX_HOPS, TrustedProxies};
pub use grant::{Grant, MAX_PATTERN, MAX_PATTERNS, MAX_SUBJECT, Rooms, RoomsError};
pub use networks::{Network, NetworkError, Networks, NetworksError};
pub use origin::{
    MissingOrigin, OriginPatternError, OriginPolicy, OriginPolicyError, OriginRefused,
};
pub use per_address::{AddressLimits, AddressRefused, PerAddress, Permit};
pub use scheme::Scheme;
pub use secret::Secret;
pub use ticket::{
    MAX_KEYS, MAX_NONCE, MAX_TICKET, MIN_KEY, Ticket, TicketError, TicketIssueError, TicketKeys,
    TicketKeysError,
};
pub use token_file::{MAX_TOKENS, MIN_TOKEN, TokenFile, TokenFileError, TokenMistake};
