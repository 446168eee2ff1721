//! [`Record`]: an event as a line of JSON. Written by the output; docs/connect.md has the fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use wirefan_eventloop::CloseCause;
use wirefan_eventloop::client::OwnedMessage;

use super::output::Told;

#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Connecting {
        failures: u32,
    },
    Open {
        subprotocol: Option<&'a str>,
        extensions: Option<&'a str>,
    },
    Message {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    Pong {
        rtt_ms: f64,
    },
    Lost {
        cause: &'static str,
        message: String,
        retry_in_ms: u128,
    },
    Close {
        cause: &'static str,
        by: &'static str,
        code: Option<u16>,
        reason: &'a str,
    },
    Error {
        cause: &'a str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
}

impl<'a> Record<'a> {
    /// `None`: it is none of the events that scripts are told.
    pub(crate) fn of(told: &Told<'a>, time: Option<String>) -> Option<Self> {
        let event = match told {
            Told::Connecting { failures } => Event::Connecting {
                failures: *failures,
            },
            Told::Open(response) => Event::Open {
                subprotocol: response.protocol(),
                extensions: response.text("sec-websocket-extensions"),
            },
            Told::Message(OwnedMessage::Text(text)) => Event::Message {
                kind: "text",
                text: Some(text),
                base64: None,
            },
            Told::Message(OwnedMessage::Binary(data)) => Event::Message {
                kind: "binary",
                text: None,
                base64: Some(STANDARD.encode(data)),
            },
            Told::Pong(rtt) => Event::Pong {
                // Whole microseconds, which is what clocks are good for.
                rtt_ms: rtt.as_micros() as f64 / 1000.0,
            },
            Told::Lost { cause, retry_in } => Event::Lost {
                cause: cause.name(),
                message: cause.to_string(),
                retry_in_ms: retry_in.as_millis(),
            },
            Told::Ended(cause) => ended(cause),
            Told::Failed { cause, why } => Event::Error {
                cause,
                message: (*why).to_owned(),
                status: None,
            },
            Told::Note(_) => return None,
        };
        Some(Self { time, event })
    }
}

fn ended(cause: &CloseCause) -> Event<'_> {
    let close = |by, code, reason| Event::Close {
        cause: cause.name(),
        by,
        code,
        reason,
    };
    match cause {
        CloseCause::WeClosed { code } => close("us", Some(code.0), ""),
        CloseCause::PeerClosed { code, reason } => close("peer", code.map(|code| code.0), reason),
        cause => Event::Error {
            cause: cause.name(),
            message: cause.to_string(),
            status: match cause {
                CloseCause::Dial(why) => why.response().map(|response| response.status()),
                _ => None,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wirefan_protocol::CloseCode;

    fn json(told: &Told<'_>) -> String {
        serde_json::to_string(&Record::of(told, None).unwrap()).unwrap()
    }

    #[test]
    fn events_are_objects_with_the_fields_of_the_documentation() {
        let peer = CloseCause::PeerClosed {
            code: Some(CloseCode(4000)),
            reason: "a\"b\n".into(),
        };
        for (told, line) in [
            (
                Told::Message(&"a\u{1b}\n".into()),
                r#"{"event":"message","type":"text","text":"a\u001b\n"}"#,
            ),
            (
                Told::Message(&vec![0, 255].into()),
                r#"{"event":"message","type":"binary","base64":"AP8="}"#,
            ),
            (
                Told::Pong(Duration::from_micros(1250)),
                r#"{"event":"pong","rtt_ms":1.25}"#,
            ),
            (
                Told::Ended(&peer),
                r#"{"event":"close","cause":"peer_closed","by":"peer","code":4000,"reason":"a\"b\n"}"#,
            ),
            (
                Told::Ended(&CloseCause::Lost),
                r#"{"event":"error","cause":"lost","message":"connection lost without a Close"}"#,
            ),
            (
                Told::Failed {
                    cause: "timeout",
                    why: "too late",
                },
                r#"{"event":"error","cause":"timeout","message":"too late"}"#,
            ),
        ] {
            assert_eq!(json(&told), line);
        }
        assert!(Record::of(&Told::Note("for people"), None).is_none());
    }
}
