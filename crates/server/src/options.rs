//! The command line: every flag with its unit, its default and when to change it, and what the loop is told of it.

use core::fmt;
use core::time::Duration;
use std::num::NonZeroUsize;
use std::thread;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::Targets;
use wirefan_eventloop::{AtLimit, Backpressure, Timeouts};
use wirefan_protocol::{CloseCode, Config};

use crate::admin::AdminOptions;
use crate::admission_limits::AdmissionLimits;
use crate::bench::Bench;
use crate::completions::{Completions, Manual};
use crate::compression::Compression;
use crate::config::{CheckConfig, ConfigFile, PrintConfig};
use crate::connect::Connect;
use crate::door::issue::{NewTicket, NewToken};
use crate::door::options::{DoorContradiction, DoorOptions};
use crate::endurance::Endurance;
use crate::health::Health;
use crate::leaving::Leaving;
use crate::listen::Listen;
use crate::slow_readers::SlowReaders;
use crate::static_files::ServeFiles;
use crate::tls::TlsOptions;
use crate::trusted_proxies::TrustedProxyOptions;
use crate::{log, quantity, subprotocol};

const EXAMPLES: &str = "\
Examples:
  wirefan broadcast
      A chat on this machine: open http://127.0.0.1:9001/ twice and talk.
  wirefan broadcast --listen 0.0.0.0:80 --listen '[::]:80'
      Every path is a room, for everyone who can reach this machine.
  wirefan broadcast --tls-self-signed
      The same over https:// and wss://, with a certificate that ends with it.
  wirefan broadcast --listen wss://0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
      The same with a certificate of yours.
  wirefan token ann >> tokens.txt; wirefan broadcast --token-file tokens.txt
      Only those with a token come in; docs/authentication.md has the other ways.
  wirefan echo --max-message 16m --workers 4
      Sends every message back, also large ones: to test a client with.
  wirefan broadcast --config /etc/wirefan/wirefan.toml
      Options from a file; `wirefan config` writes one that tells of them all.
  wirefan connect ws://127.0.0.1:9001/
      Talks to a server: type a line to send it.
  wirefan bench ws://127.0.0.1:9001/ --connections 64 --in-flight 32
      How many messages a second a server echoes, and how long each one takes.

Sizes are bytes, or 64k, 16m, 1g (times 1024).
Durations are 500ms, 25s, 2m, 1h; a plain number is seconds.
Every option of echo and broadcast may be in the environment too (--max-message as WIREFAN_MAX_MESSAGE, several values
with commas between them), or in the file that --config names. --log may be for all commands.
Ctrl-C or SIGTERM ends the server gracefully, a second one at once.
Exit codes: 0 ended as asked, 1 could not run, 2 wrong options, 3 ended but had to cut off connections that did
not leave in time, 130 or 143 ended at once.

`wirefan COMMAND --help` explains every option; connect and bench have exit codes of their own.";

