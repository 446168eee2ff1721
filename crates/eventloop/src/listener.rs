//! [`Listener`]: sockets that accept. A port is probed before it is shared, errors never kill or spin the loop, and what
//! waits in a queue is taken in before the listener closes.

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Source;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use wirefan_admission::Networks;
use wirefan_protocol::{Millis, Timeouts};

use crate::endpoint::{Endpoint, ListenAddr, Place};
use crate::stream::Stream;
use crate::tcp;
use crate::tls::Tls;
#[cfg(unix)]
use crate::unix_socket::{self, SocketFile};

/// Connections that the system keeps until they are accepted.
pub(crate) const BACKLOG: i32 = 4096;
/// Connections taken in one turn, so that a storm of them does not starve those that are there.
const BATCH: usize = 256;
/// The first and the longest pause after an error such as too many open files.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Whether several sockets may listen on one port, the system sharing out what comes.
pub(crate) const CAN_SHARE: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd"
));

/// What is asked of the system for every socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// Others may listen on the same port.
    pub(crate) reuse_port: bool,
    /// A connection is held back until its first bytes have come.
    pub(crate) defer_accept: bool,
    /// How long data may go unacknowledged, as it was set; `None`: it was not.
    pub(crate) user_timeout: Option<Option<Duration>>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            reuse_port: false,
            defer_accept: true,
            user_timeout: None,
        }
    }
}

impl SocketOptions {
    /// Chooses what was not set.
    pub(crate) fn with_times(self, timeouts: &Timeouts) -> Self {
        let by_default = || timeouts.ping.map(|ping| ping.saturating_add(timeouts.pong));
        Self {
            user_timeout: Some(self.user_timeout.unwrap_or_else(by_default)),
            ..self
        }
    }
}

#[derive(Debug)]
pub(crate) struct Listener {
    socket: Acceptor,
    /// What its connections speak, if not plain HTTP.
    tls: Option<Tls>,
    /// Who tells whom they are from, if they do.
    proxies: Option<Arc<Networks>>,
    /// The only one of its kind: other workers get connections from here.
    pub(crate) alone: bool,
    /// Somebody else has it open too: what waits in its queue is for whoever accepts next.
    pub(crate) stays_open: bool,
    /// There may be more to accept.
    ready: bool,
    /// Accepting failed: until when to leave it alone, and for how long the next time.
    pause: Option<(Millis, Duration)>,
}

#[derive(Debug)]
enum Acceptor {
    Tcp(TcpListener),
    /// With the file, which goes when the listener does, unless somebody else has made it.
    #[cfg(unix)]
    Unix(UnixListener, Option<SocketFile>),
}

/// A connection that has been accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    /// `None`: it came on a Unix socket.
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxies: Option<Arc<Networks>>,
}

/// Listens at an endpoint: for each of `workers`, or where that cannot be, for the first of them alone.
pub(crate) fn listen(
    endpoint: &Endpoint,
    workers: usize,
    options: SocketOptions,
) -> io::Result<Vec<Listener>> {
    let sockets = match &endpoint.place {
        Place::Tcp(addr) => bind(*addr, workers, options)?
            .into_iter()
            .map(Acceptor::Tcp)
            .collect(),
        Place::OpenTcp(socket) => {
            let socket = socket.try_clone()?;
            socket.set_nonblocking(true)?;
            // Accepted sockets inherit it on Linux.
            let _ = SockRef::from(&socket).set_tcp_nodelay(true);
            set_user_timeout(&SockRef::from(&socket), options)?;
            vec![Acceptor::Tcp(TcpListener::from_std(socket))]
        }
        #[cfg(unix)]
        Place::Unix(path, mode) => {
            let (socket, file) = unix_socket::bind(path, *mode)?;
            vec![Acceptor::Unix(socket, Some(file))]
        }
        #[cfg(unix)]
        Place::OpenUnix(socket) => {
            let socket = socket.try_clone()?;
            socket.set_nonblocking(true)?;
            vec![Acceptor::Unix(UnixListener::from_std(socket), None)]
        }
    };
    let alone = sockets.len() == 1;
    let stays_open = endpoint.is_open();
    let listener = |socket| Listener {
        socket,
        tls: endpoint.tls.clone(),
        proxies: endpoint.proxies.clone(),
        alone,
        stays_open,
        ready: true,
        pause: None,
    };
    Ok(sockets.into_iter().map(listener).collect())
}

