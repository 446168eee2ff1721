//! The command line of `wirefan connect`: where to, how, what is sent, and how it is shown.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "this is the text of --help"
)]

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;

use clap::Args;
use wirefan_eventloop::client::Proxy;
use wirefan_eventloop::{Dial, DialError};

use crate::{header, quantity, subprotocol};

pub(crate) const EXAMPLES: &str = "\
Examples:
  wirefan connect ws://127.0.0.1:9001/tea
      At a terminal: type a line to send it, /help tells of pings and closing.
  wirefan connect wss://example.org/feed --subprotocol v2 -H 'X-Room: tea' --pretty --timestamps
      With headers and a subprotocol; JSON on several lines, each message with its time.
  wirefan connect wss://example.org/feed --bearer-token-file token --reconnect
      Who we are from a file, read again for each try; comes back when the connection is lost.
  wirefan connect ws://127.0.0.1:9001/ -x '{\"op\":\"status\"}'
      Sends one message, writes one answer, and ends: exit code 5 if there is none within 10 seconds.
  printf 'one\\ntwo\\n' | wirefan connect ws://127.0.0.1:9001/ --count 2
      A line is a message, either way, until two have come.
  wirefan connect wss://example.org/feed --wait forever --json < /dev/null | jq -r 'select(.event==\"message\").text'
      Listens until the server closes; one JSON object a line for all that happens.
  wirefan connect wss://localhost:9001/ --tls-ca ca.pem --tls-cert me.pem --tls-key me.key
      Trusts this authority alone, and shows a certificate of ours.

Messages go to stdout and everything else to stderr. With a terminal on both sides it is interactive, otherwise each
line of stdin is a message; --execute and --json are never interactive.
Exit codes: 0 closed normally (by us, or by the server with 1000 or without a code), 1 could not run, 2 wrong options,
3 not opened (no address, refused, no trust), 4 ended otherwise (another code, or none at all), 5 took too long,
130 or 143 ended by Ctrl-C or SIGTERM.";

/// `wirefan connect`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Connect {
    /// Where to: ws://HOST[:PORT][/PATH], or wss:// for TLS; HOST:PORT alone is ws://
    ///
    /// ws://USER:PASSWORD@HOST/ sends these as HTTP's Basic authentication.
    #[arg(value_name = "URL", value_parser = url)]
    pub(crate) url: String,

    /// Send this message, wait for an answer, and end; give it again for more
    ///
    /// Waits for as many messages as were sent unless --count says otherwise. Stdin is not read.
    #[arg(short = 'x', long, value_name = "TEXT", help_heading = "Scripts")]
    pub(crate) execute: Vec<String>,

    /// Close with 1000 when so many messages have come
    #[arg(long, value_name = "N", help_heading = "Scripts")]
    pub(crate) count: Option<u64>,

    /// How long to go on once everything is sent; `forever`: until the server closes [default: 1s; 10s with --count or -x]
    ///
    /// This is for scripts; at a terminal it is you who closes. Where --count or -x wait for messages and fewer have come by then, the exit code is 5.
    #[arg(long, value_name = "TIME", value_parser = Wait::parse, help_heading = "Scripts")]
    wait: Option<Wait>,

    /// Write one JSON object a line for each event: connecting, open, message, pong, lost, close, error
    ///
    /// Texts are in `text`, binary messages in `base64`; docs/connect.md has the fields.
    #[arg(long, help_heading = "Scripts")]
    pub(crate) json: bool,

    /// In a script: send lines as binary messages, of any bytes
    #[arg(long, help_heading = "Scripts")]
    pub(crate) binary_lines: bool,

    /// In a script: messages end with a NUL byte instead of a newline, on stdin and stdout
    ///
    /// For messages that have newlines in them, as find -print0 and xargs -0 do.
    #[arg(short = '0', long, conflicts_with = "json", help_heading = "Scripts")]
    pub(crate) null: bool,

    /// Header line of the request; give it again for more
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header::line, help_heading = "Handshake")]
    header: Vec<(String, String)>,

    /// Subprotocol to offer, the best first; give it again for more
    #[arg(short, long, value_name = "NAME", value_parser = subprotocol::name, help_heading = "Handshake")]
    subprotocol: Vec<String>,

    /// Origin to name, as a browser would: https://example.org
    #[arg(short, long, value_name = "ORIGIN", help_heading = "Handshake")]
    origin: Option<String>,

    /// Send `Authorization: Bearer` with the token in this file, which is read again for each try
    ///
    /// Other users of the machine can read a command line, but not this file.
    #[arg(long, value_name = "FILE", help_heading = "Handshake")]
    pub(crate) bearer_token_file: Option<PathBuf>,

    /// Follow so many redirections, never from wss:// to ws://
    #[arg(
        short = 'L',
        long,
        value_name = "N",
        default_value = "0",
        help_heading = "Handshake"
    )]
    redirects: u8,

    /// Time for connecting, and as much again for TLS and the answer to the request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::some_duration)]
    #[arg(help_heading = "Handshake")]
    connect_timeout: Duration,

    /// Have a proxy connect us: http://[USER:PASSWORD@]HOST:PORT, socks5:// and the same, or `env`
    ///
    /// `env` takes it from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, which are ignored otherwise.
    #[arg(long, value_name = "URL", value_parser = Way::parse, help_heading = "Handshake")]
    proxy: Option<Way>,

    /// Trust the authorities in this PEM file, and not those of the system
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Certificate chain to show to the server (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Take any certificate for any name: whoever sits on the way can read and change everything
    #[arg(long, conflicts_with = "tls_ca", help_heading = "TLS")]
    pub(crate) insecure: bool,

    /// Offer compression (permessage-deflate)
    #[arg(long, help_heading = "Connection")]
    pub(crate) compress: bool,

    /// Come back when the connection is lost, after a random part of a time that doubles up to 30s
    ///
    /// Not after our own Close, nor where the server has said to stay away: 401, 403, 1008 and the like. What is sent
    /// meanwhile waits.
    #[arg(long, help_heading = "Connection")]
    pub(crate) reconnect: bool,

    /// Try again at most so many times in a row, without a minute of connection in between [default: no limit]
    #[arg(
        long,
        value_name = "N",
        requires = "reconnect",
        help_heading = "Connection"
    )]
    pub(crate) max_retries: Option<u32>,

    /// Send a ping this often and tell how long the pong takes; 0: no pings at all
    ///
    /// Without it a server that was silent for 25 seconds is sent one, and counts as gone when it stays silent for 10
    /// more.
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, help_heading = "Connection")]
    pub(crate) ping_interval: Option<Duration>,

    /// Longest message in bytes, either way
    #[arg(long, value_name = "SIZE", default_value = "16m", value_parser = quantity::some_size)]
    #[arg(help_heading = "Connection")]
    pub(crate) max_message: usize,

    /// Spread JSON over several lines
    #[arg(short, long, conflicts_with = "json", help_heading = "Display")]
    pub(crate) pretty: bool,

    /// Tell of each message when it came, in UTC
    #[arg(short, long, help_heading = "Display")]
    pub(crate) timestamps: bool,

    /// Show the header lines of the server's answer
    #[arg(short, long, help_heading = "Display")]
    pub(crate) verbose: bool,

    /// Say nothing on stderr but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Display")]
    pub(crate) quiet: bool,

    /// Keep no history of what was typed
    ///
    /// It is kept in wirefan/connect_history in $XDG_STATE_HOME or ~/.local/state; lines that begin with a space are
    /// never kept.
    #[arg(long, help_heading = "Display")]
    pub(crate) no_history: bool,
}

