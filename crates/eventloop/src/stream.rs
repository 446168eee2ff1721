//! [`Stream`]: what connections come in on, TCP or a Unix socket. TLS goes over either of them.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

use crate::transport::Socket;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// To be registered.
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
        }
    }

    /// Whether it has no address.
    #[cfg(feature = "tls")]
    pub(crate) fn is_unix(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }
}

impl Socket for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Read::read(stream, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => Read::read(stream, buffer),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Write::write_vectored(stream, slices),
            #[cfg(unix)]
            Self::Unix(stream) => Write::write_vectored(stream, slices),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// epoll promises it. On a Unix socket a read ends early where a file was passed along: who does that waits for himself.
    fn short_read_drains(&self) -> bool {
        cfg!(target_os = "linux")
    }
}