/// Binds `addr` for `workers` listeners, the port being the same for all if it is 0. A port that someone else has is an
/// error, though the sockets would be able to share it.
fn bind(addr: SocketAddr, workers: usize, options: SocketOptions) -> io::Result<Vec<TcpListener>> {
    // Another server that shares its port would let us in and lose half of its connections to us, unless that is wanted.
    let probe = socket(addr, options.reuse_port)?;
    let addr = probe.local_addr()?.as_socket().unwrap_or(addr);
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = socket(addr, workers > 1 || options.reuse_port)?;
            set_user_timeout(&SockRef::from(&socket), options)?;
            if options.defer_accept {
                // Without it all is the same, and costs a little more.
                let _ = tcp::defer_accept(&socket);
            }
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(TcpListener::from_std(socket.into()))
        })
        .collect()
}

/// Accepted sockets inherit this too.
fn set_user_timeout(socket: &SockRef<'_>, options: SocketOptions) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(timeout) = options.user_timeout.flatten() {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, options);
    Ok(())
}

fn socket(addr: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Without it the port of a server that has just ended could not be used again for a minute.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    socket.set_reuse_port(shared)?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = shared;
    if addr.is_ipv6() {
        // `[::]:80` beside `0.0.0.0:80` are two listeners, as everywhere else.
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it on Linux, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

impl Acceptor {
    fn accept(&mut self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, addr) = listener.accept()?;
                if !cfg!(target_os = "linux") {
                    let _ = socket.set_nodelay(true);
                }
                Ok((Stream::Tcp(socket), Some(addr)))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                let (socket, _) = listener.accept()?;
                Ok((Stream::Unix(socket), None))
            }
        }
    }
}

