//! [`Output`]: what has happened, shown to people, written for a pipe, or as JSON. Called by the session.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::time::Duration;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use wirefan_eventloop::CloseCause;
use wirefan_eventloop::client::{OwnedMessage, Response};

use super::editor::Printer;
use super::options::Connect;
use super::outcome::{self, Outcome};
use super::record::Record;
use super::visible;

/// What is told.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    Connecting {
        failures: u32,
    },
    Open(&'a Response),
    Message(&'a OwnedMessage),
    Pong(Duration),
    Lost {
        cause: &'a CloseCause,
        retry_in: Duration,
    },
    /// The last word about the connection.
    Ended(&'a CloseCause),
    /// What went wrong at our side.
    Failed {
        cause: &'static str,
        why: &'a str,
    },
    /// Only for people.
    Note(&'a str),
}

/// Where and how it is told.
pub(crate) struct Output {
    form: Form,
    url: String,
    pretty: bool,
    timestamps: bool,
    verbose: bool,
    quiet: bool,
    leaves_proxy: bool,
}

enum Form {
    /// To the terminal, around the line that is being edited.
    Terminal {
        printer: Printer,
        colours: bool,
    },
    /// Messages to stdout, the rest to stderr.
    Plain {
        stdout: BufWriter<Stdout>,
        end: u8,
        to_people: bool,
    },
    Json(BufWriter<Stdout>),
}

/// The rendition of a line (ECMA-48 SGR).
const CYAN: &str = "36";
const DIM: &str = "2";
const RED: &str = "31";

impl Output {
    pub(crate) fn terminal(options: &Connect, printer: Printer) -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        Self::of(options, Form::Terminal { printer, colours })
    }

    pub(crate) fn script(options: &Connect) -> Self {
        let stdout = io::stdout();
        let to_people = stdout.is_terminal();
        let stdout = BufWriter::with_capacity(64 * 1024, stdout);
        let form = if options.json {
            Form::Json(stdout)
        } else {
            let end = if options.null { 0 } else { b'\n' };
            Form::Plain {
                stdout,
                end,
                to_people,
            }
        };
        Self::of(options, form)
    }

    fn of(options: &Connect, form: Form) -> Self {
        Self {
            form,
            // A password in the URL is nobody's business.
            url: without_user(&options.url),
            pretty: options.pretty,
            timestamps: options.timestamps,
            verbose: options.verbose,
            quiet: options.quiet,
            leaves_proxy: options.leaves_proxy(|name| std::env::var(name).ok()),
        }
    }

    /// Tells it, to be seen at the next [`flush`](Self::flush).
    pub(crate) fn tell(&mut self, told: &Told<'_>) -> io::Result<()> {
        if let Form::Json(stdout) = &mut self.form {
            let time = self.timestamps.then(now);
            let Some(record) = Record::of(told, time) else {
                return Ok(());
            };
            serde_json::to_writer(&mut *stdout, &record)?;
            return stdout.write_all(b"\n");
        }
        match told {
            Told::Message(message) => self.message(message),
            told => self.notice(told),
        }
    }

    /// Has everything seen that was told.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.form {
            Form::Terminal { .. } => Ok(()),
            Form::Plain { stdout, .. } | Form::Json(stdout) => stdout.flush(),
        }
    }

    /// The end: all has been shown, and the terminal is as it was.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if let Form::Terminal { printer, .. } = self.form {
            printer.finish();
        }
        Ok(())
    }

    fn message(&mut self, message: &OwnedMessage) -> io::Result<()> {
        let pretty = match message {
            OwnedMessage::Text(text) if self.pretty => visible::pretty(text),
            _ => None,
        };
        let time = if self.timestamps {
            format!("{} ", now())
        } else {
            String::new()
        };
        let shown = |indent: &str| match (&pretty, message) {
            (Some(json), _) => visible::text(json, indent),
            (None, OwnedMessage::Text(text)) => visible::text(text, indent),
            (None, OwnedMessage::Binary(data)) => visible::dump(data, indent),
        };
        match &mut self.form {
            Form::Terminal { printer, colours } => {
                let line = format!("{time}{} {}", paint("<", CYAN, *colours), shown("  "));
                printer.print(&line)
            }
            Form::Plain {
                stdout,
                end,
                to_people,
            } => {
                stdout.write_all(time.as_bytes())?;
                match (&pretty, *to_people) {
                    (_, true) => stdout.write_all(shown("").as_bytes())?,
                    (Some(json), false) => stdout.write_all(json.as_bytes())?,
                    (None, false) => stdout.write_all(message.as_bytes())?,
                }
                stdout.write_all(&[*end])
            }
            // It was written as a record.
            Form::Json(_) => Ok(()),
        }
    }

    fn notice(&mut self, told: &Told<'_>) -> io::Result<()> {
        let is_terminal = matches!(self.form, Form::Terminal { .. });
        let (text, is_error) = match told {
            Told::Connecting { failures: 0 } if !self.verbose => return Ok(()),
            Told::Connecting { .. } => (format!("connecting to {}", self.url), false),
            Told::Open(response) => (self.opened(response, is_terminal), false),
            Told::Pong(rtt) => (format!("pong after {}", millis(*rtt)), false),
            Told::Lost { cause, retry_in } => {
                let text = visible::line(&cause.to_string());
                (format!("{text}; again in {}", millis(*retry_in)), true)
            }
            Told::Ended(cause) => (self.ended(cause), Outcome::of(cause) != Outcome::Normal),
            Told::Failed { why, .. } => (visible::line(why), true),
            Told::Note(text) => ((*text).to_owned(), false),
            Told::Message(_) => return Ok(()),
        };
        if self.quiet && !is_error {
            return Ok(());
        }
        match &mut self.form {
            Form::Terminal { printer, colours } => {
                let colour = if is_error { RED } else { DIM };
                printer.print(&paint(&text, colour, *colours))
            }
            Form::Plain { stdout, .. } => {
                // In the order in which it happened, where both go to one place.
                stdout.flush()?;
                // Whoever has closed stderr does not want to know.
                let _ = writeln!(io::stderr(), "wirefan: {text}");
                Ok(())
            }
            Form::Json(_) => Ok(()),
        }
    }

    fn opened(&self, response: &Response, is_terminal: bool) -> String {
        let mut text = format!("connected to {}", self.url);
        if let Some(protocol) = response.protocol() {
            text += &format!(", subprotocol {}", visible::line(protocol));
        }
        if response.header("sec-websocket-extensions").is_some() {
            text += ", compressed";
        }
        if is_terminal && !self.verbose {
            text += "; /help tells of commands";
        }
        if self.verbose {
            text += &head(response);
        }
        text
    }

    fn ended(&self, cause: &CloseCause) -> String {
        let mut text = match cause {
            CloseCause::Dial(why) => format!("cannot open {}: {why}", self.url),
            cause => cause.to_string(),
        };
        text = visible::line(&text);
        if let Some(advice) = outcome::advice(cause, self.leaves_proxy) {
            text += &format!(" ({advice})");
        }
        if let CloseCause::Dial(why) = cause
            && let Some(response) = why.response()
        {
            if self.verbose {
                text += &head(response);
            }
            let body = String::from_utf8_lossy(response.body());
            let first = body.lines().find(|line| !line.trim().is_empty());
            if let Some(line) = first {
                let short: String = line.trim().chars().take(200).collect();
                text += &format!("\n  {}", visible::line(&short));
            }
        }
        text
    }
}

/// The header lines of an answer.
fn head(response: &Response) -> String {
    let line = |(name, value): (&str, &[u8])| {
        let value = String::from_utf8_lossy(value);
        format!("\n  {}: {}", visible::line(name), visible::line(&value))
    };
    response.headers().map(line).collect()
}

fn paint(text: &str, rendition: &str, colours: bool) -> String {
    if colours {
        format!("\x1b[{rendition}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

fn millis(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// This moment as RFC 3339 has it.
fn now() -> String {
    let mut text = String::new();
    // Writing to memory does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |it| it.1);
    // Tokens often are in the query.
    let path = path.split_once('?').map_or(path, |it| it.0);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        assert_eq!(
            without_user("wss://ann:se@cret@host:1/a@b?token=x"),
            "wss://host:1/a@b"
        );
        assert_eq!(without_user("ws://host?a"), "ws://host");
    }

    #[test]
    fn times_are_told_in_fit_units() {
        assert_eq!(millis(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(millis(Duration::from_secs(12)), "12.0 s");
        let now = now();
        assert!(now.starts_with("20") && now.ends_with('Z'), "{now}");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(paint("a", RED, false), "a");
        assert_eq!(paint("a", RED, true), "\x1b[31ma\x1b[0m");
    }
}
