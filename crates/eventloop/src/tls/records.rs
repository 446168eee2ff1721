//! What is the same for both ends of TLS: opening and sealing records with rustls, whose two kinds of connection have no
//! name in common. Used by the stream.

use std::io::{self, IoSlice};

use rustls::CommonState;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

#[cfg(feature = "client")]
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};

use super::TlsFailure;
use super::sealed::{OVERHEAD, Sealed};

/// One end or the other, each in a block of its own.
pub(super) enum Live {
    Server(Box<UnbufferedServerConnection>),
    #[cfg(feature = "client")]
    Client(Box<UnbufferedClientConnection>),
}

impl Live {
    #[cfg(feature = "client")]
    pub(super) fn client(tls: &super::ClientTls, host: &str) -> Result<Self, TlsFailure> {
        let name = rustls::pki_types::ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| TlsFailure::Internal("the host is no name for TLS".into()))?;
        let connection = UnbufferedClientConnection::new(tls.config(), name)?;
        Ok(Self::Client(Box::new(connection)))
    }

    pub(super) fn state(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            #[cfg(feature = "client")]
            Self::Client(connection) => connection,
        }
    }
}

/// Either of rustls's connections.
pub(super) trait Records {
    type Data;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn wants_write(&self) -> bool;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }
}

#[cfg(feature = "client")]
impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }
}

/// What came of incoming bytes.
pub(super) struct Opened {
    /// So many need not be shown again.
    pub(super) used: usize,
    /// Bytes of plaintext.
    pub(super) opened: usize,
    pub(super) failure: Option<TlsFailure>,
}

/// Opens records into `plain`; what is to be said goes into `unsent`.
pub(super) fn open<R: Records>(
    connection: &mut R,
    incoming: &mut [u8],
    plain: &mut [u8],
    unsent: &mut Vec<u8>,
    peer_closed: &mut bool,
) -> Opened {
    let (mut used, mut opened) = (0, 0);
    let mut failure: Option<TlsFailure> = None;
    loop {
        let status = connection.process(&mut incoming[used..]);
        let mut discard = status.discard;
        match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    let len = record.payload.len();
                    plain[opened..opened + len].copy_from_slice(record.payload);
                    opened += len;
                    discard += record.discard;
                }
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, unsent),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => *peer_closed = true,
            Ok(_) => {
                used += discard;
                break;
            }
            Err(error) => {
                failure = Some(error.into());
                break;
            }
        }
        used += discard;
    }
    // The alert for the peer. rustls has looked at records that it must not see again: it is shown none.
    while failure.is_some() && connection.wants_write() {
        match connection.process(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, unsent),
            _ => break,
        }
    }
    Opened {
        used,
        opened,
        failure,
    }
}

/// Seals as much as goes into one write; returns how much that was.
pub(super) fn seal<R: Records>(
    connection: &mut R,
    pending: &mut [u8],
    slices: &[IoSlice<'_>],
    gathered: &mut Vec<u8>,
    sealed: &mut Sealed,
    peer_closed: &mut bool,
) -> io::Result<usize> {
    sealed.clear();
    loop {
        // With what is not whole yet in hand, as rustls may have looked at it; it takes no more of it here.
        match connection.process(pending).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                return sealed.add_all(&mut traffic, slices, gathered);
            }
            // An answer to a key update goes before the records under the new key.
            Ok(ConnectionState::EncodeTlsData(data)) => {
                let mut chunk = Vec::new();
                encode(data, &mut chunk);
                sealed.push(&chunk);
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => *peer_closed = true,
            Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
            Err(error) => return Err(TlsFailure::from(error).into()),
        }
    }
}

/// Puts our close_notify behind what is unsent.
pub(super) fn close<R: Records>(
    connection: &mut R,
    pending: &mut [u8],
    unsent: &mut Vec<u8>,
    peer_closed: &mut bool,
) {
    loop {
        match connection.process(pending).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let mut alert = [0; OVERHEAD];
                if let Ok(len) = traffic.queue_close_notify(&mut alert) {
                    unsent.extend_from_slice(&alert[..len]);
                }
                return;
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, unsent),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => *peer_closed = true,
            Ok(_) | Err(_) => return,
        }
    }
}

/// Appends what the handshake says.
fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut room = 0;
    loop {
        out.resize(start + room, 0);
        match data.encode(&mut out[start..]) {
            Ok(len) => return out.truncate(start + len),
            Err(EncodeError::InsufficientSize(size)) if size.required_size > room => {
                room = size.required_size;
            }
            Err(_) => return out.truncate(start),
        }
    }
}
