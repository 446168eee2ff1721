//! A client and a server that do whatever their callers may do understand each other: everything that one sends the
//! other sees once, whole and in order; nobody fails; a Close ends both.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wirefan_fuzz::end::{End, Operation};
use wirefan_protocol::{Role, State};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Client(Operation<'a>),
    Server(Operation<'a>),
    /// So many of the bytes on their way arrive.
    ToClient(u8),
    ToServer(u8),
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let (mut client, mut server) = (End::new(Role::Client), End::new(Role::Server));
    for step in &steps {
        match step {
            Step::Client(operation) => client.perform(operation),
            Step::Server(operation) => server.perform(operation),
            Step::ToClient(len) => client.read_from(&mut server, usize::from(*len)),
            Step::ToServer(len) => server.read_from(&mut client, usize::from(*len)),
        }
    }
    // A Close and its echo need two rounds; an answer is never answered.
    for _ in 0..2 {
        client.read_from(&mut server, usize::MAX);
        server.read_from(&mut client, usize::MAX);
    }
    assert!(client.wire.is_empty() && server.wire.is_empty());
    assert_eq!(client.sent, server.seen);
    assert_eq!(server.sent, client.seen);
    assert_eq!(client.connection.state(), server.connection.state());
    assert_ne!(client.connection.state(), State::Closing);
});
