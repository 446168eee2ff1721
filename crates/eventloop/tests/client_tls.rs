//! Dialling over TLS: whom we believe, whom we do not, and that the connection is then one like any other.
#![cfg(all(feature = "client", feature = "tls"))]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use common::caller::{TestClient, to};
use common::noise;
use common::server::{App, TestServer};
use common::tls::{Authority, asks, listen_too};
use wirefan_eventloop::{
    ClientAuth, ClientTls, CloseCause, Dial, DialError, Message, Tls, TlsFailure,
};
use wirefan_protocol::CloseCode;

/// An echo server whose second port speaks TLS.
fn server(tls: &Tls) -> (TestServer, SocketAddr) {
    let server = TestServer::start(App::echo(), listen_too(tls));
    let addr = server.addrs[1];
    (server, addr)
}

fn wss(name: &str, addr: SocketAddr) -> Dial {
    Dial::new(&format!("wss://{name}:{}/", addr.port())).expect("a URL")
}

fn trusting(authority: &Authority) -> ClientTls {
    let builder = ClientTls::builder().server_ca_pem(authority.pem().as_bytes());
    builder.expect("a CA").build().expect("a configuration")
}

fn refused(why: &DialError) -> bool {
    matches!(why, DialError::Tls(TlsFailure::Certificate(_)))
}

#[test]
fn messages_of_all_sizes_go_both_ways_and_the_end_is_orderly() {
    let authority = Authority::new();
    let (server, addr) = server(&authority.sign(&["localhost"]).tls());
    let client = TestClient::start();
    let id = client.open(wss("localhost", addr).tls(&trusting(&authority)));
    for len in [0, 1, 125, 16_384, 16_385, 1_000_000] {
        let sent = noise(len);
        let _ = client.on_worker(move |ctx| ctx.send(id, Message::Binary(&noise(len))));
        assert_eq!(client.binary(), sent, "{len}");
    }
    let alpn = client.on_worker(move |ctx| {
        let tls = ctx.tls(id).expect("TLS");
        assert_eq!(tls.server_name(), Some("localhost"));
        assert!(!tls.peer_certificates().is_empty());
        tls.alpn().map(<[u8]>::to_vec)
    });
    assert_eq!(alpn.as_deref(), Some(&b"http/1.1"[..]));
    client.on_worker(move |ctx| ctx.close(id, CloseCode::NORMAL, ""));
    let code = CloseCode::NORMAL;
    assert_eq!(client.closed(), CloseCause::WeClosed { code });
    let closed = server.closed().cause;
    assert!(matches!(closed, CloseCause::PeerClosed { .. }), "{closed}");
}

#[test]
fn the_server_is_told_its_name_and_sessions_are_resumed() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let app = App::echo().on_open(|conn| {
        let tls = conn.tls().expect("TLS");
        let text = format!("{:?} {}", tls.server_name(), tls.is_resumed());
        let _ = conn.send_text(&text);
    });
    let server = TestServer::start(app, listen_too(&tls));
    let client = TestClient::start();
    let dial = wss("localhost", server.addrs[1]).tls(&trusting(&authority));
    for resumed in [false, true] {
        client.open(dial.clone());
        assert_eq!(client.text(), format!("Some(\"localhost\") {resumed}"));
    }
}

#[test]
fn an_address_is_verified_too() {
    let authority = Authority::new();
    let (_server, addr) = server(&authority.sign(&["127.0.0.1"]).tls());
    let tls = trusting(&authority);
    let client = TestClient::start();
    client.open(wss("127.0.0.1", addr).tls(&tls));
    let why = client.fail(wss("localhost", addr).tls(&tls));
    assert!(refused(&why), "{why}");
}

#[test]
fn who_is_not_trusted_is_refused() {
    let authority = Authority::new();
    let (_server, addr) = server(&authority.sign(&["localhost"]).tls());
    let client = TestClient::start();
    let other = trusting(&Authority::new());
    let why = client.fail(wss("localhost", addr).tls(&other));
    assert!(refused(&why), "{why}");
    assert!(
        why.to_string()
            .starts_with("the server's certificate is refused: ")
    );
    // Whom the system trusts, if it trusts anybody.
    let why = client.fail(wss("localhost", addr));
    assert_eq!(why.name(), "dial_tls", "{why}");
    let builder = ClientTls::builder().dangerously_accept_any_certificate();
    let anyone = builder.build().expect("a configuration");
    client.open(wss("localhost", addr).tls(&anyone));
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (_server, addr) = server(&authority.sign(&["else.example"]).tls());
    let why = TestClient::start().fail(wss("localhost", addr).tls(&trusting(&authority)));
    assert!(refused(&why), "{why}");
}

#[test]
fn we_show_a_certificate_if_we_have_one() {
    let (authority, ours) = (Authority::new(), Authority::new());
    let tls = asks(&authority.sign(&["localhost"]), &ours, ClientAuth::Required);
    let (_server, addr) = server(&tls);
    let client = TestClient::start();
    let why = client.fail(wss("localhost", addr).tls(&trusting(&authority)));
    assert!(
        matches!(why, DialError::Tls(TlsFailure::Alert { .. })),
        "{why}"
    );
    let (certificate, key) = ours.sign(&["client"]).pem();
    let builder = ClientTls::builder().server_ca_pem(authority.pem().as_bytes());
    let tls = builder
        .and_then(|builder| builder.identity_pem(certificate.as_bytes(), key.as_bytes()))
        .and_then(|builder| builder.build())
        .expect("a configuration");
    let id = client.open(wss("localhost", addr).tls(&tls));
    let _ = client.on_worker(move |ctx| ctx.send(id, Message::Text("it is me")));
    assert_eq!(client.text(), "it is me");
}

#[test]
fn plain_and_tls_are_told_apart() {
    let authority = Authority::new();
    let (server, addr) = server(&authority.sign(&["localhost"]).tls());
    let client = TestClient::start();
    let why = client.fail(to(addr, "/"));
    let response = why.response().expect("a response");
    assert_eq!(response.status(), 400);
    let why = client.fail(wss("localhost", server.addr).tls(&trusting(&authority)));
    assert_eq!(why.name(), "dial_tls", "{why}");
}

/// Every record in single bytes, and in small pieces.
#[test]
fn records_may_come_in_any_pieces() {
    let authority = Authority::new();
    let (_server, addr) = server(&authority.sign(&["localhost"]).tls());
    let client = TestClient::start();
    for size in [1, 7, 1000] {
        let proxy = dribble(addr, size);
        let id = client.open(wss("localhost", proxy).tls(&trusting(&authority)));
        let _ = client.on_worker(move |ctx| ctx.send(id, Message::Binary(&noise(5000))));
        assert_eq!(client.binary(), noise(5000));
    }
}

/// Hands bytes on in pieces of this size, one connection.
fn dribble(to: SocketAddr, size: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (near, _) = listener.accept().expect("a client");
        let far = TcpStream::connect(to).expect("the server");
        for stream in [&near, &far] {
            stream.set_nodelay(true).expect("TCP_NODELAY");
        }
        let copy = move |mut from: TcpStream, mut to: TcpStream| {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                for piece in buffer[..len].chunks(size) {
                    if to.write_all(piece).is_err() {
                        return;
                    }
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        };
        let (back, forth) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        thread::spawn(move || copy(forth, back));
        copy(near, far);
    });
    addr
}
