//! What the two ends agree on: the server chooses among offers, the client checks the choice (RFC 7692 §5, §7.1).
//! Used by the handshakes, and by stacks that speak HTTP themselves.

use alloc::string::String;
use core::fmt::{self, Write};

use super::offer::{ClientBits, Parameters, extensions, is_extension_list};
use super::{Agreed, DeflateConfig, DeflateParams, PERMESSAGE_DEFLATE, Way};
use crate::{Config, Role};

/// The largest window, and the one that holds where nothing else is said.
const MAX_BITS: u8 = 15;
/// The smallest window that an encoder of the zlib family can keep to. Inflating for 8 works all the same.
const MIN_SEND_BITS: u8 = 9;

/// A `Sec-WebSocket-Extensions` that is no list of extensions: the handshake fails (RFC 6455 §9.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidExtensions;

impl fmt::Display for InvalidExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sec-WebSocket-Extensions is not a list of extensions")
    }
}

impl core::error::Error for InvalidExtensions {}

/// Chooses among what a client offers in its `Sec-WebSocket-Extensions` lines, in their order.
///
/// Returns what holds for the connection, and the line's value for the answer if there is to be one.
///
/// # Errors
///
/// A value is no list of extensions; answer 400.
///
/// ```
/// use wirefan_protocol::handshake::negotiate;
/// use wirefan_protocol::{Config, DeflateConfig};
///
/// let mut config = Config::default();
/// config.deflate = Some(DeflateConfig::default());
/// let offers = [&b"permessage-deflate; client_max_window_bits"[..]];
/// let (agreed, answer) = negotiate(offers, &config)?;
/// # #[cfg(feature = "deflate")]
/// assert_eq!(
///     answer.as_deref(),
///     Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
/// );
/// # let _ = agreed;
/// # Ok::<(), wirefan_protocol::handshake::InvalidExtensions>(())
/// ```
pub fn negotiate<'a>(
    offers: impl IntoIterator<Item = &'a [u8]>,
    config: &Config,
) -> Result<(Agreed, Option<String>), InvalidExtensions> {
    let mut chosen = None;
    for value in offers {
        if !is_extension_list(value) {
            return Err(InvalidExtensions);
        }
        if let Some(deflate) = &config.deflate {
            // RFC 7692 §5.1: the first offer that can be honoured; one that cannot is passed over.
            chosen = chosen.or_else(|| {
                extensions(value)
                    .flatten()
                    .find_map(|offer| choose(offer, deflate))
            });
        }
    }
    Ok(match chosen {
        Some(answer) if cfg!(feature = "deflate") => {
            (answer.agreed(Role::Server), Some(answer.to_text()))
        }
        _ => (Agreed::default(), None),
    })
}

/// The server's answer to an offer; `None`: it cannot be honoured.
fn choose(offer: Parameters, config: &DeflateConfig) -> Option<Parameters> {
    let largest = config.window_bits.clamp(MIN_SEND_BITS, MAX_BITS);
    // RFC 7692 §7.1.2.1: the same or a smaller window, or no agreement.
    let server_bits = offer
        .server_max_window_bits
        .unwrap_or(MAX_BITS)
        .min(largest);
    if server_bits < MIN_SEND_BITS {
        return None;
    }
    // RFC 7692 §7.1.2.2: only if the offer has it, and not above its value.
    let client_bits = offer.client_max_window_bits.map(|bits| match bits {
        ClientBits::Any => largest,
        ClientBits::AtMost(bits) => bits.min(largest),
    });
    let said = offer.server_max_window_bits.is_some();
    Some(Parameters {
        server_no_context_takeover: offer.server_no_context_takeover
            || !(config.takeover || config.shared_history.is_some()),
        client_no_context_takeover: offer.client_no_context_takeover || !config.takeover,
        server_max_window_bits: (said || server_bits < MAX_BITS).then_some(server_bits),
        client_max_window_bits: client_bits
            .filter(|bits| *bits < MAX_BITS)
            .map(ClientBits::AtMost),
    })
}