/// A WebSocket server (RFC 6455) in one binary: it sends every message back, or on to everyone in the same room. And a
/// load generator for any such server.
///
/// It speaks with anything that speaks WebSocket, browsers included; on the same port it serves a small page to try it
/// with. It bounds what a client can make it hold or wait for: each limit has an option and a safe default.
#[derive(Debug, Parser)]
#[command(name = "wirefan", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What to log to stderr [off, error, warn, info, debug, trace]
    ///
    /// info tells of every connection that opens or ends, debug of plain HTTP requests too, trace of every message.
    /// One part alone: warn,wirefan_eventloop=debug.
    #[arg(long, global = true, env = "WIREFAN_LOG", hide_env_values = true)]
    #[arg(value_name = "FILTER", default_value = "info", value_parser = log::filter)]
    pub(crate) log: Targets,

    /// How to write it
    ///
    /// text is for people, json has one object a line for whatever collects logs. docs/metrics.md names the fields.
    #[arg(
        long,
        global = true,
        env = "WIREFAN_LOG_FORMAT",
        hide_env_values = true
    )]
    #[arg(value_name = "FORMAT", value_enum, default_value_t = log::Format::Text)]
    pub(crate) log_format: log::Format,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send every message back to its sender
    Echo(Serve),
    /// Send every message on to everyone else in its room, which is the path of the URL
    ///
    /// Whoever connects to ws://HOST:PORT/tea is in the room /tea; / is a room too. A message goes to all others in
    /// the room, unchanged, and the server never says anything itself. A browser that opens http://HOST:PORT/tea gets
    /// a small chat page for the room, and GET /tea?members tells how many are in it.
    Broadcast(Broadcast),
    /// Talk to a WebSocket server, at a terminal or from a script
    ///
    /// At a terminal lines are edited, sent as text, and remembered; in a pipe each line is a message, either way.
    Connect(Box<Connect>),
    /// Put load on a WebSocket server, this one or any other, and measure it
    ///
    /// It checks everything that comes back: content, order, and that nothing is missing.
    Bench(Box<Bench>),
    /// Ask a running server whether it is well: exit code 0 if it is
    Health(Health),
    /// Find the mistakes in a configuration file
    ///
    /// Each is a line with its place: FILE:LINE:COLUMN. Nothing is started, and neither flags nor the environment are
    /// looked at.
    CheckConfig(CheckConfig),
    /// Write the options in effect as a configuration file, with where each comes from
    ///
    /// It takes what the command takes (broadcast unless another is named), reads the environment and the file that
    /// --config names, and starts nothing. Secrets are not shown.
    Config(Box<PrintConfig>),
    /// Write a script that completes the command line
    Completions(Completions),
    /// Write the manual page
    Man(Manual),
    /// Make a ticket: a short-lived token for the URL, signed with a key of --ticket-key
    ///
    /// It goes to stdout:
    /// npx wscat -c "ws://127.0.0.1:9001/tea?ticket=$(wirefan ticket --ticket-key FILE)"
    Ticket(NewTicket),
    /// Make a random token and its line for a --token-file
    ///
    /// The line goes to stdout and has only the token's hash, the token goes to stderr:
    /// wirefan token ann --read /news >> tokens.txt
    Token(NewToken),
}

/// The options of `broadcast`.
#[derive(Args, Debug)]
pub(crate) struct Broadcast {
    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Send every message to its sender too
    ///
    /// For clients that show a message when the server has it, or that want one order for their own and others'.
    #[arg(long, help_heading = "Messages")]
    pub(crate) to_sender: bool,

    #[command(flatten)]
    pub(crate) slow_readers: SlowReaders,
}

impl Command {
    /// Which options cannot hold together, if any.
    pub(crate) fn contradiction(&self) -> Option<String> {
        match self {
            Self::Echo(serve) => serve.contradiction().map(|it| it.to_string()),
            Self::Broadcast(broadcast) => broadcast.serve.contradiction().map(|it| it.to_string()),
            Self::Connect(connect) => connect.contradiction().map(|it| it.to_string()),
            Self::Bench(bench) => bench.contradiction().map(|it| it.to_string()),
            Self::Config(config) => config.serve().contradiction().map(|it| it.to_string()),
            _ => None,
        }
    }
}

