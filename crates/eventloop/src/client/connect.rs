//! [`Sockets`]: the system's part in dialling, for the event loop: sockets by `mio`, names by the resolver's threads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::errand::{Errand, Found, Outside};
use super::{DialError, Letter, resolver};
use crate::ConnId;
use crate::mailbox::{Mail, Mailbox};
use crate::slots::SlotToken;
use crate::transport::Transport;

/// Where a worker's dials lead out.
pub(crate) struct Sockets<'a, N> {
    pub(crate) registry: &'a Registry,
    pub(crate) mailbox: Arc<Mailbox<N>>,
}

impl<N: Send + 'static> Outside for Sockets<'_, N> {
    fn connect(&mut self, addr: SocketAddr, token: SlotToken) -> io::Result<Transport> {
        let mut socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        (self.registry).register(&mut socket, Token(token.0), interest)?;
        Ok(Transport::Tcp(socket))
    }

    fn look_up(&mut self, id: ConnId, errand: Errand) {
        let answer = Answer {
            mailbox: Arc::clone(&self.mailbox),
            id,
            found: Some(Err(DialError::Resolve("no thread to ask on".into()))),
        };
        resolver::run(Box::new(move || {
            let mut answer = answer;
            answer.found = Some(Err(DialError::Prepare("it panicked".into())));
            answer.found = Some(errand.run());
        }));
    }
}

/// Tells the worker what came of it, whatever that is.
struct Answer<N> {
    mailbox: Arc<Mailbox<N>>,
    id: ConnId,
    found: Option<Result<Found, DialError>>,
}

impl<N> Drop for Answer<N> {
    fn drop(&mut self) {
        if let Some(found) = self.found.take() {
            let letter = Letter::Found(self.id, Box::new(found));
            // A worker that has ended dials no more.
            let _ = self.mailbox.insist(Mail::Client(letter));
        }
    }
}

impl Errand {
    /// May take its time.
    fn run(self) -> Result<Found, DialError> {
        let mut dial = self.dial;
        if let Some(prepare) = dial.prepare.take() {
            dial = prepare(dial).map_err(|why| DialError::Prepare(why.to_string().into()))?;
        }
        #[cfg(feature = "tls")]
        if dial.target.secure && dial.tls.is_none() {
            let system = crate::ClientTls::of_system();
            let system = system.map_err(|why| DialError::Tls(crate::TlsFailure::Internal(why)))?;
            dial.tls = Some(system);
        }
        let proxy = dial.chosen_proxy()?;
        let addrs = dial
            .first_hop(proxy.as_ref())
            .to_socket_addrs()
            .map_err(|why| DialError::Resolve(why.to_string().into()))?;
        Ok(Found {
            addrs: addrs.collect(),
            dial,
            proxy,
        })
    }
}
