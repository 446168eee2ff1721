//! The command line of `wirefan bench`: what is sent, how fast, for how long, and how it is told.

use core::fmt;
use core::time::Duration;
use std::ffi::OsString;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use wirefan_protocol::handshake::InvalidRequest;

use super::asked::Asked;
use super::target::Target;
use super::trust::Trust;
use crate::quantity;

pub(crate) const EXAMPLES: &str = "\
Examples:
  wirefan bench ws://127.0.0.1:9001/
      Echo: 16 connections, one message of 16 bytes in flight on each, for 3 seconds.
  wirefan bench echo ws://127.0.0.1:9001/ --connections 64 --in-flight 32 --size 125
      How many messages a second a server can echo at most.
  wirefan bench echo ws://127.0.0.1:9001/ --rate 20000 --duration 30s
      How long an answer takes at a load that is given: open loop.
  wirefan bench broadcast ws://127.0.0.1:9001/room --subscribers 1000 --in-flight 16
      One publisher, a thousand subscribers: deliveries a second, and whether any is missing.
  wirefan bench connect ws://127.0.0.1:9001/ --connections 64
      Opening handshakes a second, each closed properly before the next.
  wirefan bench idle ws://127.0.0.1:9001/ --connections 10000 --server-pid 4711
      Memory of the server for each connection that does nothing.

Without a word before the URL it is echo. `wirefan bench MODE --help` tells the options of a mode.
Exit codes: 0 everything came back as it should, 1 something did not, 2 wrong options.";

/// More than one machine can open, and few enough to be counted before they are tried.
const MOST_CONNECTIONS: u64 = 10_000_000;
/// A thread that is asked for more a second would do nothing but count what is due.
const MOST_RATE: u64 = 10_000_000;
/// More than any server takes; what is sent is laid out in memory several times.
const MOST_SIZE: usize = 1 << 30;

/// `wirefan bench`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(override_usage = "wirefan bench [echo|broadcast|connect|idle] <URL> [OPTIONS]")]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Every message comes back on its connection
    #[command(after_help = EXAMPLES)]
    Echo(Echo),
    /// Every message of a publisher reaches every subscriber in the room, which is the path of the URL
    #[command(after_help = EXAMPLES)]
    Broadcast(Broadcast),
    /// Connections are opened, closed with 1000, and opened again
    #[command(after_help = EXAMPLES)]
    Connect(Connect),
    /// Connections are opened and held; pings are answered
    #[command(after_help = EXAMPLES)]
    Idle(Idle),
}

impl Bench {
    /// Which options cannot hold together, if any.
    pub(crate) fn contradiction(&self) -> Option<Contradiction> {
        match &self.mode {
            Mode::Echo(echo) => echo.messages.contradiction(&echo.common),
            Mode::Broadcast(broadcast) => broadcast.contradiction(),
            Mode::Connect(connect) => connect.common.contradiction(),
            Mode::Idle(idle) => idle.common.contradiction(),
        }
    }
}

/// Puts in the mode that goes without saying: behind `bench`, whatever is no word and asks for no help is the URL, or an
/// option in front of it.
pub(crate) fn with_mode(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let log = args.get(1).is_some_and(|arg| arg == "--log");
    let log_is = args
        .get(1)
        .is_some_and(|arg| arg.as_encoded_bytes().starts_with(b"--log="));
    let place = 1 + 2 * usize::from(log) + usize::from(log_is);
    if args.get(place).is_some_and(|arg| arg == "bench")
        && let Some(next) = args.get(place + 1)
        && next != "--help"
        && next != "-h"
        && !next.as_encoded_bytes().iter().all(u8::is_ascii_alphabetic)
    {
        args.insert(place + 1, "echo".into());
    }
    args
}

