//! [`run`]: from options to a link, a session and an exit code.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use wirefan_eventloop::client::{Link, Links, Reconnect, Verdict};
use wirefan_eventloop::{Client, ClientTls, CloseCause, Dial, Timeouts, TlsError};
use wirefan_protocol::{Config, DeflateConfig};

use super::editor;
use super::input::{self, Format};
use super::news::{News, WAITING, reporter};
use super::options::Connect;
use super::output::Output;
use super::session::{Inbox, Plan, Session};

/// Connects, and goes on until that is over. `Err`: it could not even begin.
pub(crate) fn run(options: &Connect) -> Result<ExitCode, String> {
    let dial = options.dial().map_err(|error| error.to_string())?;
    let dial = with_tls(dial, options).map_err(|error| error.to_string())?;
    if let Some(path) = &options.bearer_token_file {
        check(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let system = |error: io::Error| format!("cannot start: {error}");
    let builder = Client::builder()
        .timeouts(timeouts(options.ping_interval))
        .protocol(protocol(options));
    let links = Links::start(builder).map_err(system)?;
    let (news, inbox) = mpsc::channel();
    let (places, taken) = mpsc::sync_channel(WAITING);
    let is_script = options.json
        || !options.execute.is_empty()
        || !io::stdin().is_terminal()
        || !io::stdout().is_terminal();
    signals(news.clone()).map_err(system)?;
    let output = if is_script {
        Output::script(options)
    } else {
        let printer = editor::start(news.clone(), !options.no_history);
        let printer = printer.map_err(|error| format!("cannot edit lines: {error}"))?;
        Output::terminal(options, printer)
    };
    let link = links.open(dial, reconnect(options), reporter(news.clone(), places));
    if is_script {
        send(options, &link, news).map_err(system)?;
    }
    let plan = Plan {
        wanted: options.wanted(),
        patience: options.patience(),
        pings: options.ping_interval.filter(|it| !it.is_zero()),
    };
    let inbox = Inbox {
        news: inbox,
        places: taken,
    };
    Ok(Session::new(link, inbox, output, plan).run().into())
}

/// Fails where a file cannot be read: with `--reconnect` it would be waited for for ever. A pipe can be read only once.
fn check(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?;
    if kind.is_file() || kind.is_dir() {
        fs::read_to_string(path)?;
    }
    Ok(())
}

/// Sends what was asked for, or has stdin sent.
fn send(options: &Connect, link: &Link, news: mpsc::Sender<News>) -> io::Result<()> {
    if options.execute.is_empty() {
        let format = Format {
            end: if options.null { 0 } else { b'\n' },
            binary: options.binary_lines,
            max: options.max_message,
        };
        return input::start(format, link.clone(), news);
    }
    for text in &options.execute {
        // There is room for all of them. Where the link has ended by now, the session tells why.
        let _ = link.send(text.as_str());
    }
    let _ = news.send(News::InputEnded(None));
    Ok(())
}

fn with_tls(dial: Dial, options: &Connect) -> Result<Dial, TlsError> {
    let identity = options.tls_cert.as_deref().zip(options.tls_key.as_deref());
    if options.tls_ca.is_none() && identity.is_none() && !options.insecure {
        return Ok(dial);
    }
    let mut builder = ClientTls::builder();
    if let Some(path) = &options.tls_ca {
        builder = builder.server_ca_file(path)?;
    }
    if let Some((certificates, key)) = identity {
        builder = builder.identity_files(certificates, key)?;
    }
    if options.insecure {
        let _ = writeln!(
            io::stderr(),
            "wirefan: --insecure: the server may be anyone, and anyone on the way can read and change everything"
        );
        builder = builder.dangerously_accept_any_certificate();
    }
    Ok(dial.tls(&builder.build()?))
}

fn protocol(options: &Connect) -> Config {
    let mut config = Config::default();
    config.max_message = options.max_message;
    config.deflate = options.compress.then(DeflateConfig::default);
    config
}

fn timeouts(ping_interval: Option<Duration>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    match ping_interval {
        None => {}
        Some(Duration::ZERO) => timeouts.ping = None,
        // Ours keep a server that is there from ever being silent for so long.
        Some(interval) => timeouts.ping = Some(interval),
    }
    timeouts
}

fn reconnect(options: &Connect) -> Reconnect {
    let mut reconnect = Reconnect::default();
    if !options.reconnect {
        let stay: fn(&CloseCause) -> Verdict = |_| Verdict::StayAway;
        reconnect.verdict = stay;
    }
    reconnect.backoff.max_failures = options.max_retries;
    // Room for a message of any length that is allowed.
    reconnect.offline.max_bytes = reconnect.offline.max_bytes.max(options.max_message);
    if !options.execute.is_empty() {
        let bytes = options.execute.iter().map(String::len).sum();
        reconnect.offline.max_bytes = reconnect.offline.max_bytes.max(bytes);
        reconnect.offline.max_messages = reconnect.offline.max_messages.max(options.execute.len());
    }
    reconnect
}

/// The first one has us close, the second ends us at once.
#[cfg(unix)]
fn signals(news: mpsc::Sender<News>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut signals = signals.forever();
            if let Some(first) = signals.next() {
                let _ = news.send(News::Signal(u8::try_from(first).unwrap_or(0)));
            }
            if let Some(second) = signals.next() {
                std::process::exit(128 + second);
            }
        })?;
    Ok(())
}

/// Ctrl-C ends us at once.
#[cfg(not(unix))]
fn signals(_: mpsc::Sender<News>) -> io::Result<()> {
    Ok(())
}