/// The options that both commands have.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) config: ConfigFile,

    /// Address to listen on; give it again for more [default: 127.0.0.1:9001, over TLS if there is a certificate]
    ///
    /// HOST:PORT speaks http:// and ws://, wss://HOST:PORT speaks https:// and wss:// and needs a certificate.
    /// `127.0.0.1` is reached from this machine only, `0.0.0.0` and `[::]` from everywhere. Port 0 takes a free one
    /// and logs it. unix:PATH[,mode=0660] is a Unix socket, for a proxy on this machine. Sockets that systemd has opened
    /// (LISTEN_FDS) are listened on by themselves, instead of the default; with a certificate those of TCP speak TLS, but
    /// for those that are named `ws` or `http` (FileDescriptorName=).
    #[arg(long, value_name = "[wss://]HOST:PORT|unix:PATH", value_parser = Listen::parse)]
    listen: Vec<Listen>,

    /// Threads that serve connections, 1 to 1024 [default: one for each core]
    ///
    /// Fewer where others need the cores, 1 where everything happens in one room.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Subprotocol to agree on with clients that offer it; give it again for more
    ///
    /// Of what a client offers the first that is known here is chosen. A client that offers only others is accepted
    /// without one; a browser then ends the connection by itself.
    #[arg(long, value_name = "NAME", value_parser = subprotocol::name)]
    pub(crate) subprotocol: Vec<String>,

    /// Most connections at a time, on all workers [default: what the limit of open files allows]
    ///
    /// More are answered with 503. Every connection is an open file: the soft limit (ulimit -n) is raised to the hard
    /// one at the start, and 1000000 is the most that is taken without being told.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// Longest message in bytes; a longer one closes the connection with 1009
    ///
    /// A client can make the server hold at most this much, and as much again while it grows. Raise it for larger
    /// messages; lower it where many clients are not to be trusted.
    #[arg(long, value_name = "SIZE", default_value = "1m", value_parser = quantity::size)]
    #[arg(help_heading = "Limits")]
    max_message: usize,

    /// Time for a client to finish its opening handshake
    ///
    /// It bounds what connections that never ask for anything can hold. Raise it for very slow networks.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::some_duration)]
    #[arg(help_heading = "Times")]
    handshake_timeout: Duration,

    /// Silence after which a client is sent a ping; 0: never
    ///
    /// Keeps connections alive through proxies that cut silent ones, often after 30 or 60 seconds, and finds clients
    /// that are gone. Raise it to spare the batteries of phones.
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = quantity::duration)]
    #[arg(help_heading = "Times")]
    ping_interval: Duration,

    /// Silence after a ping after which a client counts as gone
    ///
    /// Raise it where phones lose their network for a while.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::some_duration)]
    #[arg(help_heading = "Times")]
    pong_timeout: Duration,

    /// Time without a message, either way, after which a connection is closed with 1001; 0: never
    ///
    /// Pings are not messages. Set it where connections that do nothing are to make room for others.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = quantity::duration)]
    #[arg(help_heading = "Times")]
    idle_timeout: Duration,

    /// Time for a client to answer a Close, and then to end the connection
    ///
    /// Only clients that are gone or misbehave need longer than their network does.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = quantity::some_duration)]
    #[arg(help_heading = "Times")]
    close_timeout: Duration,

    /// Time for all connections to end when the server shuts down; 0: none
    ///
    /// Clients are sent a Close (--shutdown-code) and what was sent before it; who is not done in time is cut off, and
    /// the exit code is 3. Stay below what your supervisor waits before it kills.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::duration)]
    #[arg(help_heading = "Times")]
    pub(crate) shutdown_grace: Duration,

    /// Bytes waiting for a slow reader, below which it is read from again [default: 64k]
    ///
    /// Not above --backlog-high; closer to it, reading stops and goes on more often.
    #[arg(long, value_name = "SIZE", value_parser = quantity::some_size)]
    #[arg(help_heading = "Slow readers")]
    backlog_low: Option<usize>,

    /// Bytes waiting for a slow reader, above which nothing more is read from it [default: 256k]
    ///
    /// Not above --backlog-limit. Raise it for clients that send much before they read.
    #[arg(long, value_name = "SIZE", value_parser = quantity::some_size)]
    #[arg(help_heading = "Slow readers")]
    backlog_high: Option<usize>,

    /// Bytes waiting for a slow reader, from which on --at-limit holds
    ///
    /// A connection holds at most this much and one message. Raise it for bursts, lower it for many connections.
    #[arg(long, value_name = "SIZE", default_value = "4m", value_parser = quantity::some_size)]
    #[arg(help_heading = "Slow readers")]
    backlog_limit: usize,

    /// What happens to a reader whose backlog is at its limit
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Policy::Close)]
    #[arg(help_heading = "Slow readers")]
    at_limit: Policy,

    #[command(flatten)]
    pub(crate) admin: AdminOptions,

    #[command(flatten)]
    pub(crate) endurance: Endurance,

    #[command(flatten)]
    pub(crate) leaving: Leaving,

    #[command(flatten)]
    compression: Compression,

    #[command(flatten)]
    pub(crate) files: ServeFiles,

    #[command(flatten)]
    pub(crate) tls: TlsOptions,

    #[command(flatten)]
    pub(crate) door: DoorOptions,

    #[command(flatten)]
    pub(crate) admission: AdmissionLimits,

    #[command(flatten)]
    pub(crate) proxies: TrustedProxyOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Close it with 1013: it may come back and start afresh
    Close,
    /// Drop what does not fit: it stays, and misses messages
    Drop,
}