/// The options of every mode.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Where the server listens: ws:// or wss://HOST:PORT/PATH, or tcp://HOST:PORT for one that speaks no WebSocket
    ///
    /// Behind tcp:// the same request and the same masked frames are sent; the server answers with a 101 for the key
    /// of RFC 6455's example and then gives back every byte as it came. It shows what a server could reach at best.
    #[arg(value_name = "URL", value_parser = Target::parse)]
    pub(crate) url: Target,

    #[command(flatten)]
    pub(crate) asked: Asked,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// Address of this machine to come from; give it again for more, and connections take turns
    ///
    /// An address has some 28000 ports to one server, and Linux finds the first 14000 of them fast. To a server on
    /// 127.0.0.1 it has many addresses without this.
    #[arg(long, value_name = "IP")]
    pub(crate) source: Vec<IpAddr>,

    /// Threads that drive the connections
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroU16,

    /// Process of the server on this machine: its CPU time and memory are told too
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<NonZeroU32>,

    /// How long to wait for what does not come before it counts as lost
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = quantity::some_duration)]
    pub(crate) timeout: Duration,

    /// Write the results as one JSON document to stdout, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long is measured.
#[derive(Args, Debug)]
pub(crate) struct Span {
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = quantity::some_duration)]
    pub(crate) duration: Duration,

    /// Load of the same kind before that, which is not counted; 0: none
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = quantity::duration)]
    pub(crate) warmup: Duration,
}

/// What the messages of echo and broadcast look like, and when they are sent.
#[derive(Args, Debug)]
pub(crate) struct Messages {
    /// Payload of a message in bytes, as 125, 16k or 1m; at most 1g
    #[arg(long, value_name = "BYTES", default_value = "16", value_parser = message_size)]
    pub(crate) size: usize,

    /// What the payload is
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Payload::Ascii)]
    pub(crate) payload: Payload,

    /// Messages under way at a time, for each connection that sends [default: 1; no limit with --rate]
    ///
    /// A closed loop: the next message is sent when one is done. More in flight measure throughput, 1 the way there
    /// and back.
    #[arg(long, value_name = "N")]
    pub(crate) in_flight: Option<NonZeroU32>,

    /// Messages a second, on all connections together, at most 10000000
    ///
    /// An open loop: messages are sent when their time has come, whether or not earlier ones are done, and latency
    /// counts from the time that was meant. So a server that stops for a second is seen to do so.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<NonZeroU64>::from(1..=MOST_RATE))]
    pub(crate) rate: Option<NonZeroU64>,

    #[command(flatten)]
    pub(crate) span: Span,

    /// Measure this many messages, instead of a time
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) count: Option<NonZeroU64>,

    /// Offer permessage-deflate, and send compressed where the server agrees
    #[arg(long)]
    pub(crate) compress: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Payload {
    /// Text, words in ASCII
    Ascii,
    /// Text, with characters of one to four bytes
    Utf8,
    /// Random bytes, as binary messages
    Binary,
}

/// The options of `echo`.
#[derive(Args, Debug)]
pub(crate) struct Echo {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Connections, at most 10000000
    #[arg(long, value_name = "N", default_value = "16", value_parser = connections())]
    pub(crate) connections: usize,

    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// The options of `broadcast`.
#[derive(Args, Debug)]
pub(crate) struct Broadcast {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Connections that send to the room
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) publishers: NonZeroU16,

    /// Connections that receive every message, once and in the order of its publisher; at most 10000000
    #[arg(long, value_name = "N", default_value = "100", value_parser = connections())]
    pub(crate) subscribers: usize,

    /// As many rooms, with a publisher each: PATH0, PATH1 and so on, with PATH that of the URL; subscribers are spread evenly
    #[arg(long, value_name = "N", conflicts_with = "publishers")]
    pub(crate) rooms: Option<NonZeroU16>,

    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// The options of `connect`.
#[derive(Args, Debug)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Handshakes under way at a time, at most 10000000
    #[arg(long, value_name = "N", default_value = "16", value_parser = connections())]
    pub(crate) connections: usize,

    #[command(flatten)]
    pub(crate) span: Span,
}

/// The options of `idle`.
#[derive(Args, Debug)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Connections to open and hold, at most 10000000
    #[arg(long, value_name = "N", default_value = "1000", value_parser = connections())]
    pub(crate) connections: usize,

    /// How long to hold them once all are open
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = quantity::duration)]
    pub(crate) duration: Duration,
}

