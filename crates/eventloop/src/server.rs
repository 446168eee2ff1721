//! [`Server`] and its builder: the workers' threads, and what they share.

use core::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use wirefan_protocol::{CloseCode, Config, Millis, Timeouts};

use crate::Handler;
use crate::directory::Directory;
use crate::endpoint::{Endpoint, ListenAddr};
use crate::event_loop::{EventLoop, HandOut, MAILBOX};
use crate::limits::{Admission, Limits};
use crate::listener::{self, CAN_SHARE, SocketOptions};
use crate::mailbox::{Mailbox, Tenancy};
use crate::policy::{Policies, Policy};
use crate::remote::{Remote, WorkerInfo};
use crate::settings::{Backpressure, Settings};
use crate::shutdown::{Departures, Shutdown};
use crate::tally::Board;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::worker::{Shared, Worker};

/// A running server. Dropping it leaves it running; [`shutdown`](Self::shutdown) ends it.
///
/// `N` is the handler's [`Note`](Handler::Note).
pub struct Server<N> {
    listeners: Vec<ListenAddr>,
    addrs: Vec<SocketAddr>,
    remote: Remote<N>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Server<()> {
    /// A server to be: everything has a default but the addresses.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }
}

impl<N: Send + 'static> Server<N> {
    /// The addresses of TCP that it listens on, ports resolved.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// All that it listens on, in the order in which it was told to.
    pub fn listeners(&self) -> &[ListenAddr] {
        &self.listeners
    }

    /// A way to the workers from any thread.
    pub fn remote(&self) -> Remote<N> {
        self.remote.clone()
    }

    /// Stops accepting, closes every connection behind what it was sent, waits for their ends as long as it was told to,
    /// cuts off the rest, and returns when all is over: how they went. A [`Duration`] is the grace, and then all are closed
    /// at once with 1001; [`Shutdown`] tells more.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn shutdown(self, how: impl Into<Shutdown>) -> io::Result<Departures> {
        let remote = self.remote.clone();
        remote.shutdown(how);
        self.join()?;
        Ok(remote.departures())
    }

    /// Waits until [`Remote::shutdown`] has ended it; [`Remote::departures`] tells how that went.
    ///
    /// # Errors
    ///
    /// What a worker could not go on with: waiting for readiness failed, or the handler panicked.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in self.threads {
            let ended = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
            result = result.and(ended);
        }
        result
    }
}

impl<N> fmt::Debug for Server<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// What a server is made from.
///
/// ```
/// use std::time::Duration;
/// use wirefan_eventloop::{Server, Timeouts};
///
/// let mut timeouts = Timeouts::default();
/// timeouts.idle = Some(Duration::from_secs(600));
/// let builder = Server::builder().listen("127.0.0.1:0")?.workers(2).timeouts(timeouts);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    listen: Vec<Endpoint>,
    workers: usize,
    protocol: Config,
    timeouts: Timeouts,
    backpressure: Backpressure,
    policies: Policies,
    max_connections: usize,
    limits: Limits,
    max_mail: usize,
    share_port: bool,
    lifetime_code: CloseCode,
    sockets: SocketOptions,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            workers: thread::available_parallelism().map_or(1, usize::from),
            protocol: Config::default(),
            timeouts: Timeouts::default(),
            backpressure: Backpressure::default(),
            policies: Policies::default(),
            max_connections: 1_000_000,
            limits: Limits::default(),
            max_mail: 16 * 1024 * 1024,
            share_port: CAN_SHARE,
            lifetime_code: CloseCode::GOING_AWAY,
            sockets: SocketOptions::default(),
        }
    }
}

impl ServerBuilder {
    /// Listens on an address too; on every one that a name has. Port 0 is any free one.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved.
    pub fn listen(mut self, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let addrs = addr.to_socket_addrs()?;
        self.listen.extend(addrs.map(Endpoint::from));
        Ok(self)
    }