impl Listener {
    /// To be registered.
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Acceptor::Tcp(listener) => listener,
            #[cfg(unix)]
            Acceptor::Unix(listener, _) => listener,
        }
    }

    /// Where it can be reached.
    pub(crate) fn addr(&self) -> io::Result<ListenAddr> {
        match &self.socket {
            Acceptor::Tcp(listener) => listener.local_addr().map(ListenAddr::Tcp),
            #[cfg(unix)]
            Acceptor::Unix(listener, file) => {
                let path = match file {
                    Some(file) => Some(file.path().to_owned()),
                    None => listener.local_addr()?.as_pathname().map(Into::into),
                };
                Ok(ListenAddr::Unix(path))
            }
        }
    }

    /// Readiness was told.
    pub(crate) fn ready(&mut self) {
        self.ready = true;
    }

    /// Accepts what waits, at most a batch of it.
    pub(crate) fn accept(&mut self, now: Millis, mut take: impl FnMut(Arrival)) {
        if !self.is_due(now) {
            return;
        }
        for _ in 0..BATCH {
            match self.socket.accept() {
                Ok((stream, addr)) => {
                    self.pause = None;
                    take(Arrival {
                        stream,
                        addr,
                        tls: self.tls.clone(),
                        proxies: self.proxies.clone(),
                    });
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.ready = false;
                        return;
                    }
                    // The peer was gone before we came.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        let pause = self
                            .pause
                            .map_or(PAUSE.0, |(_, last)| (last * 2).min(PAUSE.1));
                        tracing::warn!(%error, ?pause, "cannot accept connections");
                        self.pause = Some((now.after(pause), pause));
                        return;
                    }
                },
            }
        }
    }

    /// Whether there may be something to accept.
    #[inline]
    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.next_try().is_some_and(|next| next <= now)
    }

    /// When to accept again without being told; `None`: nothing waits.
    pub(crate) fn next_try(&self) -> Option<Millis> {
        if !self.ready {
            return None;
        }
        Some(self.pause.map_or(Millis(0), |(until, _)| until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream as StdStream;

    fn any_port() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    /// Clients need not say anything.
    const SILENT: SocketOptions = SocketOptions {
        reuse_port: false,
        defer_accept: false,
        user_timeout: None,
    };

    fn listen_with(options: SocketOptions) -> (Listener, SocketAddr) {
        let endpoint = Endpoint::from(any_port());
        let listener = listen(&endpoint, 1, options).unwrap().remove(0);
        let Ok(ListenAddr::Tcp(addr)) = listener.addr() else {
            panic!("no address");
        };
        (listener, addr)
    }

    #[test]
    fn port_0_is_the_same_port_for_all_workers() {
        let listeners = bind(any_port(), 3, SocketOptions::default()).unwrap();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert!(
            ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
            "{ports:?}"
        );
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_even_if_its_owner_shares_it() {
        let listeners = bind(any_port(), 2, SocketOptions::default()).unwrap();
        let addr = listeners[0].local_addr().unwrap();
        for workers in [1, 2] {
            assert_eq!(
                bind(addr, workers, SocketOptions::default())
                    .unwrap_err()
                    .kind(),
                io::ErrorKind::AddrInUse
            );
        }
    }

    #[test]
    fn a_batch_leaves_the_rest_for_the_next_turn() {
        let (mut listener, addr) = listen_with(SILENT);
        let _clients: Vec<_> = (0..BATCH + 1)
            .map(|_| StdStream::connect(addr).unwrap())
            .collect();
        let mut count = 0;
        listener.accept(Millis(1), |_| count += 1);
        assert_eq!((count, listener.next_try()), (BATCH, Some(Millis(0))));
        listener.accept(Millis(1), |_| count += 1);
        assert_eq!((count, listener.next_try()), (BATCH + 1, None));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_connection_is_held_back_until_its_first_bytes_have_come_or_for_a_while() {
        use std::{io::Write, thread, time::Instant};

        let (mut listener, addr) = listen_with(SocketOptions::default());
        let mut accepted = |wait: Duration| {
            let (mut count, end) = (0, Instant::now() + wait);
            while count == 0 && Instant::now() < end {
                listener.ready();
                listener.accept(Millis(1), |_| count += 1);
                thread::sleep(Duration::from_millis(1));
            }
            count
        };
        let mut client = StdStream::connect(addr).unwrap();
        assert_eq!(accepted(Duration::from_millis(100)), 0);
        client.write_all(b"GET").unwrap();
        assert_eq!(accepted(Duration::from_secs(30)), 1);
        let _silent = StdStream::connect(addr).unwrap();
        assert_eq!(accepted(Duration::from_secs(30)), 1, "it is never let in");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn accepted_sockets_inherit_the_user_timeout() {
        let mut timeouts = Timeouts::default();
        let set = |options: SocketOptions, timeouts: &Timeouts| {
            let (mut listener, addr) = listen_with(options.with_times(timeouts));
            let _client = StdStream::connect(addr).unwrap();
            let mut got = None;
            listener.accept(Millis(1), |arrival| {
                let Stream::Tcp(stream) = &arrival.stream else {
                    panic!("not TCP");
                };
                got = Some(SockRef::from(stream).tcp_user_timeout().unwrap());
            });
            got.expect("a connection")
        };
        let by_default = SILENT;
        assert_eq!(set(by_default, &timeouts), Some(Duration::from_secs(35)));
        timeouts.ping = None;
        assert_eq!(set(by_default, &timeouts), None);
        for own in [None, Some(Duration::from_millis(1500))] {
            let options = SocketOptions {
                user_timeout: Some(own),
                ..by_default
            };
            assert_eq!(set(options, &Timeouts::default()), own);
        }
    }
}
