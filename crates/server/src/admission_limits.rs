//! How many may come in and how fast, and how much each may send; and whether a proxy tells of them with the PROXY protocol.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::{Args, ValueEnum};
use wirefan_eventloop::admission::{AddressLimits, Networks, Rate};
use wirefan_eventloop::{Limits, OverRate};

use crate::quantity::{self, QuantityError};

/// The options about clients that want too much.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits for each client")]
pub(crate) struct AdmissionLimits {
    /// Most connections of one address at a time [default: any number]
    ///
    /// More are answered with 429. IPv6 is counted by /64. There is none by default because a proxy, an office or a
    /// mobile network is one address: behind a proxy that is named with --trusted-proxy it is its clients that count.
    #[arg(long, value_name = "N")]
    max_connections_per_ip: Option<NonZeroU32>,

    /// Most handshakes of one address in a second, and ten times as many at once [default: any number]
    ///
    /// More are answered with 429 and the time to wait. The ten times are for pages that open several, and for all of
    /// an office that come back after a deploy.
    #[arg(long, value_name = "N")]
    max_handshakes_per_ip: Option<NonZeroU32>,

    /// Most connections at a time that are not open yet
    ///
    /// More are answered with 503. Each of them can make the server hold 16 KiB of a request: the default bounds that to
    /// 256 MiB. Raise it where tens of thousands come back at once.
    #[arg(long, value_name = "N", default_value = "16384")]
    max_pending: NonZeroUsize,

    /// Most messages that a client may send in a second, and as many at once [default: any number]
    ///
    /// A client that sends no more than others can read is kept in check by the limits for slow readers; this one is for
    /// rooms where one must not drown the others.
    #[arg(long, value_name = "N")]
    max_messages_per_second: Option<NonZeroU32>,

    /// Most bytes of messages that a client may send in a second, and as many at once [default: any number]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_bytes_per_second: Option<NonZeroU32>,

    /// What happens to a client that sends more than that
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    over_rate: Over,

    /// Every connection begins with a header of the PROXY protocol, version 1 or 2, from a trusted proxy
    ///
    /// It holds on all addresses that are listened on, in front of TLS. Connections without one, and from elsewhere than
    /// --trusted-proxy says, are closed. On a Unix socket the permissions of its file say who is trusted.
    #[arg(long, help_heading = "Behind a proxy")]
    pub(crate) proxy_protocol: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Over {
    /// Read from it later: nothing is lost
    #[default]
    Delay,
    /// Drop the messages that are too many
    Drop,
    /// Close it with 1008
    Close,
}

/// Bytes that a rate can count.
fn bytes(text: &str) -> Result<NonZeroU32, QuantityError> {
    let bytes = u32::try_from(quantity::some_size(text)?).ok();
    bytes
        .and_then(NonZeroU32::new)
        .ok_or(QuantityError::TooLarge)
}

impl AdmissionLimits {
    /// What each client address may do.
    pub(crate) fn per_address(&self) -> AddressLimits {
        let mut limits = AddressLimits::default();
        limits.connections = self.max_connections_per_ip.map(NonZeroU32::get);
        limits.handshakes = self.max_handshakes_per_ip.map(|per_second| {
            let ten = const { NonZeroU32::new(10).unwrap() };
            Rate::new(per_second, per_second.saturating_mul(ten))
        });
        limits
    }

    /// What the loop is told. Trusted proxies are no clients: their addresses are not counted.
    pub(crate) fn limits(&self, proxies: Networks) -> Limits {
        let mut limits = Limits::default();
        limits.per_address = self.per_address();
        limits.proxies = proxies;
        limits.pending = self.max_pending.get();
        limits.traffic.messages = self.max_messages_per_second.map(Rate::per_second);
        limits.traffic.bytes = self.max_bytes_per_second.map(Rate::per_second);
        limits.over_rate = match self.over_rate {
            Over::Delay => OverRate::Delay,
            Over::Drop => OverRate::Drop,
            Over::Close => OverRate::Close,
        };
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        limits: AdmissionLimits,
    }

    fn limits(args: &str) -> Limits {
        let args = ["test"].into_iter().chain(args.split_whitespace());
        Options::parse_from(args).limits.limits(Networks::default())
    }

    #[test]
    fn by_default_only_what_is_not_open_has_a_limit() {
        assert_eq!(limits(""), Limits::default());
    }

    #[test]
    fn every_option_arrives() {
        let limits = limits(
            "--max-connections-per-ip 7 --max-handshakes-per-ip 3 --max-pending 9 \
             --max-messages-per-second 50 --max-bytes-per-second 64k --over-rate close",
        );
        assert_eq!(limits.per_address.connections, Some(7));
        let handshakes = limits.per_address.handshakes.unwrap();
        assert_eq!(
            (handshakes.tokens_per_second(), handshakes.burst()),
            (3, 30)
        );
        assert_eq!(limits.pending, 9);
        assert_eq!(limits.traffic.messages.unwrap().tokens_per_second(), 50);
        assert_eq!(limits.traffic.bytes.unwrap().burst(), 64 * 1024);
        assert_eq!(limits.over_rate, OverRate::Close);
        assert_eq!(bytes("4g"), Err(QuantityError::TooLarge));
    }
}