    /// Listens at an [`Endpoint`], which may speak TLS or read the PROXY protocol, or on a socket that is open already.
    ///
    /// ```no_run
    /// use wirefan_eventloop::{Endpoint, Server};
    ///
    /// let open = std::net::TcpListener::bind("127.0.0.1:0")?; // or inherited from systemd
    /// let behind_proxy = Endpoint::tcp("10.0.0.7:80".parse().unwrap())
    ///     .proxy_protocol("10.0.0.0/8".parse().unwrap());
    /// let builder = Server::builder().listen_on(open).listen_on(behind_proxy);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn listen_on(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.listen.push(endpoint.into());
        self
    }

    /// Listens on a Unix socket, which anybody may connect to who may write to its file: see [`Endpoint::unix`].
    #[cfg(unix)]
    #[must_use]
    pub fn listen_unix(self, path: impl Into<PathBuf>, mode: u32) -> Self {
        self.listen_on(Endpoint::unix(path, mode))
    }

    /// Listens on an address for connections over TLS, `wss://` and `https://`, beside whatever else there is.
    ///
    /// The time limit of the handshake is for TLS and HTTP together. A connection that is one too many is dropped without
    /// an answer here: a handshake for the sake of a 503 would cost more than it says.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved.
    #[cfg(feature = "tls")]
    pub fn listen_tls(mut self, addr: impl ToSocketAddrs, tls: &Tls) -> io::Result<Self> {
        let addrs = addr.to_socket_addrs()?;
        self.listen
            .extend(addrs.map(|addr| Endpoint::tcp(addr).tls(tls)));
        Ok(self)
    }

    /// The number of threads, 1 to 1024. Default: one for each core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, 1024);
        self
    }

    /// The limits of messages and handshakes.
    #[must_use]
    pub fn protocol(mut self, config: Config) -> Self {
        self.protocol = config;
        self
    }

    /// How long things may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// What happens with peers that read slowly.
    #[must_use]
    pub fn backpressure(mut self, backpressure: Backpressure) -> Self {
        self.backpressure = backpressure;
        self
    }

    /// What happens with the messages of a topic that wait for members who read slowly; `choose` is asked on each worker
    /// when the topic gets its first member there. `None`, the default: what [`backpressure`](Self::backpressure) says.
    ///
    /// In a topic with a policy, what waits for a slow reader is never compressed with the topic's history.
    #[must_use]
    pub fn topic_policy(
        mut self,
        choose: impl Fn(&str) -> Option<Policy> + Send + Sync + 'static,
    ) -> Self {
        self.policies = Policies(Some(Arc::new(choose)));
        self
    }

    /// The most connections on all workers, those in their handshake included; more are answered with 503. Default:
    /// 1,000,000.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How many may come and how fast, by address and in all, and how much each may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The most bytes in one worker's mailbox. Beyond it other threads are told that it is full, and connections whose
    /// messages fill it are not read from. Default: 16 MiB.
    #[must_use]
    pub fn max_mail(mut self, bytes: usize) -> Self {
        self.max_mail = bytes.max(1);
        self
    }

    /// Whether each worker listens for itself (`SO_REUSEPORT`), or one listens and hands out. Default: the former
    /// where the system then shares connections out evenly.
    #[must_use]
    pub fn share_port(mut self, share: bool) -> Self {
        self.share_port = share && CAN_SHARE;
        self
    }

    /// Lets other servers of the same user listen on the same addresses, now or later (`SO_REUSEPORT`): a new process can
    /// take over while this one [drains](crate::Remote::shutdown), if both are started so. Default: an address that
    /// someone else has is an error. Where the system does not share connections out evenly it makes no difference.
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.sockets.reuse_port = reuse && CAN_SHARE;
        self
    }

    /// Whether the system holds a TCP connection back until its first bytes have come, or for a second (`TCP_DEFER_ACCEPT`,
    /// on Linux only): when it is accepted there is something to read, and who connects and says nothing costs no
    /// descriptor meanwhile. A connection that is held back when its listener closes is reset. A socket that is open already stays as it is. Default: yes.
    #[must_use]
    pub fn defer_accept(mut self, defer: bool) -> Self {
        self.sockets.defer_accept = defer;
        self
    }

    /// How long data may be on its way without being acknowledged, or wait for a peer that takes nothing, before the
    /// system gives the connection up (`TCP_USER_TIMEOUT`, on Linux only); `None`: what the system does by itself, after a
    /// quarter of an hour. Such an end is [`CloseCause::Reset`](crate::CloseCause::Reset) with
    /// [`TimedOut`](io::ErrorKind::TimedOut). Default: the time of ping and pong together, which finds quiet peers that
    /// are gone, so that those with something under way are found as soon.
    #[must_use]
    pub fn tcp_user_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.sockets.user_timeout = Some(timeout);
        self
    }

    /// The code for connections that have lasted their [lifetime](Timeouts::lifetime). Default: 1001.
    #[must_use]
    pub fn lifetime_code(mut self, code: CloseCode) -> Self {
        self.lifetime_code = code;
        self
    }

    /// Binds the addresses and starts the workers; `make` makes the handler of each, on its thread.
    ///
    /// # Errors
    ///
    /// There is no address, or one cannot be bound: [`AddrInUse`](io::ErrorKind::AddrInUse) where another server has
    /// it, or a live server the Unix socket; [`AlreadyExists`](io::ErrorKind::AlreadyExists) where the file of one is no
    /// socket.
    pub fn start<H: Handler>(
        self,
        make: impl Fn(WorkerInfo<H>) -> H + Send + Clone + 'static,
    ) -> io::Result<Server<H::Note>> {
        if self.listen.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no address to listen on",
            ));
        }
        self.launch(make)
    }

    /// Starts the workers, whether there is an address or not.
    pub(crate) fn launch<H: Handler>(
        self,
        make: impl Fn(WorkerInfo<H>) -> H + Send + Clone + 'static,
    ) -> io::Result<Server<H::Note>> {
        let mut listeners: Vec<Vec<_>> = (0..self.workers).map(|_| Vec::new()).collect();
        let mut addrs = Vec::new();
        let sockets = if self.share_port { self.workers } else { 1 };
        let options = self.sockets.with_times(&self.timeouts);
        for endpoint in &self.listen {
            let bound = listener::listen(endpoint, sockets, options)?;
            if let Some(first) = bound.first() {
                addrs.push(first.addr()?);
            }
            for (listeners, listener) in listeners.iter_mut().zip(bound) {
                listeners.push(listener);
            }
        }
        let polls = (0..self.workers)
            .map(|_| Poll::new())
            .collect::<io::Result<Vec<_>>>()?;
        let mailboxes = polls
            .iter()
            .map(|poll| mailbox(poll, self.max_mail))
            .collect::<io::Result<_>>()?;
        let shared = Shared {
            directory: Arc::new(Directory::new(self.workers)),
            mailboxes,
            connections: Arc::new(AtomicUsize::new(0)),
            boards: (0..self.workers).map(|_| Board::new()).collect(),
            draining: Arc::default(),
            settings: Arc::new(Settings {
                protocol: Arc::new(self.protocol),
                timeouts: self.timeouts,
                backpressure: self.backpressure,
                policies: self.policies,
                max_connections: self.max_connections,
                lifetime_code: self.lifetime_code,
                admission: Admission::new(self.limits),
            }),
        };
        let remote = Remote {
            mailboxes: Arc::clone(&shared.mailboxes),
            directory: Arc::clone(&shared.directory),
            boards: Arc::clone(&shared.boards),
            draining: Arc::clone(&shared.draining),
            #[cfg(feature = "client")]
            peer: core::any::TypeId::of::<H::Peer>(),
        };
        let mut threads = Vec::new();
        for ((poll, listeners), index) in polls.into_iter().zip(listeners).zip(0..) {
            let (make, shared) = (make.clone(), shared.clone());
            let info = WorkerInfo {
                index: usize::from(index),
                remote: remote.clone(),
            };
            let hand_out = (self.workers > 1).then(|| HandOut {
                mailboxes: Arc::clone(&shared.mailboxes),
                next: 0,
            });
            let tenancy = Tenancy {
                mailboxes: Arc::clone(&shared.mailboxes),
                worker: index,
            };
            let thread = thread::Builder::new()
                .name(format!("wirefan-{index}"))
                .spawn(move || {
                    // It ends behind the worker, also where the handler panics.
                    let _tenancy = tenancy;
                    let start = Instant::now();
                    let worker = Worker::new(index, make(info), shared, Millis(0));
                    EventLoop::new(poll, worker, listeners, hand_out, start)?.run()
                })?;
            threads.push(thread);
        }
        let of_tcp = |addr: &ListenAddr| match addr {
            ListenAddr::Tcp(addr) => Some(*addr),
            ListenAddr::Unix(_) => None,
        };
        Ok(Server {
            addrs: addrs.iter().filter_map(of_tcp).collect(),
            listeners: addrs,
            remote,
            threads,
        })
    }
}

fn mailbox<N>(poll: &Poll, limit: usize) -> io::Result<Arc<Mailbox<N>>> {
    let waker = Waker::new(poll.registry(), MAILBOX)?;
    Ok(Arc::new(Mailbox::new(limit, move || {
        // It fails only where the worker has ended.
        let _ = waker.wake();
    })))
}
