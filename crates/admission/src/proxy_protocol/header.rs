//! [`ProxyHeader`]: what a proxy says of a connection; made by the reader, or built to be written.

use std::net::{IpAddr, SocketAddr};

use super::tlv::{Fields, ProxyTls, TlvType};
use super::{ProxyWriteError, v1, v2};

/// What a proxy says of a connection.
///
/// ```
/// use wirefan_admission::proxy_protocol::ProxyHeader;
///
/// let header = ProxyHeader::tcp("192.0.2.1:4711".parse()?, "198.51.100.1:443".parse()?);
/// let mut line = Vec::new();
/// header.write_v1(&mut line)?;
/// assert_eq!(line, b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyHeader {
    pub(super) local: bool,
    pub(super) transport: Transport,
    pub(super) endpoints: Endpoints,
    pub(super) fields: Fields,
}

/// Both ends of the connection to the proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Endpoints {
    /// Not told (`UNKNOWN`, `AF_UNSPEC`, `LOCAL`): those of the socket are all there is.
    Unknown,
    /// Two addresses of one family.
    Inet {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
    /// Two Unix sockets, by their paths without the zeros behind; an abstract one begins with a zero.
    Unix {
        /// The client.
        source: Box<[u8]>,
        /// What it connected to.
        destination: Box<[u8]>,
    },
}

/// How the client is connected to the proxy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// Not told.
    Unspecified,
    /// TCP, or a stream on a Unix socket.
    Stream,
    /// UDP, or datagrams on a Unix socket.
    Datagram,
}

impl ProxyHeader {
    /// A client on TCP.
    pub fn tcp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self::new(
            Transport::Stream,
            Endpoints::Inet {
                source,
                destination,
            },
        )
    }

    /// Any client. Where the endpoints are unknown the transport is too.
    pub fn new(transport: Transport, endpoints: Endpoints) -> Self {
        Self {
            local: false,
            transport: match (&endpoints, transport) {
                (Endpoints::Unknown, _) => Transport::Unspecified,
                (_, Transport::Unspecified) => Transport::Stream,
                (_, transport) => transport,
            },
            endpoints,
            fields: Fields::default(),
        }
    }

    /// The proxy itself, which looks whether we are alive.
    pub fn local() -> Self {
        Self {
            local: true,
            ..Self::new(Transport::Unspecified, Endpoints::Unknown)
        }
    }

    /// Whether the proxy speaks for itself: then the peer of the socket is the client.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// How the client is connected.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Both ends of the connection to the proxy.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The client's address; `None`: the peer of the socket is all that is known. An IPv4 one inside of IPv6 is given as
    /// IPv4.
    pub fn source(&self) -> Option<SocketAddr> {
        match self.endpoints {
            Endpoints::Inet { source, .. } => {
                let address: IpAddr = source.ip().to_canonical();
                Some(SocketAddr::new(address, source.port()))
            }
            _ => None,
        }
    }

    /// The fields behind the addresses, in their order, those of unknown types too.
    pub fn tlvs(&self) -> impl Iterator<Item = (TlvType, &[u8])> {
        self.fields.iter()
    }

    /// The host name that the client asked for, usually from its TLS handshake.
    pub fn authority(&self) -> Option<&str> {
        self.fields.text(TlvType::AUTHORITY)
    }

    /// The application protocol agreed on with the proxy, as in ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.fields.value(TlvType::ALPN)
    }

    /// The proxy's name for this connection, of 128 bytes at most.
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.fields.value(TlvType::UNIQUE_ID)
    }

    /// What is known of the client's TLS.
    pub fn tls(&self) -> Option<ProxyTls<'_>> {
        self.fields.value(TlvType::SSL).and_then(ProxyTls::read)
    }

    /// The same with one more field. Version 2 has them, where it has addresses.
    ///
    /// # Errors
    ///
    /// [`Field`](ProxyWriteError::Field) for what a reader would refuse, and [`TooLong`](ProxyWriteError::TooLong). The
    /// checksum is not given but asked for, when the header is written.
    pub fn with_tlv(mut self, kind: TlvType, value: &[u8]) -> Result<Self, ProxyWriteError> {
        self.fields.push(kind, value)?;
        Ok(self)
    }

    /// Writes it as version 1: one line of text.
    ///
    /// # Errors
    ///
    /// [`MixedFamilies`](ProxyWriteError::MixedFamilies), and [`NotInVersion1`](ProxyWriteError::NotInVersion1). Nothing is
    /// written then.
    pub fn write_v1(&self, out: &mut Vec<u8>) -> Result<(), ProxyWriteError> {
        v1::write(self, out)
    }

    /// Writes it as version 2, with a checksum if that is wanted and there are addresses.
    ///
    /// # Errors
    ///
    /// [`MixedFamilies`](ProxyWriteError::MixedFamilies), [`PathTooLong`](ProxyWriteError::PathTooLong) and
    /// [`TooLong`](ProxyWriteError::TooLong). Nothing is written then.
    pub fn write_v2(&self, checksum: bool, out: &mut Vec<u8>) -> Result<(), ProxyWriteError> {
        v2::write(self, checksum, out)
    }
}
