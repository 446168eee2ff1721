//! A client and a server, run against each other through any operations: everything that was sent arrives once and
//! in order, nothing follows a Close, and both ends agree on how it ended.

mod common;

use common::streams::{cases, control};
use common::{CLOSE, End, PING, ROLES, Raw, Seen, parse, peer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wirefan_protocol::{
    CloseCode, Config, Error, Frame, Kind, Role, SendError, SendScratch, State,
};

#[derive(Clone, Debug)]
enum Operation {
    Text(String),
    Binary(Vec<u8>),
    Shared(String),
    HeaderFirst(Vec<u8>),
    TextFragment(String, bool),
    BinaryFragment(Vec<u8>, bool),
    Control(Raw),
    Close(u16, String),
    /// Reads at most so many bytes of what the other end wrote.
    Read(usize),
    /// The transport ends: what is on its way to this end is lost, and nothing more goes out.
    End,
}

fn operation() -> impl Strategy<Value = Operation> {
    let text = || vec(any::<char>(), 0..20).prop_map(String::from_iter);
    let data = || prop_oneof![8 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 120..300)];
    prop_oneof![
        4 => text().prop_map(Operation::Text),
        4 => data().prop_map(Operation::Binary),
        2 => text().prop_map(Operation::Shared),
        2 => data().prop_map(Operation::HeaderFirst),
        5 => (text(), any::<bool>()).prop_map(|(text, last)| Operation::TextFragment(text, last)),
        5 => (data(), any::<bool>()).prop_map(|(data, last)| Operation::BinaryFragment(data, last)),
        4 => control().prop_map(Operation::Control),
        1 => (select(vec![1000, 1001, 1005, 4000]), text()).prop_map(|(code, reason)| {
            // 1005 stands for a Close without a code, which has no reason either.
            Operation::Close(code, if code == 1005 { String::new() } else { reason })
        }),
        12 => prop_oneof![1..8_usize, 8..400_usize].prop_map(Operation::Read),
    ]
}

/// Operations of both ends, and perhaps an end of the transport among them.
fn operations() -> impl Strategy<Value = Vec<(Role, Operation)>> {
    let operation = prop_oneof![200 => operation(), 1 => Just(Operation::End)];
    vec((select(&ROLES[..]), operation), 0..80)
}

/// One end, and what the model knows of it.
struct Side {
    end: End,
    state: State,
    /// How much of `end.out` the other end has read.
    read: usize,
    /// What must arrive at the other end.
    sent: Vec<Seen>,
    /// The fragmented message under way: its kind, and what of it is sent.
    under_way: Option<(Kind, Vec<u8>)>,
    /// The transport has ended for this end.
    ended: bool,
}

impl Side {
    fn new(role: Role) -> Self {
        Self {
            end: End::new(role, &Config::default()),
            state: State::Open,
            read: 0,
            sent: Vec::new(),
            under_way: None,
            ended: false,
        }
    }

    fn send(&mut self, operation: Operation) {
        let expected = self.may(&operation);
        assert_eq!(self.try_to(&operation), expected);
        if expected.is_ok() {
            self.note(operation);
        }
        assert_eq!(self.end.state(), self.state);
    }

    fn may(&self, operation: &Operation) -> Result<(), SendError> {
        use Operation::{Binary, BinaryFragment, HeaderFirst, Shared, Text, TextFragment};

        let under_way = self.under_way.as_ref().map(|(kind, _)| *kind);
        match (operation, under_way) {
            (HeaderFirst(_), _) if self.end.role() == Role::Client => {
                Err(SendError::HeaderForClient)
            }
            _ if self.state != State::Open => Err(SendError::AfterClose),
            (Text(_) | Binary(_) | Shared(_) | HeaderFirst(_), Some(_))
            | (TextFragment(..), Some(Kind::Binary))
            | (BinaryFragment(..), Some(Kind::Text)) => Err(SendError::InsideMessage),
            _ => Ok(()),
        }
    }

    fn try_to(&mut self, operation: &Operation) -> Result<(), SendError> {
        let (connection, out) = (&mut self.end.connection, &mut self.end.out);
        match operation {
            Operation::Text(text) => connection.send_text(text, &mut SendScratch::default(), out),
            Operation::Binary(data) => {
                connection.send_binary(data, &mut SendScratch::default(), out)
            }
            Operation::Shared(text) => {
                let bytes =
                    connection.send_frame(&Frame::text(text), &mut SendScratch::default())?;
                out.extend(bytes);
                Ok(())
            }
            Operation::HeaderFirst(data) => {
                let header = connection.send_header(Kind::Binary, data.len())?;
                out.extend_from_slice(&header);
                out.extend_from_slice(data);
                Ok(())
            }
            Operation::TextFragment(text, last) => connection.send_text_fragment(text, *last, out),
            Operation::BinaryFragment(data, last) => {
                connection.send_binary_fragment(data, *last, out)
            }
            Operation::Control(frame) if frame.opcode == PING => {
                connection.send_ping(&frame.payload, out)
            }
            Operation::Control(frame) => connection.send_pong(&frame.payload, out),
            Operation::Close(code, reason) => connection.close(CloseCode(*code), reason, out),
            Operation::Read(_) | Operation::End => unreachable!("not for this function"),
        }
    }

