//! The admin listener: a small server of its own beside the one that it watches, on one thread. Started by `run`.
//!
//! ```text
//! request ─→ access.rs: may it? ─→ handler.rs ─┬─ stats ──────────→ prometheus.rs, feed.rs
//!                                              └─ gather.rs: a look at every worker ─→ lists.rs
//! ```

mod access;
mod feed;
mod gather;
mod handler;
mod lists;
mod options;
mod page;
mod prometheus;
mod query;

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use wirefan_eventloop::{Remote, Server};
use wirefan_protocol::Config;

use self::access::Access;
use self::handler::{Admin, Answer};
pub(crate) use self::options::AdminOptions;

/// Most connections at a time: whoever watches are few.
const CONNECTIONS: usize = 512;
/// How long answers that are being written when all is over may take.
const GRACE: Duration = Duration::from_secs(1);

/// Why there is no admin listener.
#[derive(Debug)]
pub(crate) enum AdminError {
    /// The address cannot be found.
    Resolve { admin: String, error: io::Error },
    /// The address is reached from elsewhere, and there is no token.
    Exposed(SocketAddr),
    /// The file with the token cannot be read.
    TokenFile { path: PathBuf, error: io::Error },
    /// What is in it is no token.
    Token(PathBuf),
    /// The address cannot be listened on.
    Bind { admin: String, error: io::Error },
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { admin, error } => {
                write!(
                    f,
                    "cannot find {admin}: {error}; choose another address with --admin"
                )
            }
            Self::Exposed(addr) => write!(
                f,
                "--admin {addr} is reached from other machines: give --admin-token-file, or listen on 127.0.0.1"
            ),
            Self::TokenFile { path, error } => {
                write!(f, "--admin-token-file {}: {error}", path.display())
            }
            Self::Token(path) => write!(
                f,
                "--admin-token-file {}: the first line is no token of 16 or more visible ASCII characters; \
                 make one with: openssl rand -hex 32",
                path.display()
            ),
            Self::Bind { admin, error } => {
                write!(
                    f,
                    "cannot listen on {admin}: {error}; choose another address with --admin"
                )
            }
        }
    }
}

impl core::error::Error for AdminError {}

/// What is asked for, checked as far as it can be before there is a server.
#[derive(Debug)]
pub(crate) struct Plan {
    admin: String,
    addrs: Vec<SocketAddr>,
    access: Access,
}

impl Plan {
    /// What the options say; `None`: no admin listener.
    pub(crate) fn of(options: &AdminOptions) -> Result<Option<Self>, AdminError> {
        let Some(admin) = options.admin.clone() else {
            return Ok(None);
        };
        let access = Access::new(
            options.admin_token_file.as_deref(),
            options.admin_open_metrics,
        )?;
        let addrs: Vec<SocketAddr> = match admin.to_socket_addrs() {
            Ok(addrs) => addrs.collect(),
            Err(error) => return Err(AdminError::Resolve { admin, error }),
        };
        match addrs.iter().find(|addr| !addr.ip().is_loopback()) {
            Some(addr) if !access.has_token() => Err(AdminError::Exposed(*addr)),
            _ => Ok(Some(Self {
                admin,
                addrs,
                access,
            })),
        }
    }

    /// Starts to answer about the server that `watched` reaches. `max_body` is the longest message in bytes that may be
    /// published.
    pub(crate) fn start<N: Send + 'static>(
        self,
        watched: Remote<N>,
        max_body: usize,
    ) -> Result<Running, AdminError> {
        let mut protocol = Config::default();
        protocol.max_body = max_body;
        protocol.max_message = 4096;
        let started = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (admin, access) = (self.admin, self.access);
        let builder = Server::builder()
            .workers(1)
            .max_connections(CONNECTIONS)
            .protocol(protocol);
        let start = || {
            let listening = self
                .addrs
                .iter()
                .try_fold(builder, |builder, addr| builder.listen(addr))?;
            listening.start(move |info| Admin {
                access: access.clone(),
                watched: watched.clone(),
                own: info.remote,
                started,
            })
        };
        let server = start().map_err(|error| AdminError::Bind { admin, error })?;
        for addr in server.addrs() {
            tracing::info!("admin on {addr} — open http://{addr}/dashboard");
        }
        Ok(Running(server))
    }
}

/// A running admin listener.
#[derive(Debug)]
pub(crate) struct Running(Server<Answer>);

impl Running {
    /// Ends it.
    pub(crate) fn end(self) {
        if let Err(error) = self.0.shutdown(GRACE) {
            tracing::warn!(%error, "the admin listener did not end well");
        }
    }
}