/// How long to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wait {
    Forever,
    For(Duration),
}

impl Wait {
    fn parse(text: &str) -> Result<Self, quantity::QuantityError> {
        match text {
            "forever" => Ok(Self::Forever),
            text => quantity::duration(text).map(Self::For),
        }
    }
}

/// Who connects for us.
#[derive(Clone, Debug)]
enum Way {
    Environment,
    By(Proxy),
}

impl Way {
    fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "env" => Ok(Self::Environment),
            text => Proxy::new(text).map(Self::By).map_err(|_| Mistake::Proxy),
        }
    }
}

/// Why an option cannot be what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mistake {
    Url(DialError),
    Proxy,
    TlsWithoutTls,
    ExecuteFromPipe,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "{why}; write ws://HOST:PORT/PATH or wss://HOST/PATH"),
            Self::Proxy => f.write_str("write http://HOST:PORT, socks5://HOST:PORT or env"),
            Self::TlsWithoutTls => f.write_str(
                "--tls-ca, --tls-cert and --insecure are for wss:// and this URL is ws://",
            ),
            Self::ExecuteFromPipe => f.write_str(
                "--binary-lines and --execute cannot hold together: --execute reads no lines",
            ),
        }
    }
}

impl core::error::Error for Mistake {}

/// Completes a URL, and checks it.
fn url(text: &str) -> Result<String, Mistake> {
    let url = match text.split_once("://") {
        None => format!("ws://{text}"),
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        Some(_) => text.to_owned(),
    };
    Dial::new(&url).map_err(Mistake::Url)?;
    Ok(url)
}

impl Connect {
    /// Which options cannot hold together, if any.
    pub(crate) fn contradiction(&self) -> Option<Mistake> {
        let asks_for_tls = self.tls_ca.is_some() || self.tls_cert.is_some() || self.insecure;
        let has_tls = self.redirects > 0 || self.is_secure();
        if asks_for_tls && !has_tls {
            Some(Mistake::TlsWithoutTls)
        } else if self.binary_lines && !self.execute.is_empty() {
            Some(Mistake::ExecuteFromPipe)
        } else {
            None
        }
    }

