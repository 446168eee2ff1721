//! One server from its start to its end, and why it may not start. Called by `main`.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use wirefan_eventloop::{Departures, Endpoint, ListenAddr, Server, ServerBuilder, Tls, TlsError};

use crate::admin::{self, AdminError};
use crate::broadcast::Broadcast;
use crate::config::Configuration;
use crate::door::{Door, DoorError, Doorkeeper, Verdict};
use crate::echo::Echo;
use crate::inherited::{self, Inherited};
use crate::listen::Listen;
use crate::options::{self, Serve};
use crate::self_signed::{SelfSigned, SelfSignedError};
use crate::static_files::FolderError;
use crate::subprotocol::Subprotocols;
use crate::tls::Contents;
use crate::visits::Visits;
use crate::{limits, reload};

/// Why there is no server any more, or never was. Said in one line, with what to do about it.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A name cannot be resolved.
    Resolve { listen: String, error: io::Error },
    /// An address cannot be listened on.
    Bind { addr: SocketAddr, error: io::Error },
    /// Sockets that were opened for us are of no use.
    Inherited(io::Error),
    /// Signals cannot be caught.
    #[cfg(unix)]
    Signals(io::Error),
    /// The folder of static files cannot be used.
    Files(FolderError),
    /// Nobody could be let in.
    Door(DoorError),
    /// The certificates cannot be used.
    Tls(TlsError),
    /// A certificate cannot be made.
    SelfSigned(SelfSignedError),
    /// There cannot be an admin listener.
    Admin(AdminError),
    /// The server could not start or go on.
    Loop(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { listen, error } => write!(
                f,
                "cannot find {listen}: {error}; check the name, or choose an address with --listen 127.0.0.1:9001"
            ),
            Self::Bind { addr, error } => match error.kind() {
                io::ErrorKind::AddrInUse => write!(
                    f,
                    "{addr} is already in use; stop the other server or choose another port with --listen {}",
                    SocketAddr::new(addr.ip(), addr.port().checked_add(1).unwrap_or(9001))
                ),
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "{addr} may not be listened on by this user; choose a port from 1024 on with --listen {}",
                    SocketAddr::new(addr.ip(), 9001)
                ),
                io::ErrorKind::AddrNotAvailable => write!(
                    f,
                    "{addr} is not an address of this machine; choose one, or all of them with --listen 0.0.0.0:{}",
                    addr.port()
                ),
                _ => write!(
                    f,
                    "cannot listen on {addr}: {error}; choose another address with --listen"
                ),
            },
            Self::Inherited(error) => write!(
                f,
                "cannot listen on the sockets of LISTEN_FDS: {error}; systemd gives them with Type=stream sockets"
            ),
            #[cfg(unix)]
            Self::Signals(error) => write!(f, "cannot catch signals: {error}"),
            Self::Files(error) => write!(f, "{error}"),
            Self::Door(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::SelfSigned(error) => write!(f, "{error}"),
            Self::Admin(error) => write!(f, "{error}"),
            Self::Loop(error) => write!(f, "the server cannot run: {error}"),
        }
    }
}

impl core::error::Error for RunError {}

/// Sends messages back until a signal ends it.
pub(crate) fn echo(serve: &Serve) -> Result<Departures, RunError> {
    let visits = Visits::default();
    let (counts, subprotocols) = (visits.clone(), Subprotocols::new(&serve.subprotocol));
    let files = serve.files.read().map_err(RunError::Files)?;
    run(serve, visits, |builder, door| {
        builder.start(move |worker| Echo {
            door: Doorkeeper::new(Arc::clone(&door), subprotocols.clone(), worker.remote),
            visits: counts.clone(),
            files: files.clone(),
        })
    })
}

