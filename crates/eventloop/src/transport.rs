//! [`Socket`]: all that the loop wants of a byte stream, and [`Transport`], the ones it drives.

use core::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

#[cfg(all(feature = "client", feature = "tls"))]
use crate::stream::Stream;
use crate::tcp;
use crate::tls::TlsStream;

/// A byte stream that never blocks: TCP, and whatever else a worker is to drive.
pub(crate) trait Socket: Send {
    /// Reads what is there. `Ok(0)` is the end, `WouldBlock` means that readiness will be told.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes what there is room for. `WouldBlock` means that readiness will be told.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Ends our side of the stream, behind what is unsent.
    fn shutdown_write(&mut self) -> io::Result<()>;
    /// Whether a read that leaves room in the buffer has emptied the stream.
    fn short_read_drains(&self) -> bool {
        false
    }
    /// Whether a read may have as little room as one likes.
    fn reads_in_pieces(&self) -> bool {
        true
    }
    /// Bytes that were taken and wait for readiness, as they do where the stream changes what it is given.
    fn unsent(&self) -> usize {
        0
    }
    /// Writes of these what there is room for; returns whether that was any.
    fn flush(&mut self) -> io::Result<bool> {
        Ok(false)
    }
    /// Says goodbye if the stream has a word for that and there is room for it. What follows is the end.
    fn take_leave(&mut self) {}
    /// Whether reads that gave nothing have heard of the peer nevertheless, since this was asked last: a part of a record.
    fn take_heard(&mut self) -> bool {
        false
    }
    /// Whether connecting has come to its end; its failure is an error.
    #[cfg(feature = "client")]
    fn is_connected(&self) -> io::Result<bool> {
        Ok(true)
    }
    /// Whether the peer's side has ended without such a word, which somebody else may have brought about.
    fn was_cut(&self) -> bool {
        false
    }
}

/// The stream of a connection.
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS over one of these, in a block of its own: a plain connection does not pay for it.
    Tls(Box<TlsStream>),
    /// None yet: we are to connect it.
    #[cfg(feature = "client")]
    Unconnected,
    /// Anything else.
    #[cfg(test)]
    Other(Box<dyn Socket>),
}

