//! [`TlsSession`]: what a connection over TLS has agreed on, for handlers.

use core::fmt;

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion, SupportedCipherSuite};

/// What the two ends of a TLS connection have agreed on. From [`Conn::tls`](crate::Conn::tls) or
/// [`Ctx::tls`](crate::Ctx::tls).
///
/// ```
/// use wirefan_eventloop::{Caller, Ctx, Decision};
/// use wirefan_protocol::handshake::Reply;
///
/// /// In a handler: only clients that have shown a certificate.
/// fn admit(caller: Caller, server: &Ctx<'_, Vec<u8>>) -> Decision<Vec<u8>> {
///     let tls = server.tls(caller.id);
///     match tls.and_then(|tls| tls.peer_certificates().first()) {
///         Some(certificate) => Decision::accept(certificate.to_vec()),
///         None => Decision::Answer(Reply::text(403, "a certificate, please")),
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct TlsSession<'a> {
    pub(super) connection: &'a CommonState,
    pub(super) server_name: Option<&'a str>,
}

impl<'a> TlsSession<'a> {
    /// The certificates that the peer has shown, its own first, each in DER; none if it was not asked or has none. They
    /// have been verified.
    pub fn peer_certificates(&self) -> &'a [CertificateDer<'static>] {
        self.connection.peer_certificates().unwrap_or_default()
    }

    /// The name of the server that the client asked for (SNI); where we are the client, the host of the URL.
    pub fn server_name(&self) -> Option<&'a str> {
        self.server_name
    }

    /// The protocol that was chosen by ALPN: `http/1.1`, or nothing if the client offered none.
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.connection.alpn_protocol()
    }

    /// TLS 1.2 or 1.3.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }

    /// What the bytes are sealed with.
    pub fn cipher_suite(&self) -> Option<SupportedCipherSuite> {
        self.connection.negotiated_cipher_suite()
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl fmt::Debug for TlsSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("version", &self.version())
            .field("server_name", &self.server_name)
            .field("resumed", &self.is_resumed())
            .finish_non_exhaustive()
    }
}
