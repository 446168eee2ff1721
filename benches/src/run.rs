//! One measurement: a server process, the load against it, and the end of both.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::certificate::Certificate;
use crate::error::Error;
use crate::load::{self, Sample, Span};
use crate::machine::{Pinning, Side};
use crate::peers::Installed;
use crate::rows::Row;

/// How long a server may take until it listens; Python and Node on a busy machine need some.
const START: Duration = Duration::from_secs(20);
/// Below the range from which clients get theirs.
const PORTS: core::ops::Range<u16> = 21_000..31_000;
const WARMUP: Duration = Duration::from_millis(300);

/// Measures.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) load: PathBuf,
    pub(crate) pinning: Pinning,
    pub(crate) seconds: f64,
    /// Where servers write what they have to say.
    pub(crate) logs: PathBuf,
    pub(crate) stop: Arc<AtomicBool>,
    certificate: Certificate,
    next_port: u16,
}

impl Runner {
    pub(crate) fn new(
        load: PathBuf,
        seconds: f64,
        logs: PathBuf,
        certificate: Certificate,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            load,
            pinning: Pinning::find(),
            seconds,
            logs,
            stop,
            certificate,
            next_port: PORTS.start,
        }
    }

    pub(crate) fn span(&self) -> Span {
        Span {
            duration: Duration::from_secs_f64(self.seconds),
            warmup: WARMUP,
        }
    }

    /// Starts the program, loads it as the row says, and ends it.
    pub(crate) fn measure(
        &mut self,
        program: &Installed,
        row: &Row,
        workers: usize,
    ) -> Result<Sample, Error> {
        self.with_server(program, row, workers, |runner, port, server| {
            let url = program.url(row, port);
            load::run(
                &runner.load,
                runner.pinning,
                row,
                runner.span(),
                &url,
                server,
            )
        })
    }

    /// Starts the program as the row needs it, does something with its port and process, and ends it.
    pub(crate) fn with_server<T>(
        &mut self,
        program: &Installed,
        row: &Row,
        workers: usize,
        load: impl FnOnce(&Self, u16, u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        let port = self.free_port()?;
        let server = self.start(program, row, port, workers)?;
        let outcome = load(self, port, server.0.id());
        // What a Ctrl-C has done to the load is no failure of the server.
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        outcome
    }

    fn start(
        &self,
        program: &Installed,
        row: &Row,
        port: u16,
        workers: usize,
    ) -> Result<Server, Error> {
        let name = program.peer.name;
        let log = self.logs.join(format!("{name}-server.log"));
        let log = File::create(&log).map_err(Error::io(log.display().to_string()))?;
        let missing = || Error::Missing(format!("{name} has no program"));
        let (first, rest) = program.program.split_first().ok_or_else(missing)?;
        let child = self
            .pinning
            .command(first, Side::Server { workers })
            .args(rest)
            .args(program.args(row, port, workers, &self.certificate))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::io(name))?;
        let mut server = Server(child);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let begun = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = server.0.try_wait().map_err(Error::io(name))? {
                return Err(Error::Server(format!(
                    "{name} ended at its start: {status}"
                )));
            }
            if begun.elapsed() > START {
                return Err(Error::Server(format!(
                    "{name} does not listen after {START:?}"
                )));
            }
            thread::sleep(Duration::from_millis(10));
        }
        // It sees the end of the probe before it is loaded.
        thread::sleep(Duration::from_millis(50));
        Ok(server)
    }

    fn free_port(&mut self) -> Result<u16, Error> {
        for _ in PORTS {
            let port = self.next_port;
            self.next_port = if port + 1 < PORTS.end {
                port + 1
            } else {
                PORTS.start
            };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(Error::Missing("a free port".to_owned()))
    }
}

/// A server process, which ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
