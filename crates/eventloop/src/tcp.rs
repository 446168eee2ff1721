//! What Linux can do with TCP sockets and the standard library cannot; elsewhere the next best. Called by `transport.rs` and
//! `listener.rs`.

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::Shutdown;

    use mio::net::TcpStream;
    use nix::sys::socket::SetSockOpt;
    use nix::{setsockopt_impl, sockopt_impl};
    use socket2::{SockRef, Socket};

    sockopt_impl!(
        DeferAccept,
        SetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        libc::c_int
    );

    /// Has connections held back until their first bytes have come, or for a second.
    pub(crate) fn defer_accept(listener: &Socket) -> io::Result<()> {
        Ok(DeferAccept.set(listener, &1)?)
    }

    /// Writes the last bytes before our side ends, which it does in this turn: both may go in one segment.
    pub(crate) fn write_last(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_MORE;
        SockRef::from(stream).send_with_flags(bytes, flags)
    }

    /// Ends our side, which sends what was written last.
    pub(crate) fn release_last(stream: &TcpStream) {
        // Where it fails the connection is gone.
        let _ = stream.shutdown(Shutdown::Write);
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{defer_accept, release_last, write_last};

#[cfg(not(target_os = "linux"))]
pub(crate) fn defer_accept(_: &socket2::Socket) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn write_last(mut stream: &mio::net::TcpStream, bytes: &[u8]) -> std::io::Result<usize> {
    std::io::Write::write(&mut stream, bytes)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn release_last(_: &mio::net::TcpStream) {}
