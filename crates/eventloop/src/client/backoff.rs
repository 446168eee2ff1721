//! [`Backoff`]: when to try again, and when not to. It has no clock and no generator of its own: a [`Retry`] is told what
//! happened and is given a random number.

use core::time::Duration;
use std::time::SystemTime;

use wirefan_protocol::CloseCode;

use super::retry_after::retry_after;
use super::{DialError, ProxyError, Response};
use crate::CloseCause;

/// How a lost connection is sought again: after a random part of a time that doubles with each failure (“full jitter”),
/// so that a thousand clients of a server that restarts do not all come in the same moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Backoff {
    /// The most that is waited after the first failure. Default: 1 s.
    pub first: Duration,
    /// The most that is ever waited, but for what a server asks for. Default: 30 s.
    pub cap: Duration,
    /// A connection that was open for so long is as good as a new beginning. Default: 60 s.
    pub stable: Duration,
    /// How often it is tried again in a row, without a connection that was open for [`stable`](Self::stable) in between;
    /// `None`: for ever. Default: `None`.
    pub max_failures: Option<u32>,
    /// The longest `Retry-After` that is honoured; what is longer is taken for this. Default: 1 hour.
    pub max_retry_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            stable: Duration::from_secs(60),
            max_failures: None,
            max_retry_after: Duration::from_secs(3600),
        }
    }
}

/// Whether to come back after a connection, or an attempt at one, has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Try again.
    ComeBack,
    /// Trying again would bring the same, or is not wanted.
    StayAway,
}

impl Verdict {
    /// What RFC 6455, HTTP and custom say to a cause.
    ///
    /// Stay away: we closed; the server closed with 1008 (policy) or 4401 (not authorised, by custom); it answered with a
    /// status from 400 to 499, but for 408, 425 and 429, which say “not now”; the request cannot be sent; the proxy does not
    /// let us, or redirections lead nowhere. Everything else
    /// may pass.
    pub fn of(cause: &CloseCause) -> Self {
        let final_word = match cause {
            CloseCause::WeClosed { .. } | CloseCause::Shutdown => true,
            CloseCause::PeerClosed { code, .. } => {
                matches!(code, Some(CloseCode::POLICY | CloseCode(4401)))
            }
            CloseCause::Dial(why) => match why {
                DialError::Url(_) | DialError::NoTls | DialError::InvalidRequest(_) => true,
                DialError::Proxy(why) => matches!(
                    why,
                    ProxyError::Url | ProxyError::Password | ProxyError::Refused(407)
                ),
                DialError::Redirect(_) => true,
                DialError::Refused(response) => {
                    let status = response.status();
                    (400..500).contains(&status) && !matches!(status, 408 | 425 | 429)
                }
                _ => false,
            },
            _ => false,
        };
        if final_word {
            Self::StayAway
        } else {
            Self::ComeBack
        }
    }
}

/// Failures in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    /// How long to wait after this end; `None`: it is given up. `open_for`: there was a connection. `random`: any number.
    pub(crate) fn after(
        &mut self,
        cause: &CloseCause,
        open_for: Option<Duration>,
        backoff: &Backoff,
        (random, now): (u64, SystemTime),
    ) -> Option<Duration> {
        if open_for.is_some_and(|open_for| open_for >= backoff.stable) {
            self.failures = 0;
        }
        if backoff.max_failures.is_some_and(|max| self.failures >= max) {
            return None;
        }
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let most = backoff.first.saturating_mul(doubled).min(backoff.cap);
        self.failures = self.failures.saturating_add(1);
        // A number below 2^53, as a part of one.
        let part = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let asked = match cause {
            CloseCause::Dial(DialError::Refused(response)) => asked_for(response, now),
            _ => None,
        };
        // On top of what the server asks for: it asked others for the same.
        let asked = asked.unwrap_or_default().min(backoff.max_retry_after);
        Some(asked + most.mul_f64(part))
    }

    /// How many there were.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

