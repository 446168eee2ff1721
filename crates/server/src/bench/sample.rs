//! [`Sample`]: what the meters and the system say at one moment. Results are the difference of two.

use std::time::Instant;

use super::control::{Control, Reading};
use super::process::{self, Memory, Process, Unknown};

/// What the system says at one moment.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) reading: Reading,
    pub(crate) own_cpu: f64,
    pub(crate) server_cpu: f64,
    pub(crate) memory: Memory,
}

impl Sample {
    /// Now.
    pub(crate) fn take(control: &Control, server: Option<Process>) -> Result<Self, Unknown> {
        let memory = server.map(Process::memory).transpose()?;
        let server_cpu = server.map(Process::cpu_seconds).transpose()?;
        Ok(Self {
            at: Instant::now(),
            reading: control.reading(),
            own_cpu: process::own_cpu_seconds(),
            server_cpu: server_cpu.unwrap_or_default(),
            memory: memory.unwrap_or_default(),
        })
    }
}