/// Sends messages on until a signal ends it.
pub(crate) fn broadcast(options: &options::Broadcast) -> Result<Departures, RunError> {
    let (serve, visits) = (&options.serve, Visits::default());
    let (counts, subprotocols) = (visits.clone(), Subprotocols::new(&serve.subprotocol));
    let to_sender = options.to_sender;
    let files = serve.files.read().map_err(RunError::Files)?;
    let policy = options.slow_readers.policy();
    run(serve, visits, |builder, door| {
        let builder = builder.topic_policy(move |_| policy);
        builder.start(move |worker| Broadcast {
            to_sender,
            door: Doorkeeper::new(Arc::clone(&door), subprotocols.clone(), worker.remote),
            visits: counts.clone(),
            files: files.clone(),
        })
    })
}

fn run(
    serve: &Serve,
    visits: Visits,
    start: impl FnOnce(ServerBuilder, Arc<Door>) -> io::Result<Server<Verdict>>,
) -> Result<Departures, RunError> {
    #[cfg(unix)]
    let configuration = Configuration::of(serve);
    let (files, authorities) = (serve.tls.files(), serve.door.files());
    #[cfg(unix)]
    let signals =
        crate::signals::catch(files.is_some() || authorities.is_some() || configuration.is_some())
            .map_err(RunError::Signals)?;
    let inherited = inherited::take().map_err(RunError::Inherited)?;
    let listen = match inherited.is_empty() || serve.listens_as_told() {
        true => serve.listen(),
        false => Vec::new(),
    };
    let addrs = resolve(&listen)?;
    // Before they are used: what changes from now on is noticed.
    let files = serve.tls.files().map(|files| (files.contents(), files));
    let (tls, made) = certificates(serve, &addrs)?;
    let authorities = authorities.map(|files| (Contents::of(files.paths()), files));
    let per_address = serve.admission.per_address();
    let door =
        Arc::new(Door::new(&serve.door, &serve.proxies, per_address).map_err(RunError::Door)?);
    let admin = admin::Plan::of(&serve.admin).map_err(RunError::Admin)?;
    let endpoints = endpoints(&listen, &addrs, inherited, tls.as_ref());
    let secure: Vec<bool> = endpoints.iter().map(|(_, tls)| *tls).collect();
    let server = start(builder(serve, endpoints), Arc::clone(&door))
        .map_err(|error| blame(&addrs, error))?;
    for (addr, tls) in server.listeners().iter().zip(&secure) {
        match addr {
            ListenAddr::Tcp(addr) => {
                let scheme = if *tls { "https" } else { "http" };
                let open = within_reach(*addr);
                tracing::info!("listening on {addr} — open {scheme}://{open}/");
            }
            ListenAddr::Unix(_) => tracing::info!("listening on {addr}"),
        }
    }
    let admin = admin
        .map(|plan| plan.start(server.remote(), serve.max_message()))
        .transpose()
        .map_err(RunError::Admin)?;
    let mut secure = server.listeners().iter().zip(secure);
    let secure = secure.find_map(|(addr, tls)| match addr {
        ListenAddr::Tcp(addr) if tls => Some(*addr),
        _ => None,
    });
    let written = match (&made, secure) {
        (Some(made), Some(addr)) => Some(tell_how_to_trust(made, addr)?),
        _ => None,
    };
    #[cfg(unix)]
    let configuration = configuration.map(|it| it.followed_by(files.as_ref().map(|(_, it)| it)));
    let certificates = tls
        .zip(files)
        .map(|(tls, (contents, files))| reload::watch((tls, files), contents));
    let tokens = authorities.map(|(contents, files)| reload::watch((door, files), contents));
    let reload: Vec<_> = certificates.into_iter().chain(tokens).collect();
    #[cfg(unix)]
    crate::signals::watch(
        signals,
        server.remote(),
        serve.leaving.shutdown(serve.shutdown_grace),
        visits.clone(),
        reload,
        configuration,
    );
    let remote = server.remote();
    let ended = server.join();
    if let Some(admin) = admin {
        admin.end();
    }
    if let Some(folder) = written.as_deref().and_then(Path::parent) {
        // It is of no use any more.
        let _ = fs::remove_dir_all(folder);
    }
    ended.map_err(RunError::Loop)?;
    let (connections, messages) = visits.totals();
    let departures = remote.departures();
    let Departures {
        left, lost, cut, ..
    } = departures;
    if departures.is_clean() {
        tracing::info!(connections, messages, left, lost, "ended");
    } else {
        tracing::warn!(
            connections,
            messages,
            left,
            lost,
            cut,
            "ended, and had to cut off connections"
        );
    }
    Ok(departures)
}