/// What a client offers.
pub(crate) fn offer(config: &DeflateConfig) -> String {
    let bits = config.window_bits.clamp(MIN_SEND_BITS, MAX_BITS);
    let (any, fewer) = (ClientBits::Any, bits < MAX_BITS);
    Parameters {
        server_no_context_takeover: !config.takeover,
        client_no_context_takeover: !config.takeover,
        server_max_window_bits: fewer.then_some(bits),
        client_max_window_bits: Some(if fewer { ClientBits::AtMost(bits) } else { any }),
    }
    .to_text()
}

/// Checks a server's choice against our offer (RFC 7692 §5.1, §7.1); `None`: the connection fails.
pub(crate) fn check<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    config: &DeflateConfig,
) -> Option<Agreed> {
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    if !is_extension_list(value) {
        return None;
    }
    let mut chosen = extensions(value);
    let (Some(Some(answer)), None) = (chosen.next(), chosen.next()) else {
        return None;
    };
    let offered_bits = config.window_bits.clamp(MIN_SEND_BITS, MAX_BITS);
    let server_bits = answer.server_max_window_bits;
    let valid = (config.takeover || answer.server_no_context_takeover)
        && (offered_bits == MAX_BITS || server_bits.is_some_and(|bits| bits <= offered_bits))
        && match answer.client_max_window_bits {
            None => true,
            Some(ClientBits::Any) => false,
            Some(ClientBits::AtMost(bits)) => bits <= offered_bits,
        };
    let mut agreed = valid.then(|| answer.agreed(Role::Client))?;
    // We said that we would not use more, whatever the answer leaves out.
    if let Some(DeflateParams { send, .. }) = &mut agreed.deflate {
        send.takeover &= config.takeover;
        send.window_bits = send.window_bits.min(offered_bits);
    }
    Some(agreed)
}

impl Parameters {
    /// What an answer means for one of the ends.
    fn agreed(self, role: Role) -> Agreed {
        let server = Way {
            takeover: !self.server_no_context_takeover,
            window_bits: self.server_max_window_bits.unwrap_or(MAX_BITS),
        };
        let client = Way {
            takeover: !self.client_no_context_takeover,
            window_bits: match self.client_max_window_bits {
                Some(ClientBits::AtMost(bits)) => bits,
                _ => MAX_BITS,
            },
        };
        let deflate = match role {
            Role::Server => DeflateParams {
                send: server,
                receive: client,
            },
            Role::Client => DeflateParams {
                send: client,
                receive: server,
            },
        };
        Agreed {
            deflate: Some(deflate),
        }
    }

