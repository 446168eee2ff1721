//! [`Client`] and its builder: a loop of its own for an application that dials and does not listen.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;
use std::time::Duration;

use wirefan_protocol::{Config, Timeouts};

use super::Dial;
use crate::remote::{Remote, WorkerInfo};
use crate::{Backpressure, Handler, MailboxFull, Server, ServerBuilder};

/// A running loop without listeners. Dropping it leaves it running; [`shutdown`](Self::shutdown) ends it.
///
/// A server dials with [`Ctx::dial`](crate::Ctx::dial) or [`Remote::dial`] and needs none of these.
///
/// `N` is the handler's [`Note`](Handler::Note) and `P` its [`Peer`](Handler::Peer).
pub struct Client<N, P> {
    server: Server<N>,
    next: AtomicUsize,
    peer: PhantomData<fn(P)>,
}

impl<N: Send + 'static, P: 'static> Client<N, P> {
    /// Opens a connection. [`Handler::open`] tells when it is, [`Handler::closed`] that it is not any more, or never
    /// was; `peer` comes back there in either case. With several workers each has its turn.
    ///
    /// # Errors
    ///
    /// [`MailboxFull`].
    pub fn dial(&self, dial: Dial, peer: P) -> Result<(), MailboxFull>
    where
        P: Send,
    {
        let remote = self.server.remote();
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % remote.workers();
        remote.dial(worker, dial, peer)
    }

    /// A way to the workers from any thread.
    pub fn remote(&self) -> Remote<N> {
        self.server.remote()
    }

    /// Closes every connection with 1001, waits for their ends at most for `grace`, drops the rest, and returns when all
    /// is over.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn shutdown(self, grace: Duration) -> io::Result<()> {
        self.server.shutdown(grace).map(drop)
    }

    /// Waits until [`Remote::shutdown`] has ended it.
    ///
    /// # Errors
    ///
    /// What a worker could not go on with: waiting for readiness failed, or the handler panicked.
    pub fn join(self) -> io::Result<()> {
        self.server.join()
    }
}

impl Client<(), ()> {
    /// A client to be; everything has a default.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl<N, P> fmt::Debug for Client<N, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct ClientBuilder(ServerBuilder);

impl Default for ClientBuilder {
    fn default() -> Self {
        Self(Server::builder().workers(1))
    }
}

impl ClientBuilder {
    /// The number of threads, each with its own poll and connections. Default: 1.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self(self.0.workers(workers))
    }

    /// Limits and compression of connections that do not bring [their own](Dial::config). Compression is offered if it
    /// is set. Default: [`Config::default`].
    #[must_use]
    pub fn protocol(self, config: Config) -> Self {
        Self(self.0.protocol(config))
    }

    /// How long things may take, and how often a quiet server is sent a ping. That of the handshake is each dial's own
    /// ([`Dial::handshake_timeout`]).
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self(self.0.timeouts(timeouts))
    }

    /// What about servers that do not read what they are sent.
    #[must_use]
    pub fn backpressure(self, backpressure: Backpressure) -> Self {
        Self(self.0.backpressure(backpressure))
    }

    /// The most bytes in one worker's mailbox. Default: 16 MiB.
    #[must_use]
    pub fn max_mail(self, bytes: usize) -> Self {
        Self(self.0.max_mail(bytes))
    }

    /// Starts the workers; `make` makes the handler of each, on its thread.
    ///
    /// # Errors
    ///
    /// The system has no thread or no poll for it.
    pub fn start<H: Handler>(
        self,
        make: impl Fn(WorkerInfo<H>) -> H + Send + Clone + 'static,
    ) -> io::Result<Client<H::Note, H::Peer>> {
        Ok(Client {
            server: self.0.launch(make)?,
            next: AtomicUsize::new(0),
            peer: PhantomData,
        })
    }
}
