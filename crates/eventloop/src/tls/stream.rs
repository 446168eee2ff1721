//! [`TlsStream`]: a connection over TLS as a [`Socket`]. rustls runs without buffers of its own: records are read into one
//! buffer of the thread, and a connection owns nothing but a record that is not whole yet and what the socket refused.

use core::cell::RefCell;
use core::fmt;
use core::mem;
use std::io::{self, IoSlice};

use rustls::server::UnbufferedServerConnection;

#[cfg(feature = "client")]
use super::ClientTls;
use super::records::{self, Live, Opened};
use super::sealed::Sealed;
use super::{Tls, TlsFailure, TlsSession};
use crate::stream::Stream;
use crate::transport::Socket;

/// The thread's buffer for records: rustls wants up to 64 KiB of handshake in one piece, and a record has 18 KiB at most.
const INCOMING: usize = 128 * 1024;
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 51\r\nConnection: close\r\n\r\n\
This port speaks TLS: use https:// or wss:// here.\n";

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    /// What the handshake that is under way asks for.
    static SERVER_NAME: RefCell<Option<Box<str>>> = RefCell::default();
}

/// Tells the handshake that is under way on this thread which server its client wants.
pub(super) fn note_server_name(name: Option<&str>) {
    SERVER_NAME.set(name.map(Into::into));
}

/// What all connections of a thread share.
#[derive(Default)]
struct Scratch {
    incoming: Vec<u8>,
    /// Plaintext of several slices that becomes one record.
    gathered: Vec<u8>,
    sealed: Sealed,
}

/// A connection over TLS.
pub(crate) struct TlsStream<S = Stream> {
    socket: S,
    stage: Stage,
    /// The beginning of what is not whole yet: a record, or a handshake message of several.
    pending: Vec<u8>,
    /// Sealed bytes that the socket has refused, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    server_name: Option<Box<str>>,
    /// What comes behind the plaintext that has been read.
    failure: Option<TlsFailure>,
    /// Something in `pending` was read by somebody else and has not been looked at.
    ahead: bool,
    /// The last read has emptied the socket.
    drained: bool,
    /// Bytes have come that are not worth any plaintext yet.
    heard: bool,
    /// The peer has sent its close_notify.
    peer_closed: bool,
    /// The socket has ended without one.
    cut: bool,
    /// Our close_notify is on its way, or was not possible.
    closed: bool,
    /// Our side of the socket ends when all is sent.
    shutting: bool,
    /// It has ended.
    shut: bool,
}

enum Stage {
    /// Nothing has come yet, and nothing was made.
    Fresh(Tls),
    Live(Live),
    /// Whatever comes now is thrown away.
    Failed,
}

impl<S: Socket> TlsStream<S> {
    /// The server's end.
    pub(crate) fn boxed(socket: S, tls: Tls) -> Box<Self> {
        Self::at(socket, Stage::Fresh(tls))
    }

    /// The client's end, for which the handshake is begun: what it says is unsent.
    #[cfg(feature = "client")]
    pub(crate) fn client(socket: S, tls: &ClientTls, host: &str) -> Result<Box<Self>, TlsFailure> {
        let mut stream = Self::at(socket, Stage::Live(Live::client(tls, host)?));
        stream.server_name = Some(host.into());
        stream.open(&mut [], &mut []);
        match stream.failure.take() {
            None => Ok(stream),
            Some(failure) => Err(failure),
        }
    }