    fn to_text(self) -> String {
        let mut text = String::from(PERMESSAGE_DEFLATE);
        if self.server_no_context_takeover {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            text.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            // Writing to a string does not fail.
            let _ = write!(text, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            None => {}
            Some(ClientBits::Any) => text.push_str("; client_max_window_bits"),
            Some(ClientBits::AtMost(bits)) => {
                let _ = write!(text, "; client_max_window_bits={bits}");
            }
        }
        text
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    fn config(takeover: bool, window_bits: u8) -> Config {
        let deflate = DeflateConfig {
            takeover,
            window_bits,
            ..DeflateConfig::default()
        };
        Config {
            deflate: Some(deflate),
            ..Config::default()
        }
    }

    fn answer(offers: &[&str], config: &Config) -> Option<String> {
        let offers = offers.iter().map(|offer| offer.as_bytes());
        negotiate(offers, config).ok()?.1
    }

    const BOTH: &str = "; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn rfc_7692_section_5_the_first_offer_that_can_be_honoured() {
        let config = config(true, 15);
        let bad = "permessage-deflate; server_max_window_bits=8";
        let good = "permessage-deflate; server_max_window_bits=9";
        let list = alloc::format!("x-other, {bad}, {good}, permessage-deflate");
        assert_eq!(answer(&[&list], &config).as_deref(), Some(good));
        assert_eq!(
            answer(&[bad, good], &config).as_deref(),
            Some(good),
            "over several lines"
        );
        assert_eq!(answer(&[bad], &config), None);
        assert_eq!(answer(&["x-webkit-deflate-frame"], &config), None);
        assert_eq!(answer(&[good], &Config::default()), None, "not configured");
    }

    #[test]
    fn rfc_6455_section_9_1_a_malformed_list_fails_whatever_is_configured() {
        for config in [Config::default(), config(false, 15)] {
            let offers = [&b"permessage-deflate"[..], b"permessage-deflate; \""];
            assert_eq!(negotiate(offers, &config), Err(InvalidExtensions));
        }
    }

    #[test]
    fn rfc_7692_section_7_1_1_takeover() {
        let plain = "permessage-deflate";
        assert_eq!(answer(&[plain], &config(true, 15)).as_deref(), Some(plain));
        let shared = alloc::format!("{plain}{BOTH}");
        assert_eq!(answer(&[plain], &config(false, 15)), Some(shared.clone()));
        assert_eq!(answer(&[&shared], &config(true, 15)), Some(shared));
    }

    #[test]
    fn rfc_7692_section_7_1_2_windows() {
        let with = |bits: &str| alloc::format!("permessage-deflate; {bits}");
        let cases = [
            (15, "client_max_window_bits", "permessage-deflate"),
            (
                15,
                "client_max_window_bits=10",
                "permessage-deflate; client_max_window_bits=10",
            ),
            (
                15,
                "server_max_window_bits=15",
                "permessage-deflate; server_max_window_bits=15",
            ),
            (
                12,
                "client_max_window_bits",
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            ),
            (
                12,
                "server_max_window_bits=10",
                "permessage-deflate; server_max_window_bits=10",
            ),
            (
                12,
                "server_max_window_bits=14",
                "permessage-deflate; server_max_window_bits=12",
            ),
            (
                15,
                "client_max_window_bits=8",
                "permessage-deflate; client_max_window_bits=8",
            ),
        ];
        for (bits, offer, expected) in cases {
            assert_eq!(
                answer(&[&with(offer)], &config(true, bits)).as_deref(),
                Some(expected),
                "{offer}"
            );
        }
    }

    #[test]
    fn both_ends_agree_on_the_same() {
        for (server, client) in [
            (config(false, 15), config(true, 15)),
            (config(true, 10), config(true, 12)),
            (config(true, 15), config(false, 9)),
            (config(true, 15), config(true, 15)),
        ] {
            let offer = offer(client.deflate.as_ref().unwrap());
            let (ours, answer) = negotiate([offer.as_bytes()], &server).unwrap();
            let theirs = check(
                [answer.unwrap().as_bytes()].into_iter(),
                client.deflate.as_ref().unwrap(),
            );
            let (ours, theirs) = (ours.deflate.unwrap(), theirs.unwrap().deflate.unwrap());
            assert_eq!(ours.send, theirs.receive);
            // A client may promise itself more than the answer asks.
            assert!(theirs.send.window_bits <= ours.receive.window_bits);
            assert!(ours.receive.takeover || !theirs.send.takeover);
        }
    }

    #[test]
    fn rfc_7692_section_5_1_a_client_refuses_what_it_did_not_offer() {
        let takeover = DeflateConfig {
            takeover: true,
            ..DeflateConfig::default()
        };
        let check = |answer: &str, config: &DeflateConfig| {
            check([answer.as_bytes()].into_iter(), config).is_some()
        };
        for answer in [
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=8; client_no_context_takeover",
        ] {
            assert!(check(answer, &takeover), "{answer}");
        }
        for answer in [
            "",
            "x",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate, x",
            "permessage-deflate; x",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; \"",
        ] {
            assert!(!check(answer, &takeover), "{answer}");
        }
        // What we asked for has to be in the answer.
        assert!(!check("permessage-deflate", &DeflateConfig::default()));
        let small = DeflateConfig {
            takeover: true,
            window_bits: 10,
            ..DeflateConfig::default()
        };
        assert!(!check("permessage-deflate", &small));
        assert!(!check(
            "permessage-deflate; server_max_window_bits=11",
            &small
        ));
        assert!(check(
            "permessage-deflate; server_max_window_bits=10",
            &small
        ));
        assert!(!check(
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
            &small
        ));
    }
}