/// A number of connections that can be laid out before it is known whether they can be opened.
fn connections() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::from(1..=MOST_CONNECTIONS)
}

/// A size that can be doubled, and laid out in memory.
fn message_size(text: &str) -> Result<usize, String> {
    match quantity::size(text) {
        Ok(size) if size > MOST_SIZE => Err("a message has at most 1g".to_owned()),
        size => size.map_err(|error| error.to_string()),
    }
}

/// Options that cannot hold together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Contradiction {
    /// A request that cannot be written.
    Asked(InvalidRequest),
    /// The request to a server that speaks no WebSocket is a constant.
    AskedOfTcp,
    /// A server that speaks no WebSocket compresses nothing.
    CompressedTcp,
    /// A message has to tell whose it is.
    NameTooLong,
    /// A raw server has no rooms.
    RoomsOfTcp,
    /// A room without anybody in it.
    EmptyRooms,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked(why) => return write!(f, "the request cannot be sent: {why}"),
            Self::AskedOfTcp => {
                "--header, --subprotocol and --origin need a ws:// URL: behind tcp:// nobody reads them"
            }
            Self::CompressedTcp => {
                "--compress needs a ws:// URL: behind tcp:// nobody decompresses"
            }
            Self::NameTooLong => {
                "several publishers need a --size of at least 8: each message tells whose it is"
            }
            Self::RoomsOfTcp => "--rooms needs a ws:// URL: behind tcp:// there is one room",
            Self::EmptyRooms => "--rooms needs a --subscribers of at least as many",
        })
    }
}

impl core::error::Error for Contradiction {}

impl Common {
    fn contradiction(&self) -> Option<Contradiction> {
        if self.url.raw {
            return (!self.asked.is_empty()).then_some(Contradiction::AskedOfTcp);
        }
        let mistake = self.asked.mistake(&self.url.authority, &self.url.path);
        mistake.map(Contradiction::Asked)
    }
}

impl Messages {
    fn contradiction(&self, common: &Common) -> Option<Contradiction> {
        let compressed = self.compress && common.url.raw;
        (compressed.then_some(Contradiction::CompressedTcp)).or_else(|| common.contradiction())
    }
}

impl Broadcast {
    fn contradiction(&self) -> Option<Contradiction> {
        let rooms = self.rooms.map_or(0, NonZeroU16::get);
        if self.publishers.get().max(rooms) > 1 && self.messages.size < 8 {
            return Some(Contradiction::NameTooLong);
        }
        if rooms > 0 && self.common.url.raw {
            return Some(Contradiction::RoomsOfTcp);
        }
        if usize::from(rooms) > self.subscribers {
            return Some(Contradiction::EmptyRooms);
        }
        self.messages.contradiction(&self.common)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mode_it_is_echo() {
        for (args, with) in [
            ("wirefan bench ws://a/", "wirefan bench echo ws://a/"),
            (
                "wirefan bench --json ws://a/",
                "wirefan bench echo --json ws://a/",
            ),
            (
                "wirefan --log warn bench ws://a/",
                "wirefan --log warn bench echo ws://a/",
            ),
            (
                "wirefan --log=warn bench ws://a/",
                "wirefan --log=warn bench echo ws://a/",
            ),
            ("wirefan bench a:1", "wirefan bench echo a:1"),
            ("wirefan bench idle ws://a/", "wirefan bench idle ws://a/"),
            (
                "wirefan bench brodcast ws://a/",
                "wirefan bench brodcast ws://a/",
            ),
            ("wirefan bench --help", "wirefan bench --help"),
            ("wirefan bench", "wirefan bench"),
            ("wirefan echo bench ws://a/", "wirefan echo bench ws://a/"),
            ("wirefan", "wirefan"),
        ] {
            let args = with_mode(args.split(' ').map(OsString::from));
            assert_eq!(args.join(" ".as_ref()), with);
        }
    }
}
