//! Every MUST and MUST NOT of RFC 6455 on an open connection, a test each, named after its section. Those that are
//! proven elsewhere:
//!
//! | section | rule | where |
//! |---|---|---|
//! | 5.2 | an unknown opcode fails the connection | `autobahn`, 4.* |
//! | 5.3 | the masking algorithm | `src/mask.rs`, and every test that a client takes part in |
//! | 5.3, 10.3 | a fresh key for each frame, which does not follow from the last | `roundtrip.rs`, `src/keys.rs` |
//! | 5.4 | fragments and messages arrive in the order in which they were sent | `roundtrip.rs`, `pair.rs` |
//! | 5.4 | continuations of nothing | `autobahn`, 5.9 to 5.17 |
//! | 5.4 | nothing depends on where frames or reads end | `chunking.rs` |
//! | 5.5.2, 5.5.3 | pings are answered, with their payload; pongs are not | `autobahn`, 2.* |
//! | 5.6, 8.1 | texts that are not UTF-8 | `autobahn`, 6.* |
//! | 10.4 | limits | `limits.rs` |

#[path = "../common/mod.rs"]
mod common;

mod closing;
mod control;
mod framing;
mod messages;

use common::{
    BINARY, CLOSE, CONTINUATION, End, PING, PONG, ROLES, Raw, Seen, TEXT, cuts, failure, peer, wire,
};
use wirefan_protocol::{
    CloseCode, Config, Error, Frame, Kind, Role, SendError, SendScratch, State,
};

const OPCODES: [u8; 6] = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG];

fn open(role: Role) -> End {
    End::new(role, &Config::default())
}

fn server() -> End {
    open(Role::Server)
}

/// An end whose own Close is out.
fn closing(role: Role) -> End {
    let mut end = open(role);
    end.close(1000, "").expect("it is open");
    end.out.clear();
    end
}

impl End {
    fn close(&mut self, code: u16, reason: &str) -> Result<(), SendError> {
        self.connection
            .close(CloseCode(code), reason, &mut self.out)
    }

    /// Tries all there is to send, and returns what came of it.
    fn send_everything(&mut self) -> Vec<Result<(), SendError>> {
        let mut results = vec![
            self.connection
                .send_frame(&Frame::text("shared"), &mut SendScratch::default())
                .map(|bytes| self.out.extend(bytes)),
        ];
        let (connection, out) = (&mut self.connection, &mut self.out);
        if connection.role() == Role::Server {
            results.push(
                connection
                    .send_header(Kind::Text, 0)
                    .map(|h| out.extend_from_slice(&h)),
            );
        }
        results.extend([
            connection.send_text("text", &mut SendScratch::default(), out),
            connection.send_binary(b"binary", &mut SendScratch::default(), out),
            connection.send_text_fragment("a", false, out),
            connection.send_ping(b"ping", out),
            connection.send_pong(b"pong", out),
            connection.send_text_fragment("b", true, out),
            connection.send_binary_fragment(b"c", true, out),
            connection.close(CloseCode::NORMAL, "bye", out),
        ]);
        results
    }
}

/// These bytes fail a connection of this role: at once, for good, and with a Close that says why.
#[track_caller]
fn bytes_fail(role: Role, bytes: &[u8], error: Error) {
    for cuts in cuts(bytes.len()) {
        let mut end = open(role);
        end.read_cut(bytes, &cuts);
        assert_eq!(end.seen, [Seen::Failed(error)], "{role:?} {bytes:x?}");
        assert_eq!(end.sent(), [failure(error)]);
        assert_eq!(end.state(), State::Closed);
    }
}

#[track_caller]
fn frames_fail(frames: &[Raw], error: Error) {
    for role in ROLES {
        bytes_fail(role, &wire(peer(role), frames), error);
    }
}

#[track_caller]
fn frames_arrive(frames: &[Raw], expected: &[Seen]) {
    for role in ROLES {
        let mut end = open(role);
        end.receive(frames);
        assert_eq!(end.seen, expected, "{role:?}");
    }
}
