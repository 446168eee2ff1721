//! Close codes: which exist and which may travel (RFC 6455 §7.4). Used by the connection and by its callers.

use core::fmt;

/// Why a connection is closed (RFC 6455 §7.4).
///
/// Any number is a value of this type; [`is_sendable`](Self::is_sendable) tells whether it may be put into a frame.
///
/// ```
/// use wirefan_protocol::CloseCode;
///
/// assert!(CloseCode::NORMAL.is_sendable());
/// assert!(CloseCode(4000).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// assert_eq!(CloseCode::TOO_BIG.to_string(), "1009 (message too big)");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away, as a server that shuts down or a page that is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a kind of data that is not accepted here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the Close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit its type, as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a policy of this endpoint was broken; the code where no other fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message is too big to be processed.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client needs an extension that the server did not agree to.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: the server met something unexpected.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; come back.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: too busy; come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_FAILED: Self = Self(1015);

    /// Whether the code may stand in a Close frame.
    ///
    /// RFC 6455 §7.4.1 and the IANA registry: 1000–1003 and 1007–1014; §7.4.2: 3000–4999. The reserved 1004, the
    /// three that only report (1005, 1006, 1015), and all others may not.
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no status received",
            1006 => "abnormal closure",
            1007 => "invalid data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "extension required",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS handshake failed",
            3000..=3999 => "registered",
            4000..=4999 => "private use",
            _ => "reserved",
        };
        write!(f, "{} ({meaning})", self.0)
    }
}

/// The code and the reason of a Close frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CloseFrame<'a> {
    /// Why.
    pub code: CloseCode,
    /// For people and logs; at most 123 bytes.
    pub reason: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_7_4_codes_that_may_travel() {
        let sendable = |range: core::ops::RangeInclusive<u16>| {
            range.map(CloseCode).all(CloseCode::is_sendable)
        };
        let reserved = |range: core::ops::RangeInclusive<u16>| {
            !range.map(CloseCode).any(CloseCode::is_sendable)
        };
        assert!(sendable(1000..=1003) && sendable(1007..=1014) && sendable(3000..=4999));
        assert!(
            reserved(0..=999)
                && reserved(1004..=1006)
                && reserved(1015..=2999)
                && reserved(5000..=65535)
        );
    }
}