impl Transport {
    /// What is to be registered.
    pub(crate) fn source(&mut self) -> Option<&mut dyn Source> {
        match self {
            Self::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.socket().source()),
            #[cfg(feature = "client")]
            Self::Unconnected => None,
            #[cfg(test)]
            Self::Other(_) => None,
        }
    }

    /// Whether it is a Unix socket, or TLS over one.
    pub(crate) fn is_unix(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Unix(_) => true,
            Self::Tls(stream) => stream.is_unix(),
            _ => false,
        }
    }

    /// Whether answers go as they are, as soon as the connection is there.
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    /// Whether a read may have as little room as one likes: TLS hands out all that its records hold.
    pub(crate) fn reads_in_pieces(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.reads_in_pieces(),
            #[cfg(test)]
            Self::Other(socket) => socket.reads_in_pieces(),
            _ => true,
        }
    }

    /// Reads what stands before anything else, TLS included; with that, whether the stream is empty now.
    pub(crate) fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let room = buffer.len();
        let (len, drains) = match self {
            Self::Tls(stream) => {
                let socket = stream.socket();
                let len = retry(|| socket.read(buffer))?;
                (len, socket.short_read_drains())
            }
            other => (other.read(buffer)?, other.short_read_drains()),
        };
        Ok((len, drains && len < room))
    }

    /// Gives bytes that were read raw to TLS, to be the first that it sees.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if let Self::Tls(stream) = self {
            stream.put_back(bytes);
        }
    }

    /// Whether a read that leaves room in the buffer has emptied the stream.
    pub(crate) fn short_read_drains(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.short_read_drains(),
            #[cfg(unix)]
            Self::Unix(_) => cfg!(target_os = "linux"),
            Self::Tls(stream) => stream.short_read_drains(),
            #[cfg(feature = "client")]
            Self::Unconnected => true,
            #[cfg(test)]
            Self::Other(socket) => socket.short_read_drains(),
        }
    }

    /// Whether connecting has come to its end.
    #[cfg(feature = "client")]
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => stream.is_connected(),
            #[cfg(unix)]
            Self::Unix(_) => Ok(true),
            Self::Tls(_) => Ok(true),
            Self::Unconnected => Ok(false),
            #[cfg(test)]
            Self::Other(socket) => socket.is_connected(),
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => Read::read(stream, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => Read::read(stream, buffer),
            Self::Tls(stream) => stream.read(buffer),
            #[cfg(feature = "client")]
            Self::Unconnected => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(test)]
            Self::Other(socket) => socket.read(buffer),
        })
    }

    /// Reads to one place and, where that costs nothing, what comes behind it to another. Also tells for how much there
    /// was room.
    pub(crate) fn read_both(
        &mut self,
        first: &mut [u8],
        second: &mut [u8],
    ) -> (io::Result<usize>, usize) {
        let Self::Tcp(stream) = self else {
            return (self.read(first), first.len());
        };
        let room = first.len() + second.len();
        let mut places = [IoSliceMut::new(first), IoSliceMut::new(second)];
        (retry(|| Read::read_vectored(stream, &mut places)), room)
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => Write::write(stream, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Write::write(stream, bytes),
            Self::Tls(stream) => stream.write_vectored(&[IoSlice::new(bytes)]),
            #[cfg(feature = "client")]
            Self::Unconnected => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(test)]
            Self::Other(socket) => socket.write_vectored(&[IoSlice::new(bytes)]),
        })
    }

    /// The same for the last bytes before our side ends, in this turn: the kernel may send both at once.
    pub(crate) fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| tcp::write_last(stream, bytes)),
            other => other.write(bytes),
        }
    }

    /// Lets out what the kernel may hold back since `write_last`, with our end behind it. What comes in before the socket is
    /// closed resets it, and would have that lost.
    pub(crate) fn release_last(&self) {
        if let Self::Tcp(stream) = self {
            tcp::release_last(stream);
        }
    }

    #[inline]
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => Write::write_vectored(stream, slices),
            #[cfg(unix)]
            Self::Unix(stream) => Write::write_vectored(stream, slices),
            Self::Tls(stream) => stream.write_vectored(slices),
            #[cfg(feature = "client")]
            Self::Unconnected => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(test)]
            Self::Other(socket) => socket.write_vectored(slices),
        })
    }

    /// What was agreed by TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<crate::TlsSession<'_>> {
        match self {
            Self::Tls(stream) => stream.session(),
            _ => None,
        }
    }

    /// The same with TLS over it, whose client we are.
    #[cfg(all(feature = "client", feature = "tls"))]
    pub(crate) fn secured(
        self,
        tls: &crate::ClientTls,
        host: &str,
    ) -> Result<Self, crate::TlsFailure> {
        match self {
            Self::Tcp(stream) => TlsStream::client(Stream::Tcp(stream), tls, host).map(Self::Tls),
            #[cfg(unix)]
            Self::Unix(stream) => TlsStream::client(Stream::Unix(stream), tls, host).map(Self::Tls),
            #[cfg(test)]
            Self::Other(socket) => {
                let stream = TlsStream::client(socket, tls, host)?;
                Ok(Self::Other(Box::new(*stream)))
            }
            Self::Tls(_) | Self::Unconnected => Ok(self),
        }
    }

    /// Whether TLS is not ready to say anything.
    #[cfg(all(feature = "client", feature = "tls"))]
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.is_handshaking(),
            _ => false,
        }
    }

    /// Bytes that were taken and are not out.
    #[inline]
    pub(crate) fn unsent(&self) -> usize {
        match self {
            Self::Tcp(_) => 0,
            #[cfg(unix)]
            Self::Unix(_) => 0,
            Self::Tls(stream) => stream.unsent(),
            #[cfg(feature = "client")]
            Self::Unconnected => 0,
            #[cfg(test)]
            Self::Other(socket) => socket.unsent(),
        }
    }

    /// Writes what is unsent as far as there is room; returns whether some of it went.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) => Ok(false),
            #[cfg(unix)]
            Self::Unix(_) => Ok(false),
            Self::Tls(stream) => stream.flush(),
            #[cfg(feature = "client")]
            Self::Unconnected => Ok(false),
            #[cfg(test)]
            Self::Other(socket) => socket.flush(),
        }
    }

    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown_write(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.shutdown_write(),
            #[cfg(feature = "client")]
            Self::Unconnected => Ok(()),
            #[cfg(test)]
            Self::Other(socket) => socket.shutdown_write(),
        }
    }

    /// Ends it, with a last word where there is one.
    pub(crate) fn leave(self) {
        match self {
            Self::Tcp(_) => {}
            #[cfg(unix)]
            Self::Unix(_) => {}
            Self::Tls(mut stream) => stream.take_leave(),
            #[cfg(feature = "client")]
            Self::Unconnected => {}
            #[cfg(test)]
            Self::Other(mut socket) => socket.take_leave(),
        }
    }

    /// Whether reads that gave nothing have heard of the peer nevertheless.
    pub(crate) fn take_heard(&mut self) -> bool {
        match self {
            Self::Tcp(_) => false,
            #[cfg(unix)]
            Self::Unix(_) => false,
            Self::Tls(stream) => stream.take_heard(),
            #[cfg(feature = "client")]
            Self::Unconnected => false,
            #[cfg(test)]
            Self::Other(socket) => socket.take_heard(),
        }
    }

    /// Whether the peer's side has ended without a word where there should be one.
    pub(crate) fn was_cut(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            #[cfg(unix)]
            Self::Unix(_) => false,
            Self::Tls(stream) => stream.was_cut(),
            #[cfg(feature = "client")]
            Self::Unconnected => false,
            #[cfg(test)]
            Self::Other(socket) => socket.was_cut(),
        }
    }
}

impl Socket for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Write::write_vectored(self, slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// epoll promises it.
    fn short_read_drains(&self) -> bool {
        cfg!(target_os = "linux")
    }

    #[cfg(feature = "client")]
    fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match self.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
impl Socket for Box<dyn Socket> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read(buffer)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        (**self).shutdown_write()
    }

    fn short_read_drains(&self) -> bool {
        (**self).short_read_drains()
    }

    fn reads_in_pieces(&self) -> bool {
        (**self).reads_in_pieces()
    }

    fn unsent(&self) -> usize {
        (**self).unsent()
    }

    fn flush(&mut self) -> io::Result<bool> {
        (**self).flush()
    }

    fn take_leave(&mut self) {
        (**self).take_leave();
    }

    fn take_heard(&mut self) -> bool {
        (**self).take_heard()
    }

    fn was_cut(&self) -> bool {
        (**self).was_cut()
    }

    #[cfg(feature = "client")]
    fn is_connected(&self) -> io::Result<bool> {
        (**self).is_connected()
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => stream.fmt(f),
            #[cfg(unix)]
            Self::Unix(stream) => stream.fmt(f),
            Self::Tls(stream) => stream.fmt(f),
            #[cfg(feature = "client")]
            Self::Unconnected => f.write_str("Unconnected"),
            #[cfg(test)]
            Self::Other(_) => f.write_str("Other"),
        }
    }
}
