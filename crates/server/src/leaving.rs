//! The options of the end of a server, and of the hand-over to the next one.

use core::time::Duration;

use clap::{Args, ValueEnum};
use wirefan_eventloop::Shutdown;
use wirefan_protocol::CloseCode;

use crate::quantity;

/// How connections leave.
#[derive(Args, Clone, Debug)]
pub(crate) struct Leaving {
    /// Time over which connections are closed when the server shuts down; 0: all at once
    ///
    /// Each has a moment of its own in it, by chance, and goes on until then: the next server is not asked for all
    /// handshakes in one second. --shutdown-grace begins behind it, so allow for both where something kills.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = quantity::duration)]
    #[arg(help_heading = "Times")]
    shutdown_spread: Duration,

    /// Code that connections are closed with when the server shuts down, and at the end of --max-lifetime
    ///
    /// Some clients come back by themselves only for one of them.
    #[arg(long, value_name = "CODE", value_enum, default_value_t = Code::GoingAway)]
    #[arg(help_heading = "Times")]
    shutdown_code: Code,

    /// Let other servers of this user listen on the same addresses (SO_REUSEPORT)
    ///
    /// A new server takes new connections while the old one lets go of its own, if both are started with it. Without
    /// it an address that is taken is an error.
    #[arg(long)]
    pub(crate) reuse_port: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Code {
    /// Going away
    #[value(name = "1001")]
    GoingAway,
    /// Service restart: come back, and not all at once
    #[value(name = "1012")]
    ServiceRestart,
}

impl Leaving {
    pub(crate) fn code(&self) -> CloseCode {
        match self.shutdown_code {
            Code::GoingAway => CloseCode::GOING_AWAY,
            Code::ServiceRestart => CloseCode::SERVICE_RESTART,
        }
    }

    /// What the loop is asked for, with so much time behind the spread.
    pub(crate) fn shutdown(&self, grace: Duration) -> Shutdown {
        let mut how = Shutdown::from(grace);
        how.spread = self.shutdown_spread;
        how.code = self.code();
        how
    }
}