/// What TLS is spoken with, and the certificate if it is one of ours.
fn certificates(
    serve: &Serve,
    addrs: &[(SocketAddr, bool)],
) -> Result<(Option<Tls>, Option<SelfSigned>), RunError> {
    if let Some(files) = serve.tls.files() {
        let config = files.load().map_err(RunError::Tls)?;
        return Ok((Some(Tls::new(config)), None));
    }
    if !serve.tls.tls_self_signed {
        return Ok((None, None));
    }
    let addrs: Vec<SocketAddr> = addrs.iter().map(|(addr, _)| *addr).collect();
    let made = SelfSigned::make(&addrs).map_err(RunError::SelfSigned)?;
    let config = made.config().map_err(RunError::SelfSigned)?;
    Ok((Some(Tls::new(config)), Some(made)))
}

/// Writes the certificate for those who are to trust it, and says how; returns where it is.
fn tell_how_to_trust(made: &SelfSigned, addr: SocketAddr) -> Result<PathBuf, RunError> {
    let written = made
        .write(&std::env::temp_dir())
        .map_err(RunError::SelfSigned)?;
    let (path, port) = (written.display(), addr.port());
    tracing::info!("certificate: {path}, SHA-256 {}", made.fingerprint());
    tracing::info!("  curl:    curl --cacert {path} https://localhost:{port}/");
    tracing::info!("  Node:    NODE_EXTRA_CA_CERTS={path} npx wscat -c wss://localhost:{port}/");
    tracing::info!(
        "  browser: go on behind its warning if it shows this SHA-256, or import the file"
    );
    Ok(written)
}

/// The addresses of all names, each once and in their order.
fn resolve(listen: &[Listen]) -> Result<Vec<(SocketAddr, bool)>, RunError> {
    let mut addrs = Vec::new();
    for listen in listen.iter().filter(|listen| listen.unix.is_none()) {
        let found = listen
            .addr
            .to_socket_addrs()
            .map_err(|error| RunError::Resolve {
                listen: listen.addr.clone(),
                error,
            })?;
        for addr in found {
            // Port 0 is another port each time.
            if addr.port() == 0 || !addrs.contains(&(addr, listen.tls)) {
                addrs.push((addr, listen.tls));
            }
        }
    }
    Ok(addrs)
}

/// All that is to be listened on, and whether it speaks TLS.
fn endpoints(
    listen: &[Listen],
    addrs: &[(SocketAddr, bool)],
    inherited: Vec<Inherited>,
    tls: Option<&Tls>,
) -> Vec<(Endpoint, bool)> {
    let over = |endpoint: Endpoint, tls: Option<&Tls>| match tls {
        Some(tls) => (endpoint.tls(tls), true),
        None => (endpoint, false),
    };
    let mut endpoints: Vec<(Endpoint, bool)> = addrs
        .iter()
        .map(|(addr, over_tls)| over(Endpoint::tcp(*addr), tls.filter(|_| *over_tls)))
        .collect();
    #[cfg(not(unix))]
    let _ = listen;
    #[cfg(unix)]
    for listen in listen {
        if let Some(mode) = listen.unix {
            endpoints.push((Endpoint::unix(&listen.addr, mode), false));
        }
    }
    for socket in inherited {
        endpoints.push(over(socket.endpoint, tls.filter(|_| socket.may_speak_tls)));
    }
    endpoints
}