fn asked_for(response: &Response, now: SystemTime) -> Option<Duration> {
    retry_after(response.text("retry-after")?, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: CloseCause = CloseCause::Lost;

    fn refused(status: u16, retry_after: Option<&str>) -> CloseCause {
        let headers: Vec<(&str, &str)> = retry_after
            .map(|it| ("Retry-After", it))
            .into_iter()
            .collect();
        let response = Response::made(status, &headers);
        CloseCause::Dial(DialError::Refused(Box::new(response)))
    }

    fn peer_closed(code: u16) -> CloseCause {
        let code = Some(CloseCode(code));
        CloseCause::PeerClosed {
            code,
            reason: "".into(),
        }
    }

    /// The longest and the shortest wait.
    fn range(retry: &Retry, cause: &CloseCause) -> (Duration, Duration) {
        let wait = |random| {
            let random = (random, SystemTime::UNIX_EPOCH);
            (retry.clone())
                .after(cause, None, &Backoff::default(), random)
                .unwrap()
        };
        (wait(0), wait(u64::MAX))
    }

    #[test]
    fn the_wait_is_any_part_of_a_time_that_doubles_up_to_the_cap() {
        let mut retry = Retry::default();
        for most in [1, 2, 4, 8, 16, 30, 30] {
            let (least, longest) = range(&retry, &LOST);
            assert_eq!(least, Duration::ZERO);
            let most = Duration::from_secs(most);
            assert!(
                longest <= most && longest > most.mul_f64(0.999),
                "{longest:?}"
            );
            retry.after(
                &LOST,
                None,
                &Backoff::default(),
                (0, SystemTime::UNIX_EPOCH),
            );
        }
        let half = Retry::default().after(
            &LOST,
            None,
            &Backoff::default(),
            (1 << 63, SystemTime::UNIX_EPOCH),
        );
        assert_eq!(half, Some(Duration::from_millis(500)));
        for _ in 0..1000 {
            retry.after(
                &LOST,
                None,
                &Backoff::default(),
                (0, SystemTime::UNIX_EPOCH),
            );
        }
        assert!(range(&retry, &LOST).1 <= Duration::from_secs(30));
    }

    #[test]
    fn a_stable_connection_begins_anew_and_a_short_one_does_not() {
        let mut retry = Retry { failures: 4 };
        let (backoff, random) = (Backoff::default(), (0, SystemTime::UNIX_EPOCH));
        retry.after(&LOST, Some(Duration::from_millis(59_999)), &backoff, random);
        assert_eq!(retry.failures(), 5);
        retry.after(&LOST, Some(Duration::from_secs(60)), &backoff, random);
        assert_eq!(retry.failures(), 1);
    }

    #[test]
    fn it_is_tried_again_so_many_times_in_a_row() {
        let backoff = Backoff {
            max_failures: Some(2),
            ..Backoff::default()
        };
        let mut retry = Retry::default();
        let mut next = || {
            retry
                .after(&LOST, None, &backoff, (0, SystemTime::UNIX_EPOCH))
                .is_some()
        };
        assert_eq!([next(), next(), next()], [true, true, false]);
    }

    #[test]
    fn what_a_server_asks_for_is_waited_in_any_case() {
        let retry = Retry::default();
        let (least, longest) = range(&retry, &refused(503, Some("7")));
        assert_eq!(least, Duration::from_secs(7));
        assert!(longest <= Duration::from_secs(8));
        let date = "Thu, 01 Jan 1970 00:01:40 GMT";
        assert_eq!(
            range(&retry, &refused(429, Some(date))).0,
            Duration::from_secs(100)
        );
        let (least, _) = range(&retry, &refused(503, Some("99999999999")));
        assert_eq!(least, Duration::from_secs(3600));
        assert_eq!(range(&retry, &refused(503, Some("soon"))).0, Duration::ZERO);
    }

    #[test]
    fn who_is_told_to_stay_away_does_so() {
        let stays = [
            peer_closed(1008),
            peer_closed(4401),
            refused(400, None),
            refused(401, None),
            refused(403, None),
            refused(404, None),
            CloseCause::WeClosed {
                code: CloseCode::NORMAL,
            },
            CloseCause::Dial(DialError::NoTls),
        ];
        for cause in stays {
            assert_eq!(Verdict::of(&cause), Verdict::StayAway, "{cause}");
        }
        let comes = [
            LOST,
            peer_closed(1000),
            peer_closed(1001),
            peer_closed(1012),
            peer_closed(4400),
            refused(408, None),
            refused(429, None),
            refused(500, None),
            refused(503, None),
            CloseCause::Dial(DialError::Ended),
            CloseCause::Dial(DialError::Resolve("no".into())),
        ];
        for cause in comes {
            assert_eq!(Verdict::of(&cause), Verdict::ComeBack, "{cause}");
        }
    }
}