/// Options that cannot hold together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Contradiction {
    /// The low mark is above the high one.
    LowAboveHigh,
    /// The high mark is above the limit.
    HighAboveLimit,
    /// An address wants TLS, and there is no certificate.
    NoCertificate,
    /// There is a certificate, and no address wants TLS.
    NoTlsAddress,
    /// Certificates and keys do not come in pairs.
    Unpaired,
    /// Those about who may come in.
    Door(DoorContradiction),
    /// Proxies are to tell whom they speak for, and none is trusted.
    NoTrustedProxy,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowAboveHigh => {
                "--backlog-low is above --backlog-high: lower the one or raise the other"
            }
            Self::HighAboveLimit => {
                "--backlog-high is above --backlog-limit: lower the one or raise the other"
            }
            Self::NoCertificate => {
                "--listen wss:// needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed"
            }
            Self::NoTlsAddress => {
                "there is a certificate and nothing listens with it: write --listen wss://HOST:PORT"
            }
            Self::Unpaired => "each --tls-cert needs its --tls-key, in the same order",
            Self::Door(why) => return why.fmt(f),
            Self::NoTrustedProxy => {
                "--proxy-protocol needs to know whom to believe: give --trusted-proxy NET, as 10.0.0.0/8 or loopback"
            }
        })
    }
}

impl core::error::Error for Contradiction {}

impl Serve {
    /// Which options cannot hold together, if any.
    pub(crate) fn contradiction(&self) -> Option<Contradiction> {
        let marks = self.backpressure();
        if marks.high > marks.limit {
            Some(Contradiction::HighAboveLimit)
        } else if marks.low > marks.high {
            Some(Contradiction::LowAboveHigh)
        } else if self.tls.tls_cert.len() != self.tls.tls_key.len() {
            Some(Contradiction::Unpaired)
        } else if self.tls.is_on() != self.listen().iter().any(|listen| listen.tls) {
            Some(match self.tls.is_on() {
                true => Contradiction::NoTlsAddress,
                false => Contradiction::NoCertificate,
            })
        } else if self.admission.proxy_protocol
            && self.proxies.networks().is_empty()
            && self.listen().iter().any(|listen| listen.unix.is_none())
        {
            Some(Contradiction::NoTrustedProxy)
        } else {
            self.door.contradiction().map(Contradiction::Door)
        }
    }

    /// What to listen on.
    pub(crate) fn listen(&self) -> Vec<Listen> {
        if self.listen.is_empty() {
            vec![Listen::by_default(self.tls.is_on())]
        } else {
            self.listen.clone()
        }
    }

    /// Whether it was told what to listen on.
    pub(crate) fn listens_as_told(&self) -> bool {
        !self.listen.is_empty()
    }

    pub(crate) fn workers(&self) -> usize {
        match self.workers {
            Some(workers) => workers.into(),
            None => thread::available_parallelism().map_or(1, usize::from),
        }
    }

    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    pub(crate) fn protocol(&self) -> Config {
        let mut config = Config::default();
        config.max_message = self.max_message;
        config.deflate = self.compression.config();
        config
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        let unless_zero = |time: Duration| (!time.is_zero()).then_some(time);
        let mut timeouts = Timeouts::default();
        timeouts.handshake = self.handshake_timeout;
        timeouts.ping = unless_zero(self.ping_interval);
        timeouts.pong = self.pong_timeout;
        timeouts.idle = unless_zero(self.idle_timeout);
        timeouts.close = self.close_timeout;
        self.endurance.set(&mut timeouts);
        timeouts
    }

    /// Marks that were not given follow the ones above them down.
    pub(crate) fn backpressure(&self) -> Backpressure {
        let mut marks = Backpressure::default();
        marks.limit = self.backlog_limit;
        marks.high = self
            .backlog_high
            .unwrap_or_else(|| marks.high.min(marks.limit));
        marks.low = self
            .backlog_low
            .unwrap_or_else(|| marks.low.min(marks.high));
        marks.at_limit = match self.at_limit {
            Policy::Close => AtLimit::Close(CloseCode::TRY_AGAIN_LATER),
            Policy::Drop => AtLimit::Drop,
        };
        marks
    }
}

#[cfg(test)]
mod tests;
