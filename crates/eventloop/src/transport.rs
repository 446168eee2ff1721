//! [`Socket`]: all that the loop wants of a byte stream, and [`Transport`], the ones it drives.

use core::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

/// A byte stream that never blocks: TCP, and whatever else a worker is to drive.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "TCP is driven directly; others come through here")
)]
pub(crate) trait Socket: Send {
    /// Reads what is there. `Ok(0)` is the end, `WouldBlock` means that readiness will be told.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes what there is room for. `WouldBlock` means that readiness will be told.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Ends our side of the stream.
    fn shutdown_write(&mut self) -> io::Result<()>;
    /// Whether a read that leaves room in the buffer has emptied the stream.
    fn short_read_drains(&self) -> bool {
        false
    }
}

/// The stream of a connection.
pub(crate) enum Transport {
    Tcp(TcpStream),
    /// Anything else, at the price of one more block and an indirect call.
    #[cfg(test)]
    Other(Box<dyn Socket>),
}

impl Transport {
    /// The TCP stream, to be registered.
    pub(crate) fn tcp(&mut self) -> Option<&mut TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            #[cfg(test)]
            Self::Other(_) => None,
        }
    }

    /// Whether a read that leaves room in the buffer has emptied the stream. epoll promises it for TCP.
    pub(crate) fn short_read_drains(&self) -> bool {
        match self {
            Self::Tcp(_) => cfg!(target_os = "linux"),
            #[cfg(test)]
            Self::Other(socket) => socket.short_read_drains(),
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => Read::read(stream, buffer),
            #[cfg(test)]
            Self::Other(socket) => socket.read(buffer),
        })
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => Write::write(stream, bytes),
            #[cfg(test)]
            Self::Other(socket) => socket.write_vectored(&[IoSlice::new(bytes)]),
        })
    }

    #[inline]
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => Write::write_vectored(stream, slices),
            #[cfg(test)]
            Self::Other(socket) => socket.write_vectored(slices),
        })
    }

    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(test)]
            Self::Other(socket) => socket.shutdown_write(),
        }
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
            #[cfg(test)]
            Self::Other(_) => f.write_str("Other"),
        }
    }
}
