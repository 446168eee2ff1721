//! [`Listener`]: sockets that accept. A port is probed before it is shared, errors never kill or spin the loop, and what
//! waits in a queue is taken in before the listener closes.

use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use wirefan_protocol::{Millis, Timeouts};

use crate::tls::Tls;

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 4096;
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketOptions {
    /// Others may listen on the same port.
    pub(crate) reuse_port: bool,
    /// How long data may go unacknowledged, as it was set; `None`: it was not.
    pub(crate) user_timeout: Option<Option<Duration>>,
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
    pub(crate) socket: TcpListener,
    /// What its connections speak, if not plain HTTP.
    tls: Option<Tls>,
    /// There may be more to accept.
    ready: bool,
    /// Accepting failed: until when to leave it alone, and for how long the next time.
    pause: Option<(Millis, Duration)>,
}

/// A connection that has been accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: TcpStream,
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Option<Tls>,
}

/// Binds `addr` for `workers` listeners, the port being the same for all if it is 0. A port that someone else has is an
/// error, though the sockets would be able to share it.
pub(crate) fn bind(
    addr: SocketAddr,
    tls: Option<&Tls>,
    workers: usize,
    options: SocketOptions,
) -> io::Result<Vec<Listener>> {
    // Another server that shares its port would let us in and lose half of its connections to us, unless that is wanted.
    let probe = socket(addr, options.reuse_port)?;
    let addr = probe.local_addr()?.as_socket().unwrap_or(addr);
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = socket(addr, workers > 1 || options.reuse_port)?;
            // Accepted sockets inherit this too.
            #[cfg(target_os = "linux")]
            if let Some(timeout) = options.user_timeout.flatten() {
                socket.set_tcp_user_timeout(Some(timeout))?;
            }
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(Listener {
                socket: TcpListener::from_std(socket.into()),
                tls: tls.cloned(),
                ready: true,
                pause: None,
            })
        })
        .collect()
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

impl Listener {
    /// Readiness was told.
    pub(crate) fn ready(&mut self) {
        self.ready = true;
    }

    /// Accepts what waits, at most a batch of it.
    pub(crate) fn accept(&mut self, now: Millis, mut take: impl FnMut(Arrival)) {
        if self.next_try().is_none_or(|next| next > now) {
            return;
        }
        for _ in 0..BATCH {
            match self.socket.accept() {
                Ok((socket, addr)) => {
                    self.pause = None;
                    if !cfg!(target_os = "linux") {
                        let _ = socket.set_nodelay(true);
                    }
                    let tls = self.tls.clone();
                    take(Arrival { socket, addr, tls });
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

    #[test]
    fn port_0_is_the_same_port_for_all_workers() {
        let listeners = bind(
            ([127, 0, 0, 1], 0).into(),
            None,
            3,
            SocketOptions::default(),
        )
        .unwrap();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.socket.local_addr().unwrap().port())
            .collect();
        assert!(
            ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
            "{ports:?}"
        );
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_even_if_its_owner_shares_it() {
        let listeners = bind(
            ([127, 0, 0, 1], 0).into(),
            None,
            2,
            SocketOptions::default(),
        )
        .unwrap();
        let addr = listeners[0].socket.local_addr().unwrap();
        for workers in [1, 2] {
            assert_eq!(
                bind(addr, None, workers, SocketOptions::default())
                    .unwrap_err()
                    .kind(),
                io::ErrorKind::AddrInUse
            );
        }
    }

    #[test]
    fn a_batch_leaves_the_rest_for_the_next_turn() {
        let mut listener = bind(
            ([127, 0, 0, 1], 0).into(),
            None,
            1,
            SocketOptions::default(),
        )
        .unwrap()
        .remove(0);
        let addr = listener.socket.local_addr().unwrap();
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
    fn accepted_sockets_inherit_the_user_timeout() {
        let mut timeouts = Timeouts::default();
        let set = |options: SocketOptions, timeouts: &Timeouts| {
            let options = options.with_times(timeouts);
            let mut listener = bind(([127, 0, 0, 1], 0).into(), None, 1, options)
                .unwrap()
                .remove(0);
            let _client = StdStream::connect(listener.socket.local_addr().unwrap()).unwrap();
            let mut got = None;
            listener.accept(Millis(1), |arrival| {
                let socket = socket2::SockRef::from(&arrival.socket);
                got = Some(socket.tcp_user_timeout().unwrap());
            });
            got.expect("a connection")
        };
        let by_default = SocketOptions::default();
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