    /// Whether the environment names a proxy for this URL, and nobody has said whether to use it.
    pub(crate) fn leaves_proxy(&self, get: impl Fn(&str) -> Option<String>) -> bool {
        let is_set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
        let own = match self.is_secure() {
            true => ["HTTPS_PROXY", "https_proxy"],
            false => ["HTTP_PROXY", "http_proxy"],
        };
        let any = ["ALL_PROXY", "all_proxy"];
        self.proxy.is_none() && own.into_iter().chain(any).any(is_set)
    }

    fn is_secure(&self) -> bool {
        let scheme = self.url.get(..6).unwrap_or_default();
        scheme.eq_ignore_ascii_case("wss://")
    }

    /// Where to and how, but for TLS and limits.
    pub(crate) fn dial(&self) -> Result<Dial, DialError> {
        let mut dial = Dial::new(&self.url)?
            .connect_timeout(self.connect_timeout)
            .handshake_timeout(self.connect_timeout)
            .redirects(self.redirects);
        for (name, value) in &self.header {
            dial = dial.header(name, value);
        }
        for name in &self.subprotocol {
            dial = dial.protocol(name);
        }
        if let Some(origin) = &self.origin {
            dial = dial.origin(origin);
        }
        dial = match &self.proxy {
            None => dial,
            Some(Way::Environment) => dial.proxy_from_environment(),
            Some(Way::By(proxy)) => dial.proxy(proxy.clone()),
        };
        if let Some(path) = self.bearer_token_file.clone() {
            dial = dial.prepare(move |dial| {
                let token = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(dial.header("Authorization", &format!("Bearer {}", token.trim())))
            });
        }
        Ok(dial)
    }

    /// After how many messages to close.
    pub(crate) fn wanted(&self) -> Option<u64> {
        match self.execute.len() {
            0 => self.count,
            sent => self.count.or(Some(sent as u64)),
        }
    }

    /// How long to go on once everything is sent; `None`: until the server closes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self.wait {
            Some(Wait::Forever) => None,
            Some(Wait::For(time)) => Some(time),
            None if self.wanted().is_some() => Some(Duration::from_secs(10)),
            None => Some(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Cli, Command};
    use clap::Parser;

    fn connect(args: &[&str]) -> Connect {
        let args = ["wirefan", "connect"].iter().chain(args);
        match Cli::parse_from(args).command {
            Command::Connect(connect) => *connect,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn urls_are_completed_and_checked() {
        for (text, whole) in [
            ("a:1", "ws://a:1"),
            ("a/b", "ws://a/b"),
            ("wss://a/", "wss://a/"),
            ("https://a/", "wss://a/"),
            ("http://a/", "ws://a/"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(whole));
        }
        for text in ["", "ftp://a/", "ws://", "a:b", "ws://a/#b", "a b"] {
            assert!(matches!(url(text), Err(Mistake::Url(_))), "{text}");
        }
    }

    #[test]
    fn how_many_and_how_long() {
        let secs = |secs| Some(Duration::from_secs(secs));
        for (args, wanted, patience) in [
            (&["a"][..], None, secs(1)),
            (&["a", "--count", "3"], Some(3), secs(10)),
            (&["a", "-x", "b", "-x", "c"], Some(2), secs(10)),
            (
                &["a", "-x", "b", "--count", "0", "--wait", "2"],
                Some(0),
                secs(2),
            ),
            (&["a", "--wait", "forever"], None, None),
        ] {
            let connect = connect(args);
            assert_eq!((connect.wanted(), connect.patience()), (wanted, patience));
        }
    }

    #[test]
    fn a_proxy_of_the_environment_is_left_out_unless_it_is_asked_for() {
        for (args, set, leaves) in [
            (&["ws://a"][..], "", false),
            (&["ws://a"], "HTTP_PROXY", true),
            (&["ws://a"], "http_proxy", true),
            (&["ws://a"], "HTTPS_PROXY", false),
            (&["ws://a"], "all_proxy", true),
            (&["wss://a"], "https_proxy", true),
            (&["wss://a"], "HTTP_PROXY", false),
            (&["wss://a"], "ALL_PROXY", true),
            (&["wss://a", "--proxy", "env"], "ALL_PROXY", false),
        ] {
            let get =
                |value: &'static str| move |name: &str| (name == set).then(|| value.to_owned());
            assert_eq!(connect(args).leaves_proxy(get("http://p:1")), leaves);
            assert!(!connect(args).leaves_proxy(get("")), "{set} is empty");
        }
    }

    #[test]
    fn what_is_for_tls_needs_tls() {
        for (args, mistake) in [
            (&["ws://a", "--insecure"][..], Some(Mistake::TlsWithoutTls)),
            (&["ws://a", "--insecure", "-L", "1"], None),
            (&["WSS://a", "--insecure"], None),
            (
                &["a", "-x", "b", "--binary-lines"],
                Some(Mistake::ExecuteFromPipe),
            ),
        ] {
            assert_eq!(connect(args).contradiction(), mistake);
        }
    }
}
