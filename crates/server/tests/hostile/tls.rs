//! Attacks on a port that speaks TLS, where the citizens speak it too: garbage, and handshakes that are good and never done.

use std::sync::LazyLock;

use wirefan_eventloop::ClientTls;
use wirefan_eventloop::rustls::ClientConnection;
use wirefan_eventloop::rustls::pki_types::ServerName;

use crate::frames::request;
use crate::siege::{MIB, MOST, SIEGE, Siege, TURNED_AWAY};
use crate::swarm::{Swarm, Then};

/// Anything but a handshake of TLS.
fn garbage(number: usize) -> Vec<u8> {
    let noise = |len: usize| {
        let mut state = number as u32 | 1;
        let noise = std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        noise.take(len).collect::<Vec<u8>>()
    };
    match number % 6 {
        0 => noise(4096),
        1 => request("/"),
        // A record of handshake messages with noise in it.
        2 => [&[22, 3, 1, 16, 0][..], &noise(4096)].concat(),
        // The first message is said to have 16 MiB, and comes in full records.
        3 => [
            &[22, 3, 1, 64, 0, 1, 255, 255, 255][..],
            &[0; 16_380],
            &[[22, 3, 1, 64, 0].to_vec(), vec![0; 16_384]]
                .concat()
                .repeat(8),
        ]
        .concat(),
        // Alerts without end.
        4 => [21, 3, 1, 0, 2, 1, 90].repeat(5000),
        // The beginning of a record, and nothing more.
        _ => vec![22, 3, 1, 2, 0, 1, 0],
    }
}

#[test]
fn garbage_on_the_tls_port() {
    let siege = Siege::lay_over_tls();
    let plan = siege.plan(200, 20, garbage, Then::Stay);
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, MOST);
    siege.await_metric("wirefan_handshakes_total tls_", 300);
    siege.await_metric("wirefan_handshakes_total handshake_timeout", 30);
    swarm.freeze();
    siege.await_sockets(0);
    siege.lift(swarm, 32 * MIB);
}

/// The first flight of a good handshake: the server makes keys, signs, and answers.
fn hello(_: usize) -> Vec<u8> {
    static TLS: LazyLock<ClientTls> = LazyLock::new(|| {
        let builder = ClientTls::builder().dangerously_accept_any_certificate();
        builder.build().unwrap()
    });
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(TLS.config(), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn tls_handshakes_that_stop_half_way() {
    let siege = Siege::lay_over_tls();
    let plan = siege.plan(1000, 20, hello, Then::Stay);
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, 500 + TURNED_AWAY);
    siege.await_metric("wirefan_handshakes_total handshake_timeout", 400);
    swarm.freeze();
    siege.await_sockets(0);
    siege.lift(swarm, 32 * MIB);
}
