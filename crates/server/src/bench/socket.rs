//! [`Socket`]: what a connection of a load reads and writes: TCP, or TLS on it.

use core::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use wirefan_eventloop::rustls::pki_types::ServerName;
use wirefan_eventloop::rustls::{ClientConfig, ClientConnection};

/// What is read from a socket below TLS at a time.
const WIRE: usize = 64 * 1024;
/// More than a record is.
const RECORD: usize = 17 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; WIRE]);
}

/// A transport of a load.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// A client's end of TLS. Reads until the socket is empty, writes until it is full: as an edge-triggered poll wants it.
pub(crate) struct Tls {
    tcp: TcpStream,
    session: ClientConnection,
}

impl Socket {
    /// TLS on a socket that may still be connecting.
    pub(crate) fn tls(
        tcp: TcpStream,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(Tls { tcp, session })))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Plain(tcp) => tcp.take_error(),
            Self::Tls(tls) => tls.tcp.take_error(),
        }
    }

    /// Whether a read that does not fill the buffer has emptied the socket.
    pub(crate) fn short_read_drains(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self, Self::Plain(_))
    }
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => READ.with_borrow_mut(|wire| tls.read(wire, buffer)),
        }
    }
}

impl Write for Socket {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(&[IoSlice::new(bytes)]),
        }
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write_vectored(slices),
            Self::Tls(tls) => tls.write(slices),
        }
    }

    /// Hands on what is sealed already.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.send(),
        }
    }
}

impl Tls {
    /// Nothing but `WouldBlock` means that there is nothing more.
    fn read(&mut self, wire: &mut [u8], buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // It ended without saying so: what that means is for WebSocket's Close to tell.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            // So much that all of it has room, together with a record of which the beginning is here already.
            let most = buffer.len().saturating_sub(RECORD).clamp(1, wire.len());
            let len = self.tcp.read(&mut wire[..most])?;
            let mut rest = &wire[..len];
            let mut plain = 0;
            loop {
                self.session.read_tls(&mut rest)?;
                if let Err(error) = self.session.process_new_packets() {
                    // The alert that says why.
                    let _ = self.send();
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
                while plain < buffer.len() {
                    match self.session.reader().read(&mut buffer[plain..]) {
                        Ok(len) if len > 0 => plain += len,
                        _ => break,
                    }
                }
                if rest.is_empty() {
                    break;
                }
            }
            would_block_is_fine(self.send())?;
            if plain > 0 {
                return Ok(plain);
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (mut taken, mut all) = (0, 0);
        'full: for slice in slices {
            let mut rest = &slice[..];
            all += rest.len();
            while !rest.is_empty() {
                match self.send() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break 'full,
                    result => result?,
                }
                let len = self.session.writer().write(rest)?;
                if len == 0 {
                    // The handshake has to come first.
                    break 'full;
                }
                taken += len;
                rest = &rest[len..];
            }
        }
        would_block_is_fine(self.send())?;
        match taken {
            0 if all > 0 => Err(ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}

/// The socket will tell when it takes more.
fn would_block_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}
