//! The options of what becomes of a room's messages that wait for a slow reader.

use core::time::Duration;

use clap::{Args, ValueEnum};
use wirefan_eventloop::{Policy, WhenSlow};
use wirefan_protocol::CloseCode;

use crate::quantity;

/// What is done in every room.
#[derive(Args, Clone, Debug)]
pub(crate) struct SlowReaders {
    /// What happens in a room to readers that are slower than it [default: what --at-limit says]
    ///
    /// Whoever keeps up is not concerned. What is lost is whole messages; the others come in order.
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "Slow readers")]
    slow_readers: Option<What>,

    /// Bytes of a room that wait for a slow reader at most, with 64 more for each message
    ///
    /// Needs --slow-readers or --max-age. --backlog-limit holds beside it.
    #[arg(long, value_name = "SIZE", default_value = "1m", value_parser = quantity::some_size)]
    #[arg(help_heading = "Slow readers")]
    room_backlog: usize,

    /// Age from which on a message is not worth sending to a slow reader any more [default: none]
    ///
    /// It is dropped, or with --slow-readers close, and without --slow-readers, its reader is closed with 1013.
    #[arg(long, value_name = "TIME", value_parser = quantity::some_duration)]
    #[arg(help_heading = "Slow readers")]
    max_age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Close them with 1013: they may come back and start afresh
    Close,
    /// Drop what comes while too much waits
    DropNew,
    /// Drop what waits longest to make room
    DropOldest,
    /// Keep only the newest message, for rooms whose messages each tell the whole state
    Conflate,
}

impl SlowReaders {
    /// What the loop is told, if it is.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let by_age = || self.max_age.map(|_| What::Close);
        let what = self.slow_readers.or_else(by_age)?;
        let mut policy = Policy::new(match what {
            What::Close => WhenSlow::Close(CloseCode::TRY_AGAIN_LATER),
            What::DropNew => WhenSlow::DropNew,
            What::DropOldest => WhenSlow::DropOldest,
            What::Conflate => WhenSlow::Conflate,
        });
        policy.limit = self.room_backlog;
        policy.max_age = self.max_age;
        Some(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Cli, Command};
    use clap::Parser;

    fn policy(given: &str) -> Option<Policy> {
        let args = ["wirefan", "broadcast"].into_iter();
        match Cli::parse_from(args.chain(given.split_whitespace())).command {
            Command::Broadcast(broadcast) => broadcast.slow_readers.policy(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_reach_the_loop() {
        assert_eq!(policy(""), None);
        assert_eq!(policy("--room-backlog 1k"), None);
        let close = WhenSlow::Close(CloseCode::TRY_AGAIN_LATER);
        for (given, when_slow) in [
            ("close", close),
            ("drop-new", WhenSlow::DropNew),
            ("drop-oldest", WhenSlow::DropOldest),
            ("conflate", WhenSlow::Conflate),
        ] {
            let given = format!("--slow-readers {given}");
            assert_eq!(policy(&given), Some(Policy::new(when_slow)));
        }
        let aged = policy("--max-age 3s --room-backlog 64k").unwrap();
        assert_eq!(aged.when_slow, close);
        assert_eq!(
            (aged.limit, aged.max_age),
            (65_536, Some(Duration::from_secs(3)))
        );
    }
}