    /// Whether nothing can be said yet.
    #[cfg(feature = "client")]
    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Live(live) => live.state().is_handshaking(),
            Stage::Fresh(_) => true,
            Stage::Failed => false,
        }
    }

    fn at(socket: S, stage: Stage) -> Box<Self> {
        Box::new(Self {
            socket,
            stage,
            pending: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            server_name: None,
            failure: None,
            ahead: false,
            drained: false,
            heard: false,
            peer_closed: false,
            cut: false,
            closed: false,
            shutting: false,
            shut: false,
        })
    }

    pub(crate) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Takes bytes that were read from the socket by somebody else, before the first of its own.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.ahead = !bytes.is_empty();
    }

    /// What was agreed, once there is anything to tell.
    pub(crate) fn session(&self) -> Option<TlsSession<'_>> {
        match &self.stage {
            Stage::Live(live) => Some(TlsSession {
                connection: live.state(),
                server_name: self.server_name.as_deref(),
            }),
            Stage::Fresh(_) | Stage::Failed => None,
        }
    }

    /// Reads and opens records until there is plaintext, or nothing more to read.
    fn receive(&mut self, incoming: &mut Vec<u8>, plain: &mut [u8]) -> io::Result<usize> {
        incoming.resize(INCOMING, 0);
        loop {
            let begun = self.pending.len();
            incoming[..begun].copy_from_slice(&self.pending);
            let ahead = mem::take(&mut self.ahead);
            let len = match ahead {
                true => 0,
                false => self.socket.read(&mut incoming[begun..])?,
            };
            if len == 0 && !ahead {
                self.cut = true;
                return Ok(0);
            }
            self.heard = true;
            let end = begun + len;
            self.drained = !ahead && end < incoming.len() && self.socket.short_read_drains();
            let waits = self.unsent() > 0;
            let opened = self.open(&mut incoming[..end], plain);
            // What has been refused is for the worker to go on with, which has to know that it has gone.
            if !waits {
                self.flush()?;
            }
            if opened > 0 {
                // The next read tells what came behind.
                self.drained &= self.failure.is_none() && !self.peer_closed;
                return Ok(opened);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure.into());
            }
            if self.peer_closed {
                return Ok(0);
            }
        }
    }

    /// Opens records, keeps what is not whole, and returns how many bytes of plaintext there are.
    fn open(&mut self, incoming: &mut [u8], plain: &mut [u8]) -> usize {
        if let Stage::Fresh(tls) = &self.stage {
            // RFC 9112 §3: a request begins with a method; no record begins so.
            let method = |byte: &u8| byte.is_ascii_uppercase() || *byte == b' ';
            if incoming.iter().take(4).all(method) {
                self.unsent.extend_from_slice(PLAIN_HTTP);
                self.fail(TlsFailure::PlainHttp);
                return 0;
            }
            match UnbufferedServerConnection::new(tls.current()) {
                Ok(connection) => self.stage = Stage::Live(Live::Server(connection.into())),
                Err(error) => {
                    self.fail(error.into());
                    return 0;
                }
            }
        }
        let (unsent, closed) = (&mut self.unsent, &mut self.peer_closed);
        let Stage::Live(live) = &mut self.stage else {
            return 0;
        };
        let Opened {
            used,
            opened,
            failure,
        } = match live {
            Live::Server(connection) => {
                let handshaking = connection.is_handshaking();
                let opened = records::open(&mut **connection, incoming, plain, unsent, closed);
                if handshaking && let Some(name) = SERVER_NAME.take() {
                    self.server_name = Some(name);
                }
                opened
            }
            #[cfg(feature = "client")]
            Live::Client(connection) => {
                records::open(&mut **connection, incoming, plain, unsent, closed)
            }
        };
        self.pending.clear();
        if let Some(failure) = failure {
            self.fail(failure);
        } else if !self.peer_closed {
            self.pending.extend_from_slice(&incoming[used..]);
        }
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        opened
    }

    fn fail(&mut self, failure: TlsFailure) {
        self.stage = Stage::Failed;
        self.failure = Some(failure);
        self.pending = Vec::new();
        self.closed = true;
    }

    /// Seals as much as goes into one write; returns how much that was.
    fn seal(&mut self, slices: &[IoSlice<'_>], scratch: &mut Scratch) -> io::Result<usize> {
        let (pending, closed) = (&mut self.pending[..], &mut self.peer_closed);
        let Scratch {
            gathered, sealed, ..
        } = scratch;
        match &mut self.stage {
            Stage::Live(Live::Server(connection)) => {
                records::seal(&mut **connection, pending, slices, gathered, sealed, closed)
            }
            #[cfg(feature = "client")]
            Stage::Live(Live::Client(connection)) => {
                // What is to be said before the handshake is done waits for it.
                if connection.is_handshaking() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                records::seal(&mut **connection, pending, slices, gathered, sealed, closed)
            }
            Stage::Fresh(_) | Stage::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Puts our close_notify behind what is unsent.
    fn close(&mut self) {
        if mem::replace(&mut self.closed, true) {
            return;
        }
        let (pending, unsent) = (&mut self.pending[..], &mut self.unsent);
        match &mut self.stage {
            Stage::Live(Live::Server(connection)) => {
                records::close(&mut **connection, pending, unsent, &mut self.peer_closed);
            }
            #[cfg(feature = "client")]
            Stage::Live(Live::Client(connection)) => {
                records::close(&mut **connection, pending, unsent, &mut self.peer_closed);
            }
            Stage::Fresh(_) | Stage::Failed => {}
        }
    }
}

impl TlsStream {
    pub(crate) fn is_unix(&self) -> bool {
        self.socket.is_unix()
    }
}

impl<S: Socket> Socket for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        if matches!(self.stage, Stage::Failed) {
            let len = self.socket.read(buffer)?;
            self.drained = len < buffer.len() && self.socket.short_read_drains();
            return Ok(len);
        }
        if self.peer_closed {
            return Ok(0);
        }
        debug_assert!(
            buffer.len() >= INCOMING,
            "plaintext is shorter than its records"
        );
        SCRATCH.with_borrow_mut(|scratch| self.receive(&mut scratch.incoming, buffer))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // `flush` is for the worker to call, which then knows that there is room again.
        if self.unsent() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let taken = self.seal(slices, scratch)?;
            let sealed = scratch.sealed.bytes();
            let written = write_all(&mut self.socket, sealed)?;
            self.unsent.extend_from_slice(&sealed[written..]);
            Ok(taken)
        })
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.close();
        // A handshake that is begun behind our end would be for nobody, and dear.
        if let Stage::Fresh(_) = self.stage {
            self.stage = Stage::Failed;
            self.pending = Vec::new();
        }
        self.shutting = true;
        self.flush().map(drop)
    }

    fn short_read_drains(&self) -> bool {
        self.drained
    }

    fn reads_in_pieces(&self) -> bool {
        false
    }

    fn unsent(&self) -> usize {
        self.unsent.len() - self.sent
    }

    fn flush(&mut self) -> io::Result<bool> {
        let before = self.sent;
        if !self.shut {
            self.sent += write_all(&mut self.socket, &self.unsent[self.sent..])?;
        }
        let some = self.sent > before;
        // Behind the end nothing is said, not even what rustls answers to what still comes.
        if self.shut || self.unsent() == 0 {
            self.unsent = Vec::new();
            self.sent = 0;
            if self.shutting && !mem::replace(&mut self.shut, true) {
                self.socket.shutdown_write()?;
            }
        }
        Ok(some)
    }

    fn take_leave(&mut self) {
        self.close();
        let _ = self.flush();
    }

    fn take_heard(&mut self) -> bool {
        mem::take(&mut self.heard)
    }

    fn was_cut(&self) -> bool {
        self.cut
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Fresh(_) => "fresh",
            Stage::Live(_) => "live",
            Stage::Failed => "failed",
        };
        f.debug_tuple("TlsStream").field(&stage).finish()
    }
}

/// Writes until all is out or the socket refuses; returns how much went.
fn write_all(socket: &mut impl Socket, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write_vectored(&[IoSlice::new(&bytes[written..])]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
