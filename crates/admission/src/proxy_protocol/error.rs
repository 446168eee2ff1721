//! [`ProxyError`]: what is wrong with a header that was sent, and [`ProxyWriteError`]: with one that is to be written.

use std::error;
use std::fmt;

/// What is wrong with the bytes that came first. End the transport: there is no telling who is there.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProxyError {
    /// They begin like no version of the protocol: somebody came without the proxy.
    NoProxyProtocol,
    /// Version 1: no end of the line within [`MAX_V1`](crate::proxy_protocol::MAX_V1) bytes.
    LineTooLong,
    /// Version 1: a line feed without a carriage return.
    LineEnd,
    /// Version 1: the protocol is none of `TCP4`, `TCP6` and `UNKNOWN`.
    UnknownProtocol,
    /// Version 1: an address is none of the family that was named, or is not where it should be.
    InvalidAddress,
    /// Version 1: a port is none, or something stands behind the ports.
    InvalidPort,
    /// Version 2: the version is not 2.
    UnknownVersion(u8),
    /// Version 2: the command is neither `LOCAL` nor `PROXY`.
    UnknownCommand(u8),
    /// Version 2: a reserved family or transport, or two that do not go together.
    UnknownFamily(u8),
    /// Version 2: a header longer than the limit.
    TooLong {
        /// The length that was declared, without the fixed 16 bytes.
        declared: u16,
    },
    /// Version 2: the length leaves no room for the addresses.
    AddressesCut,
    /// Version 2: a field goes on behind the end of the header.
    TlvCut,
    /// Version 2: a field whose value is not what its type says.
    InvalidTlv(u8),
    /// Version 2: a field that may come once comes again.
    RepeatedTlv(u8),
    /// Version 2: the checksum is not that of the header.
    Checksum,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProxyProtocol => {
                f.write_str("the connection does not begin with a PROXY header")
            }
            Self::LineTooLong => f.write_str("the PROXY line does not end within 107 bytes"),
            Self::LineEnd => f.write_str("the PROXY line ends without a carriage return"),
            Self::UnknownProtocol => f.write_str("the PROXY line names an unknown protocol"),
            Self::InvalidAddress => f.write_str("the PROXY line has an invalid address"),
            Self::InvalidPort => f.write_str("the PROXY line has an invalid port"),
            Self::UnknownVersion(version) => write!(f, "PROXY header of version {version}"),
            Self::UnknownCommand(command) => write!(f, "PROXY header with command {command}"),
            Self::UnknownFamily(family) => {
                write!(f, "PROXY header with address family {family:#04x}")
            }
            Self::TooLong { declared } => {
                write!(
                    f,
                    "PROXY header of {declared} bytes, which is above the limit"
                )
            }
            Self::AddressesCut => f.write_str("PROXY header without room for its addresses"),
            Self::TlvCut => f.write_str("PROXY header with a field that goes on behind its end"),
            Self::InvalidTlv(kind) => write!(f, "PROXY header with an invalid field {kind:#04x}"),
            Self::RepeatedTlv(kind) => write!(f, "PROXY header with two fields {kind:#04x}"),
            Self::Checksum => f.write_str("PROXY header with a wrong checksum"),
        }
    }
}

impl error::Error for ProxyError {}

/// Why a header cannot be written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProxyWriteError {
    /// One address is IPv4 and the other one IPv6.
    MixedFamilies,
    /// A path of a Unix socket longer than 108 bytes.
    PathTooLong,
    /// Version 1 knows neither fields, nor Unix sockets, nor datagrams.
    NotInVersion1,
    /// All of it is longer than 65,535 bytes.
    TooLong,
    /// A field that a reader would refuse.
    Field(ProxyError),
}

impl fmt::Display for ProxyWriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedFamilies => f.write_str("one address is IPv4 and the other one IPv6"),
            Self::PathTooLong => f.write_str("a Unix path is longer than 108 bytes"),
            Self::NotInVersion1 => f.write_str("version 1 has only addresses of TCP"),
            Self::TooLong => f.write_str("the header is longer than 65,535 bytes"),
            Self::Field(why) => write!(f, "{why}"),
        }
    }
}

impl error::Error for ProxyWriteError {}
