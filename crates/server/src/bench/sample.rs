//! [`Sample`]: what the meters and the system say at one moment. Results are the difference of two.

use std::time::Instant;

use super::control::{Control, Reading};
use super::process::{self, Memory, Process};

/// What the system says at one moment.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) reading: Reading,
    pub(crate) own_cpu: f64,
    /// `None` where nobody asks for the server, and where its process has ended.
    pub(crate) server: Option<ServerSample>,
}

/// What the system says of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerSample {
    pub(crate) cpu_seconds: f64,
    pub(crate) memory: Memory,
}

impl Sample {
    /// Now.
    pub(crate) fn take(control: &Control, server: Option<Process>) -> Self {
        let of = |server: Process| {
            Some(ServerSample {
                memory: server.memory().ok()?,
                cpu_seconds: server.cpu_seconds().ok()?,
            })
        };
        let server = server.and_then(of);
        Self {
            at: Instant::now(),
            reading: control.reading(),
            own_cpu: process::own_cpu_seconds(),
            server,
        }
    }
}
