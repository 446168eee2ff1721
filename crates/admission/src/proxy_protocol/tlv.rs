//! [`Fields`]: the type-length-value fields of a version 2 header, kept as they were sent and checked once.

use std::fmt;

use super::{ProxyError, ProxyWriteError};

/// The type of a field.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TlvType(pub u8);

impl TlvType {
    /// The application protocol, as in ALPN.
    pub const ALPN: Self = Self(0x01);
    /// The host name that the client asked for: UTF-8.
    pub const AUTHORITY: Self = Self(0x02);
    /// A checksum of the whole header.
    pub const CRC32C: Self = Self(0x03);
    /// Nothing, for alignment.
    pub const NOOP: Self = Self(0x04);
    /// The proxy's name for the connection.
    pub const UNIQUE_ID: Self = Self(0x05);
    /// What is known of the client's TLS.
    pub const SSL: Self = Self(0x20);
    /// Inside of [`SSL`](Self::SSL): the version, as in `TLSv1.3`.
    pub const SSL_VERSION: Self = Self(0x21);
    /// Inside of [`SSL`](Self::SSL): the common name in the client's certificate.
    pub const SSL_CN: Self = Self(0x22);
    /// Inside of [`SSL`](Self::SSL): the cipher.
    pub const SSL_CIPHER: Self = Self(0x23);
    /// The name space of the network.
    pub const NETNS: Self = Self(0x30);

    /// Whether a second one would leave it open which of them counts.
    fn comes_once(self) -> bool {
        matches!(
            self,
            Self::ALPN | Self::AUTHORITY | Self::CRC32C | Self::UNIQUE_ID | Self::SSL
        )
    }

    fn check(self, value: &[u8]) -> Result<(), ProxyError> {
        let valid = match self {
            Self::AUTHORITY => str::from_utf8(value).is_ok(),
            Self::CRC32C => value.len() == 4,
            // §2.2.5: up to 128 bytes.
            Self::UNIQUE_ID => value.len() <= 128,
            Self::SSL => ProxyTls::read(value).is_some(),
            _ => true,
        };
        if valid {
            Ok(())
        } else {
            Err(ProxyError::InvalidTlv(self.0))
        }
    }
}

impl fmt::Debug for TlvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlvType({:#04x})", self.0)
    }
}

/// All the fields of a header, as they were sent, without the checksum's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Fields(Box<[u8]>);

impl Fields {
    /// Checks `bytes` and takes them. The checksum is returned with its place, to be compared.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, Option<(usize, u32)>), ProxyError> {
        let (mut seen, mut checksum, mut kept) = ([false; 256], None, Vec::new());
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = rest;
            let (kind, value) = split_first(&mut rest).ok_or(ProxyError::TlvCut)?;
            kind.check(value)?;
            if std::mem::replace(&mut seen[usize::from(kind.0)], true) && kind.comes_once() {
                return Err(ProxyError::RepeatedTlv(kind.0));
            }
            if let (TlvType::CRC32C, Ok(value)) = (kind, value.try_into()) {
                let place = bytes.len() - rest.len() - 4;
                checksum = Some((place, u32::from_be_bytes(value)));
            } else {
                kept.extend_from_slice(before.get(..before.len() - rest.len()).unwrap_or_default());
            }
        }
        Ok((Self(kept.into()), checksum))
    }

    pub(super) fn push(&mut self, kind: TlvType, value: &[u8]) -> Result<(), ProxyWriteError> {
        kind.check(value).map_err(ProxyWriteError::Field)?;
        if kind.comes_once() && self.value(kind).is_some() || kind == TlvType::CRC32C {
            return Err(ProxyWriteError::Field(ProxyError::RepeatedTlv(kind.0)));
        }
        let len = u16::try_from(value.len()).map_err(|_| ProxyWriteError::TooLong)?;
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        bytes.push(kind.0);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(value);
        self.0 = bytes.into();
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TlvType, &[u8])> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || split_first(&mut rest))
    }

    pub(super) fn value(&self, kind: TlvType) -> Option<&[u8]> {
        self.iter()
            .find(|(other, _)| *other == kind)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&self, kind: TlvType) -> Option<&str> {
        self.value(kind)
            .and_then(|value| str::from_utf8(value).ok())
    }
}

/// Takes one field from the front; `None` if it is not whole.
fn split_first<'a>(rest: &mut &'a [u8]) -> Option<(TlvType, &'a [u8])> {
    let ([kind, high, low], behind) = rest.split_first_chunk()?;
    let (value, behind) = behind.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
    *rest = behind;
    Some((TlvType(*kind), value))
}

/// What a proxy says of the client's TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProxyTls<'a> {
    flags: u8,
    verify: u32,
    fields: &'a [u8],
}

impl<'a> ProxyTls<'a> {
    /// One byte of flags, four bytes with the result of the check, and more fields, each of them whole.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let ([flags, verify @ ..], fields) = value.split_first_chunk::<5>()?;
        let mut rest = fields;
        while !rest.is_empty() {
            split_first(&mut rest)?;
        }
        Some(Self {
            flags: *flags,
            verify: u32::from_be_bytes(*verify),
            fields,
        })
    }

    /// Whether the client speaks TLS (`PP2_CLIENT_SSL`).
    pub fn is_used(&self) -> bool {
        self.flags & 0x01 != 0
    }

    /// Whether the client has shown a certificate, now or earlier in this session of TLS, and the proxy found it valid.
    pub fn has_valid_certificate(&self) -> bool {
        // PP2_CLIENT_CERT_CONN, PP2_CLIENT_CERT_SESS.
        self.flags & 0x06 != 0 && self.verify == 0
    }

    /// The version of TLS, as in `TLSv1.3`.
    pub fn version(&self) -> Option<&'a str> {
        self.text(TlvType::SSL_VERSION)
    }

    /// The common name in the client's certificate, which means something only if that is
    /// [valid](Self::has_valid_certificate).
    pub fn common_name(&self) -> Option<&'a str> {
        self.text(TlvType::SSL_CN)
    }

    /// The cipher.
    pub fn cipher(&self) -> Option<&'a str> {
        self.text(TlvType::SSL_CIPHER)
    }

    fn text(&self, kind: TlvType) -> Option<&'a str> {
        let mut rest = self.fields;
        let mut fields = std::iter::from_fn(|| split_first(&mut rest));
        let (_, value) = fields.find(|(other, _)| *other == kind)?;
        str::from_utf8(value).ok()
    }
}
