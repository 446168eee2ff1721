//! [`TlsFailure`]: why TLS gave up on a connection, as the handler, the log and the counts are told.

use core::fmt;
use std::io;

/// Why a connection over TLS has failed. It happens with the feature `tls` only.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The peer gave up and said why (RFC 8446 §6.2): it does not trust our certificate, for instance.
    Alert {
        /// The alert's number.
        code: u8,
        /// Its name, or nothing for one that is not known.
        name: &'static str,
    },
    /// The client's certificate was missing, not valid, or from somebody who is not trusted.
    Certificate(Box<str>),
    /// The two have no version, cipher suite or protocol in common.
    Incompatible(Box<str>),
    /// HTTP came where TLS is spoken. It has been answered with 400 in plain text.
    PlainHttp,
    /// What came is no TLS, or TLS that breaks its rules.
    Protocol(Box<str>),
    /// An open connection ended without a word, neither TLS's nor WebSocket's: somebody may have cut it short.
    Truncated,
    /// Our own side could not go on.
    Internal(Box<str>),
}

impl TlsFailure {
    /// The same word in every log and count.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Alert { .. } => "tls_alert",
            Self::Certificate(_) => "tls_certificate",
            Self::Incompatible(_) => "tls_incompatible",
            Self::PlainHttp => "plain_http_on_tls_port",
            Self::Protocol(_) => "tls_protocol",
            Self::Truncated => "tls_truncated",
            Self::Internal(_) => "tls_internal",
        }
    }

    /// The failure behind an error of a transport, if it was TLS that failed.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<TlsFailure> for io::Error {
    fn from(failure: TlsFailure) -> Self {
        Self::new(io::ErrorKind::InvalidData, failure)
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert { code, name: "" } => write!(f, "the peer gave up with TLS alert {code}"),
            Self::Alert { code, name } => {
                write!(f, "the peer gave up with TLS alert {code}, {name}")
            }
            Self::Certificate(why) => write!(f, "client certificate refused: {why}"),
            Self::Incompatible(why) => write!(f, "no common ground in TLS: {why}"),
            Self::PlainHttp => f.write_str("plain HTTP on a TLS port"),
            Self::Protocol(why) => write!(f, "not TLS as it should be: {why}"),
            Self::Truncated => f.write_str("connection cut off without a Close or a close_notify"),
            Self::Internal(why) => write!(f, "TLS failed on our side: {why}"),
        }
    }
}

impl core::error::Error for TlsFailure {}

#[cfg(feature = "tls")]
impl From<rustls::Error> for TlsFailure {
    fn from(error: rustls::Error) -> Self {
        use rustls::Error;
        let why = error.to_string().into();
        match error {
            Error::AlertReceived(alert) => Self::Alert {
                code: alert.into(),
                name: alert.as_str().unwrap_or(""),
            },
            Error::InvalidCertificate(_)
            | Error::InvalidCertRevocationList(_)
            | Error::NoCertificatesPresented => Self::Certificate(why),
            Error::NoApplicationProtocol | Error::PeerIncompatible(_) => Self::Incompatible(why),
            Error::DecryptError
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InappropriateMessage { .. }
            | Error::InvalidEncryptedClientHello(_)
            | Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::UnsupportedNameType => Self::Protocol(why),
            _ => Self::Internal(why),
        }
    }
}