fn builder(serve: &Serve, endpoints: Vec<(Endpoint, bool)>) -> ServerBuilder {
    let (files, workers) = (limits::raise_open_files(), serve.workers());
    let fitting = limits::connections_within(files, workers, endpoints.len());
    let connections = match serve.max_connections {
        Some(asked) if asked.get() > fitting && fitting < limits::ENOUGH => {
            tracing::warn!(
                "--max-connections {asked} is more than the {fitting} that fit into {files} open files: \
                 raise the limit (ulimit -Hn)"
            );
            asked.get()
        }
        Some(asked) => asked.get(),
        None => fitting,
    };
    tracing::debug!(workers, connections, files, "starting");
    let mut builder = Server::builder()
        .workers(workers)
        .max_connections(connections)
        .protocol(serve.protocol())
        .timeouts(serve.timeouts())
        .backpressure(serve.backpressure())
        .lifetime_code(serve.leaving.code())
        .reuse_port(serve.leaving.reuse_port)
        .limits(serve.admission.limits(serve.proxies.networks()));
    builder = serve.endurance.build(builder);
    for (endpoint, _) in endpoints {
        builder = builder.listen_on(match serve.admission.proxy_protocol {
            true => endpoint.proxy_protocol(serve.proxies.networks()),
            false => endpoint,
        });
    }
    builder
}

/// Finds the address that the error is about: it is still there.
fn blame(addrs: &[(SocketAddr, bool)], error: io::Error) -> RunError {
    let refused = addrs
        .iter()
        .map(|(addr, _)| addr)
        .find(|addr| TcpListener::bind(addr).is_err_and(|again| again.kind() == error.kind()));
    match refused {
        Some(addr) => RunError::Bind { addr: *addr, error },
        None => RunError::Loop(error),
    }
}

/// An address to open in a browser on this machine.
fn within_reach(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line_with_a_way_out() {
        let bind = |kind: io::ErrorKind, addr: &str| RunError::Bind {
            addr: addr.parse().unwrap(),
            error: kind.into(),
        };
        for (error, way_out) in [
            (
                bind(io::ErrorKind::AddrInUse, "127.0.0.1:9001"),
                "--listen 127.0.0.1:9002",
            ),
            (
                bind(io::ErrorKind::AddrInUse, "[::1]:65535"),
                "--listen [::1]:9001",
            ),
            (
                bind(io::ErrorKind::PermissionDenied, "0.0.0.0:80"),
                "--listen 0.0.0.0:9001",
            ),
            (
                bind(io::ErrorKind::AddrNotAvailable, "192.0.2.1:80"),
                "--listen 0.0.0.0:80",
            ),
            (bind(io::ErrorKind::Other, "127.0.0.1:1"), "--listen"),
            (
                RunError::Resolve {
                    listen: "nowhere:1".into(),
                    error: io::ErrorKind::Other.into(),
                },
                "--listen 127.0.0.1:9001",
            ),
        ] {
            let text = error.to_string();
            assert!(text.contains(way_out), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn an_address_is_listened_on_once() {
        let listen = [
            "127.0.0.1:9001",
            "127.0.0.1:9001",
            "127.0.0.1:0",
            "127.0.0.1:0",
        ];
        let listen = listen.map(|listen| Listen::parse(listen).unwrap());
        let addrs = resolve(&listen).unwrap();
        let ports: Vec<u16> = addrs.iter().map(|(addr, _)| addr.port()).collect();
        assert_eq!(ports, [9001, 0, 0]);
    }

    #[test]
    fn the_blame_falls_on_the_address_that_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        match blame(
            &[(free, false), (taken, false)],
            io::ErrorKind::AddrInUse.into(),
        ) {
            RunError::Bind { addr, .. } => assert_eq!(addr, taken),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_to_open_is_an_address_that_a_browser_takes() {
        for (addr, open) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(within_reach(addr.parse().unwrap()).to_string(), open);
        }
    }
}
