//! The options of how long a connection lasts, and when the system gives it up.

use core::time::Duration;

use clap::Args;
use wirefan_eventloop::{ServerBuilder, Timeouts};

use crate::quantity::{self, QuantityError};

/// How long connections last.
#[derive(Args, Clone, Debug)]
pub(crate) struct Endurance {
    /// Time after which a connection is closed, whatever it does; 0: never
    ///
    /// It is closed with --shutdown-code, behind all that was sent. Set it where clients are to be spread over several
    /// servers again and again, or where what they were let in with does not hold for ever.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = quantity::duration)]
    #[arg(help_heading = "Times")]
    max_lifetime: Duration,

    /// Percent by which --ping-interval and --max-lifetime are shorter for some connections than for others
    ///
    /// So that those which came together, after a restart, are not pinged and closed together.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "20",
        help_heading = "Times"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    jitter: u8,

    /// Time for which a client may leave unacknowledged, or not take, what it is sent; 0: as long as the system likes
    /// [default: --ping-interval and --pong-timeout together]
    ///
    /// The system ends the connection then (TCP_USER_TIMEOUT, on Linux only). Raise it with --pong-timeout where phones
    /// lose their network for a while.
    #[arg(long, value_name = "TIME", value_parser = user_timeout, help_heading = "Times")]
    tcp_user_timeout: Option<Duration>,
}

/// The system counts in milliseconds, with 32 bits.
fn user_timeout(text: &str) -> Result<Duration, QuantityError> {
    let time = quantity::duration(text)?;
    match u32::try_from(time.as_millis()) {
        Ok(_) => Ok(time),
        Err(_) => Err(QuantityError::TooLarge),
    }
}

impl Endurance {
    pub(crate) fn set(&self, timeouts: &mut Timeouts) {
        timeouts.lifetime = (!self.max_lifetime.is_zero()).then_some(self.max_lifetime);
        timeouts.jitter = self.jitter;
    }

    pub(crate) fn build(&self, builder: ServerBuilder) -> ServerBuilder {
        match self.tcp_user_timeout {
            None => builder,
            Some(time) => builder.tcp_user_timeout((!time.is_zero()).then_some(time)),
        }
    }
}
