//! Who may come in: what stands between a request and a connection. No socket, no clock, no thread, no file: values in, decisions
//! out.
//!
//! Each piece stands for itself and fits any server: headers are pairs of a name and bytes, as
//! [`Request::headers`](wirefan_protocol::handshake::Request::headers) gives them; time is an argument, [`Millis`] since any fixed
//! moment where something is counted, and seconds since the Unix epoch where something expires.
//!
//! | question | piece |
//! |---|---|
//! | Who is at the other end, behind a TCP proxy? | [`proxy_protocol`] |
//! | And behind an HTTP proxy? | [`TrustedProxies`], with [`Networks`] |
//! | Has this address too much already? | [`PerAddress`] |
//! | Whose page is it? | [`OriginPolicy`] |
//! | Where is the token? | [`TokenSources`], which gives a [`Secret`] |
//! | What is it worth? | [`TokenFile`], [`TicketKeys`], `JwtVerifier` (feature `jwt`): all give a [`Grant`] |
//! | May it be that room? | [`Grant::may_read`], [`Grant::may_write`] |
//! | Is it too much, once inside? | [`Traffic`] |
//!
//! # All together
//!
//! In the order of what they cost, in the `request` of a handler of `wirefan-eventloop`. Every refusal has one line for the
//! client that repeats nothing of what it sent, and says nothing that would help to guess.
//!
//! ```ignore
//! fn request(&mut self, request: &Request<'_>, caller: Caller, _: &mut Ctx<'_, Peer>) -> Decision<Peer> {
//!     let (now, unix) = (self.clock.millis(), self.clock.unix_seconds());
//!     // Who: the peer of the socket, or whom the proxies name.
//!     let client = self.proxies.client(caller.addr.ip(), request.headers());
//!     // How often: 429 with Retry-After. The permit lives as long as the connection.
//!     let permit = match self.addresses.admit(client.address, now) {
//!         Ok(permit) => permit,
//!         Err(refused) => return too_many(refused.reason(), refused.retry_after_secs()),
//!     };
//!     // From which page: 403.
//!     if let Err(refused) = self.origins.check(request.origin(), request.host(), client.scheme) {
//!         return text(403, refused.reason());
//!     }
//!     // With which token: 400 if there is no telling, 401 if there is none or it is worth nothing.
//!     let presented = match self.sources.find(request.headers(), request.query()) {
//!         Ok(Some(presented)) => presented,
//!         Ok(None) => return unauthorized("a token is needed here"),
//!         Err(why) => return text(400, &why.to_string()),
//!     };
//!     let Some(grant) = self.grant_of(&presented.token, unix) else {
//!         return unauthorized("the token is not good here");
//!     };
//!     // Where to: 403. What may be sent is asked again with each message, and `grant.expires` becomes a timer.
//!     let room = room_of(request.path());
//!     if !grant.may_read(&room) {
//!         return text(403, "this room is not for you");
//!     }
//!     // The answer names a real subprotocol, never the token.
//!     let offered = self.sources.protocols(request.protocols());
//!     let protocol = offered.into_iter().find(|offer| self.known.contains(offer)).map(str::to_owned);
//!     let traffic = Traffic::new(&self.limits, now);
//!     Decision::Accept(Acceptance { protocol, ..Acceptance::new(Peer { grant, permit, traffic }) })
//! }
//!
//! fn grant_of(&self, token: &Secret, unix: u64) -> Option<Grant> {
//!     let file = self.tokens.grant(token, unix).cloned();
//!     file.or_else(|| Some(self.tickets.verify(token, unix).ok()?.grant))
//!         .or_else(|| self.jwt.verify(token, unix).ok())
//! }
//!
//! fn message(&mut self, conn: &mut Conn<'_, Peer>, message: Message<'_>) {
//!     // Too much: read no more for a while, or close with 1008.
//!     let (now, len) = (self.clock.millis(), u64::try_from(len_of(&message)).unwrap_or(u64::MAX));
//!     if let Some(until) = conn.peer().traffic.message(len, &self.limits, now) {
//!         conn.pause_reading();
//!         conn.set_timer(Duration::from_millis(until.0 - now.0)); // `timer` calls `resume_reading`
//!     }
//!     // ...
//! }
//! ```
//!
//! # What an attacker can make it hold
//!
//! | piece | at most |
//! |---|---|
//! | [`proxy_protocol::ProxyReader`] | 107 bytes, or 16 and its limit |
//! | [`PerAddress`] | 80 bytes for each address remembered, 120 for each with connections |
//! | [`Traffic`], [`Bucket`] | 32 and 16 bytes |
//! | a token | [`MAX_TOKEN`] bytes, while it is looked at |
//!
//! [`Millis`]: wirefan_protocol::Millis
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::unwrap_used)]

mod buckets;
mod credentials;
mod forwarded;
mod grant;
#[cfg(feature = "jwt")]
mod jwt;
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
#[cfg(feature = "jwt")]
pub use jwt::{
    JwtAlgorithm, JwtError, JwtKeys, JwtKeysError, JwtPolicy, JwtVerifier, MAX_JWT_KEYS,
    MIN_HS256_KEY, UnknownJwtAlgorithm,
};
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
