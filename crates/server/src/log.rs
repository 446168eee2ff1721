//! The log: lines on stderr, coloured where a terminal shows them, with what a filter lets through. Also the last words
//! of a panic.

use std::io::{self, IsTerminal};
use std::{panic, process};

use clap::ValueEnum;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const HOW: &str =
    "write off, error, warn, info, debug or trace, for one part as wirefan_eventloop=debug";

/// How lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// An object a line, for machines
    Json,
}

/// Starts the log.
pub(crate) fn init(filter: Targets, format: Format) {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .with_target(false)
        // It would complain to stderr that stderr is closed, and panic over that.
        .log_internal_errors(false);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => {
            let objects = lines.with_ansi(false).json().flatten_event(true);
            objects
                .with_current_span(false)
                .with_span_list(false)
                .boxed()
        }
    };
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
    panic::set_hook(Box::new(last_words));
}

/// Reads a filter: levels, each for everything or for one part, with commas between them.
pub(crate) fn filter(text: &str) -> Result<Targets, &'static str> {
    // A word that is no level would be taken for a part, and a mistyped level would silence the log.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let known = |part: &str| part.contains('=') || is_level(part);
    if !text.split(',').all(known) {
        return Err(HOW);
    }
    text.parse().map_err(|_| HOW)
}

/// A worker that has panicked leaves the others without their neighbour: the process ends, and whoever watches over it
/// starts it again.
fn last_words(info: &panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let said = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    let place = info.location().map(tracing::field::display);
    tracing::error!(
        said,
        place,
        "a bug in wirefan, which ends here; please report this line"
    );
    process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn levels_for_everything_and_for_parts() {
        let filter = filter("warn,wirefan_eventloop=trace").unwrap();
        assert!(filter.would_enable("wirefan_eventloop::worker", &Level::TRACE));
        assert!(filter.would_enable("wirefan", &Level::WARN));
        assert!(!filter.would_enable("wirefan", &Level::INFO));
    }

    #[test]
    fn a_mistyped_level_is_not_a_part() {
        for text in ["inof", "", "info,", "info,loud", "wirefan=loud", "a=b=c"] {
            assert_eq!(filter(text).unwrap_err(), HOW, "{text}");
        }
    }
}
