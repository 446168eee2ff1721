//! Sockets that systemd has opened for us (`LISTEN_FDS`): a privileged port without privileges, and nobody refused while the
//! server is started again.

use std::io;

#[cfg(unix)]
use listenfd::ListenFd;
use wirefan_eventloop::Endpoint;

/// One of them.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) endpoint: Endpoint,
    /// With a certificate it speaks TLS: it is of TCP, and its name (`FileDescriptorName=`) is neither `ws` nor `http`.
    pub(crate) may_speak_tls: bool,
}

/// Takes them, in their order; a second time there are none.
#[cfg(unix)]
pub(crate) fn take() -> io::Result<Vec<Inherited>> {
    // As many names as sockets, with colons between them.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut sockets = ListenFd::from_env();
    let mut inherited = Vec::new();
    for place in 0..sockets.len() {
        if let Ok(Some(socket)) = sockets.take_unix_listener(place) {
            inherited.push(Inherited {
                endpoint: socket.into(),
                may_speak_tls: false,
            });
        } else if let Some(socket) = sockets.take_tcp_listener(place)? {
            inherited.push(Inherited {
                endpoint: socket.into(),
                may_speak_tls: !matches!(names.get(place), Some(&("ws" | "http"))),
            });
        }
    }
    Ok(inherited)
}

/// Elsewhere there are none.
#[cfg(not(unix))]
pub(crate) fn take() -> io::Result<Vec<Inherited>> {
    Ok(Vec::new())
}
