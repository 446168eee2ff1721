//! [`Outcome`]: how a session has ended, as an exit code and in words. Made by the session, told by `run`.

use std::process::ExitCode;

use wirefan_eventloop::{CloseCause, DialError};
use wirefan_protocol::CloseCode;

/// How it has ended. The numbers are those of the help and of docs/connect.md.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Closed by us, or by the server with 1000 or without a code.
    Normal,
    /// We could not go on, or not even begin.
    Failed,
    /// What was asked for cannot be sent.
    Usage,
    /// The connection did not open.
    NotOpened,
    /// It was open and ended otherwise: another code, no Close at all.
    Abnormal,
    /// Connecting or an answer took too long.
    TimedOut,
    /// A signal has ended it.
    Signal(u8),
}

impl Outcome {
    pub(crate) fn of(cause: &CloseCause) -> Self {
        match cause {
            CloseCause::WeClosed { .. } => Self::Normal,
            CloseCause::PeerClosed { code, .. } => match code {
                None | Some(CloseCode::NORMAL) => Self::Normal,
                Some(_) => Self::Abnormal,
            },
            CloseCause::Dial(why) => match why {
                DialError::Url(_) | DialError::NoTls | DialError::InvalidRequest(_) => Self::Usage,
                DialError::Timeout(_) => Self::TimedOut,
                // The file of the token cannot be read.
                DialError::Prepare(_) => Self::Failed,
                _ => Self::NotOpened,
            },
            _ => Self::Abnormal,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotOpened => 3,
            Self::Abnormal => 4,
            Self::TimedOut => 5,
            // As a shell tells it of a process that a signal has killed.
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        outcome.code().into()
    }
}

/// What to do about it, where that is known. `leaves_proxy`: the environment names a proxy that was not asked for.
pub(crate) fn advice(cause: &CloseCause, leaves_proxy: bool) -> Option<String> {
    let is_out_of_reach = matches!(
        cause,
        CloseCause::Dial(DialError::Connect { .. } | DialError::Resolve(_) | DialError::Timeout(_))
    );
    let by_proxy = (leaves_proxy && is_out_of_reach)
        .then_some("--proxy env goes through the proxy of the environment");
    let advice: Vec<&str> = by_proxy.into_iter().chain(known(cause)).collect();
    (!advice.is_empty()).then(|| advice.join("; "))
}

/// The same, of the cause alone.
fn known(cause: &CloseCause) -> Option<&'static str> {
    match cause {
        CloseCause::Dial(why) => match why {
            DialError::Connect { .. } => Some("is the server running, and is this its port?"),
            DialError::Resolve(_) => Some("check the name"),
            DialError::Tls(_) => Some(
                "--tls-ca FILE trusts an authority of your own, --insecure any certificate; or does the server speak plain ws://?",
            ),
            DialError::Ended => Some("does it expect wss://?"),
            DialError::BadResponse(_) => Some("is this a WebSocket server, and is the path right?"),
            DialError::Refused(response) => match response.status() {
                300..=399 => Some("--redirects 3 follows where it points"),
                401 | 407 => {
                    Some("--bearer-token-file, -H or ws://USER:PASSWORD@HOST/ say who you are")
                }
                403 => Some("it may want another --origin"),
                404 => Some("is the path right?"),
                426 => Some("it may want a --subprotocol"),
                _ => None,
            },
            _ => None,
        },
        CloseCause::PeerClosed {
            code: Some(CloseCode::TOO_BIG),
            ..
        } => Some("the message was larger than the server takes"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirefan_eventloop::client::UrlError;
    use wirefan_protocol::Overdue;

    #[test]
    fn every_end_has_its_exit_code() {
        let peer = |code: Option<u16>| CloseCause::PeerClosed {
            code: code.map(CloseCode),
            reason: "".into(),
        };
        let phase = wirefan_eventloop::client::DialPhase::Handshake;
        for (cause, code) in [
            (
                CloseCause::WeClosed {
                    code: CloseCode(4000),
                },
                0,
            ),
            (peer(Some(1000)), 0),
            (peer(None), 0),
            (CloseCause::Dial(DialError::Url(UrlError::Host)), 2),
            (CloseCause::Dial(DialError::Ended), 3),
            (CloseCause::Dial(DialError::Prepare("no file".into())), 1),
            (peer(Some(1001)), 4),
            (peer(Some(4000)), 4),
            (CloseCause::Lost, 4),
            (CloseCause::Timeout(Overdue::Pong), 4),
            (CloseCause::Dial(DialError::Timeout(phase)), 5),
        ] {
            assert_eq!(Outcome::of(&cause).code(), code, "{cause}");
        }
        assert_eq!(Outcome::Signal(2).code(), 130);
    }

    #[test]
    fn a_proxy_that_is_left_out_is_told_of_where_it_may_be_the_reason() {
        let phase = wirefan_eventloop::client::DialPhase::Connect;
        let connect = DialError::Connect {
            addr: ([127, 0, 0, 1], 1).into(),
            kind: std::io::ErrorKind::ConnectionRefused,
        };
        let tells = |why: DialError, leaves_proxy| {
            advice(&CloseCause::Dial(why), leaves_proxy)
                .is_some_and(|it| it.contains("--proxy env"))
        };
        for why in [
            connect,
            DialError::Timeout(phase),
            DialError::Resolve("".into()),
        ] {
            assert!(tells(why.clone(), true), "{why}");
            assert!(!tells(why.clone(), false), "{why}");
        }
        assert!(!tells(DialError::Ended, true));
        assert_eq!(advice(&CloseCause::Lost, true), None);
    }
}