    /// Notes what must arrive.
    fn note(&mut self, operation: Operation) {
        let arrives = match operation {
            Operation::Text(text) | Operation::Shared(text) => Seen::Text(text),
            Operation::Binary(data) | Operation::HeaderFirst(data) => Seen::Binary(data),
            Operation::TextFragment(text, last) => {
                return self.note_fragment(Kind::Text, text.as_bytes(), last);
            }
            Operation::BinaryFragment(data, last) => {
                return self.note_fragment(Kind::Binary, &data, last);
            }
            Operation::Control(frame) if frame.opcode == PING => Seen::Ping(frame.payload),
            Operation::Control(frame) => Seen::Pong(frame.payload),
            Operation::Close(code, reason) => {
                self.state = State::Closing;
                Seen::Close((code != 1005).then_some((code, reason)))
            }
            Operation::Read(_) | Operation::End => unreachable!("not for this function"),
        };
        self.sent.push(arrives);
    }

    fn note_fragment(&mut self, kind: Kind, data: &[u8], last: bool) {
        let (_, message) = self.under_way.get_or_insert_with(|| (kind, Vec::new()));
        message.extend_from_slice(data);
        if last {
            let message = std::mem::take(message);
            self.under_way = None;
            self.sent.push(match kind {
                Kind::Text => Seen::Text(String::from_utf8(message).expect("made of texts")),
                Kind::Binary => Seen::Binary(message),
            });
        }
    }

    /// Reads what the other end wrote.
    fn read(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        let seen_before = self.end.seen.len();
        self.end.read(bytes);
        // Answers go out in the order of what they answer.
        for seen in &self.end.seen[seen_before..] {
            let answer = match seen {
                Seen::Ping(payload) => Some(Seen::Pong(payload.clone())),
                Seen::Close(close) => {
                    let code = close.as_ref().map(|(code, _)| (*code, String::new()));
                    Some(Seen::Close(code))
                }
                _ => None,
            };
            if self.state == State::Open {
                self.sent.extend(answer);
            }
            if let Seen::Close(_) = seen {
                self.state = State::Closed;
            }
        }
        assert_eq!(self.end.state(), self.state);
    }

    /// The transport ends.
    fn end(&mut self) {
        self.ended = true;
        self.end.end();
        if self.state != State::Closed {
            assert_eq!(self.end.seen.pop(), Some(Seen::Failed(Error::EndOfStream)));
        }
        self.state = State::Closed;
        assert_eq!(self.end.state(), self.state);
    }
}

/// Lets `to` read up to `limit` bytes of what `from` wrote.
fn deliver(from: &mut Side, to: &mut Side, limit: usize) {
    let until = from.end.out.len().min(from.read.saturating_add(limit));
    to.read(&from.end.out[from.read..until]);
    from.read = until;
}

fn run(operations: Vec<(Role, Operation)>) {
    let (mut server, mut client) = (Side::new(Role::Server), Side::new(Role::Client));
    for (role, operation) in operations {
        let (one, other) = match role {
            Role::Server => (&mut server, &mut client),
            Role::Client => (&mut client, &mut server),
        };
        match operation {
            Operation::Read(limit) => deliver(other, one, limit),
            Operation::End => one.end(),
            operation => one.send(operation),
        }
    }
    // Everything arrives, answers and answers to answers included.
    for _ in 0..3 {
        deliver(&mut server, &mut client, usize::MAX);
        deliver(&mut client, &mut server, usize::MAX);
    }
    agree(&server, &client);
    agree(&client, &server);
    if server.ended || client.ended {
        // The end of the transport reaches the other end behind the last bytes.
        for side in [&mut server, &mut client] {
            if !side.ended {
                side.end();
            }
        }
    } else {
        assert_eq!(server.end.state(), client.end.state());
        assert_ne!(
            server.end.state(),
            State::Closing,
            "the answer was on its way"
        );
    }
}

/// What `to` reports is what `from` sent.
fn agree(from: &Side, to: &Side) {
    if to.ended {
        assert!(
            from.sent.starts_with(&to.end.seen),
            "{:?} lost its order",
            to.end.role()
        );
    } else {
        assert_eq!(to.end.seen, from.sent);
    }
    // Whole frames, and a Close only as the last of them.
    let frames = parse(peer(to.end.role()), &from.end.out);
    let close = frames.iter().position(|frame| frame.opcode == CLOSE);
    assert!(
        close.is_none_or(|at| at + 1 == frames.len()),
        "something follows the Close"
    );
    assert_eq!(
        close.is_some(),
        from.sent.iter().any(|seen| matches!(seen, Seen::Close(_)))
    );
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn any_operations_leave_both_ends_in_agreement(operations in operations()) {
        run(operations);
    }
}

#[test]
fn both_close_at_once() {
    run(vec![
        (Role::Server, Operation::Close(1001, "going".into())),
        (Role::Client, Operation::Close(1000, "done".into())),
    ]);
}

#[test]
fn a_close_inside_a_fragmented_message() {
    run(vec![
        (
            Role::Client,
            Operation::TextFragment("never to be finished".into(), false),
        ),
        (Role::Server, Operation::Text("on its way".into())),
        (Role::Client, Operation::Close(1000, String::new())),
        (
            Role::Client,
            Operation::TextFragment("too late".into(), true),
        ),
        (Role::Server, Operation::Read(usize::MAX)),
    ]);
}
