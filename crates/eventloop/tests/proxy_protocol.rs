//! The PROXY protocol on real sockets: what it tells the handler, who may send it, and that a bad header is nobody else's.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use common::client::{Client, dial, read_all, request, upgrade};
use common::server::{App, TestServer};
use wirefan_eventloop::admission::proxy_protocol::{Endpoints, ProxyError, ProxyHeader, Transport};
use wirefan_eventloop::{
    CloseCause, Decision, Endpoint, ProxyFailure, ServerBuilder, Timeouts, Via,
};
use wirefan_protocol::Overdue;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn v1(source: &str) -> Vec<u8> {
    let mut line = Vec::new();
    let header = ProxyHeader::tcp(addr(source), addr("192.0.2.80:80"));
    header.write_v1(&mut line).expect("a header");
    line
}

fn v2(source: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let destination = match addr(source).is_ipv4() {
        true => "192.0.2.80:80",
        false => "[2001:db8::80]:80",
    };
    let header = ProxyHeader::tcp(addr(source), addr(destination));
    header.write_v2(true, &mut bytes).expect("a header");
    bytes
}

/// Tells everybody who they are and how they came.
fn mirror() -> App {
    App::echo()
        .on_request(|_, caller| Decision::accept(format!("{} {:?}", caller.addr, caller.via)))
        .on_open(|conn| {
            let caller = conn.caller();
            assert_eq!(conn.peer(), &format!("{} {:?}", caller.addr, caller.via));
            let text = conn.peer().clone();
            let _ = conn.send_text(&text);
        })
}

fn behind(trusted: &str) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    let endpoint = Endpoint::tcp(addr("127.0.0.1:0")).proxy_protocol(trusted.parse().expect("it"));
    |builder| builder.listen_on(endpoint)
}

/// A server whose second address is behind proxies of this machine.
fn server() -> TestServer {
    TestServer::start(mirror(), behind("loopback"))
}

/// What a client is told whose proxy says this first.
fn told(server: &TestServer, header: &[u8]) -> (String, SocketAddr) {
    let mut stream = dial(server.addrs[1]);
    stream.write_all(header).expect("the header");
    let own = stream.local_addr().expect("an address");
    (Client::over(stream, "/").next_text(), own)
}

#[test]
fn the_handler_sees_the_client_and_its_proxy() {
    let server = server();
    for (header, client) in [
        (v1("198.51.100.7:4711"), "198.51.100.7:4711"),
        (v2("[2001:db8::7]:4711"), "[2001:db8::7]:4711"),
    ] {
        let (text, proxy) = told(&server, &header);
        assert_eq!(text, format!("{client} {:?}", Via::Proxy(Some(proxy))));
    }
    // The other address of the server is what it was.
    let mut direct = Client::connect(server.addr, "/");
    let own = direct.stream.local_addr().expect("an address");
    assert_eq!(direct.next_text(), format!("{own} {:?}", Via::Tcp));
}

#[test]
fn health_checks_of_the_proxy_itself_are_its_own() {
    let server = server();
    let mut local = Vec::new();
    ProxyHeader::local()
        .write_v2(false, &mut local)
        .expect("it");
    let mut unknown = Vec::new();
    ProxyHeader::new(Transport::Stream, Endpoints::Unknown)
        .write_v2(false, &mut unknown)
        .expect("it");
    for header in [local.clone(), unknown, b"PROXY UNKNOWN\r\n".to_vec()] {
        let (text, own) = told(&server, &header);
        assert_eq!(text, format!("{own} {:?}", Via::Tcp));
    }
    // Most of them say no more than that.
    for check in [&local[..], b""] {
        let before = server.connections();
        let mut stream = dial(server.addrs[1]);
        stream.write_all(check).expect("the check");
        stream.shutdown(Shutdown::Write).expect("its end");
        assert_eq!(read_all(&mut stream).0, b"");
        assert!(server.connections() <= before);
    }
}

#[test]
fn the_header_may_come_in_any_pieces_and_with_what_is_behind_it() {
    let server = server();
    for header in [v1("198.51.100.7:1"), v2("198.51.100.7:1")] {
        let whole = [&header[..], request("/").as_bytes()].concat();
        for step in [1, 7, whole.len()] {
            let mut stream = dial(server.addrs[1]);
            for piece in whole.chunks(step) {
                stream.write_all(piece).expect("a piece");
            }
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 101");
        }
    }
}

/// What an address gets whose connection is of no use here, and why.
fn refused(server: &TestServer, bytes: &[u8]) -> CloseCause {
    let mut stream = dial(server.addrs[1]);
    stream.write_all(bytes).expect("something");
    // With what has not been read the end may be a reset.
    let (answer, _) = read_all(&mut stream);
    assert_eq!(answer, b"");
    let closed = server.closed();
    assert!(!closed.opened);
    closed.cause
}

#[test]
fn what_is_no_header_ends_its_connection_and_no_other() {
    let server = TestServer::start(App::echo(), behind("loopback"));
    let mut stream = dial(server.addrs[1]);
    stream.write_all(&v1("198.51.100.7:1")).expect("a header");
    let mut well = Client::over(stream, "/");
    for (bytes, why) in [
        (request("/").into_bytes(), ProxyError::NoProxyProtocol),
        (
            b"\x16\x03\x01\x02\x00".to_vec(),
            ProxyError::NoProxyProtocol,
        ),
        (b"PROXY TCP4 1.2.3.4\n".to_vec(), ProxyError::LineEnd),
        (
            b"PROXY TCP5 a b 1 2\r\n".to_vec(),
            ProxyError::UnknownProtocol,
        ),
        (
            [&v2("198.51.100.7:1")[..12], &[0x31, 0x11]].concat(),
            ProxyError::UnknownVersion(3),
        ),
    ] {
        let cause = refused(&server, &bytes);
        assert_eq!(cause, CloseCause::Proxy(ProxyFailure::Header(why)));
        assert_eq!(cause.name(), "bad_proxy_header");
        well.echo("not mine");
    }
}

#[test]
fn who_is_not_trusted_is_not_heard() {
    let server = TestServer::start(App::echo(), behind("192.0.2.0/24"));
    let cause = refused(&server, &v1("198.51.100.7:1"));
    assert_eq!(cause, CloseCause::Proxy(ProxyFailure::Untrusted));
    assert_eq!(cause.name(), "proxy_untrusted");
    server
        .client("/")
        .echo("the other address is for everybody");
}

#[test]
fn a_header_that_does_not_come_has_the_time_of_a_handshake() {
    let mut timeouts = Timeouts::default();
    timeouts.handshake = Duration::from_millis(300);
    let server = TestServer::start(App::echo(), |builder| {
        behind("loopback")(builder).timeouts(timeouts)
    });
    for begun in [&b""[..], b"PROXY TCP4 198."] {
        let mut stream = dial(server.addrs[1]);
        stream.write_all(begun).expect("a part of it");
        let (answer, _) = read_all(&mut stream);
        assert_eq!(answer, b"", "no HTTP before it is known who is there");
        let cause = server.closed().cause;
        assert_eq!(cause, CloseCause::Timeout(Overdue::Handshake));
    }
}

#[test]
fn a_shutdown_does_not_wait_for_headers() {
    let server = TestServer::start(App::echo(), behind("loopback"));
    let mut silent = dial(server.addrs[1]);
    common::until("it is there", || server.connections() == 1);
    let begin = std::time::Instant::now();
    server.shut_down(Duration::from_secs(60));
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(read_all(&mut silent).0, b"");
}

#[cfg(feature = "tls")]
mod over_tls {
    use super::*;
    use common::tls::{Authority, Trust};
    use wirefan_eventloop::rustls::pki_types::ServerName;
    use wirefan_eventloop::rustls::{ClientConnection, StreamOwned};

    /// Opens a connection whose header stands in front of TLS, in one piece with it or not.
    fn told(server: &TestServer, authority: &Authority, in_one: bool) -> String {
        let config = Trust::of(authority).config();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(config, name).expect("a client");
        let mut stream = dial(server.addrs[1]);
        let mut bytes = v2("198.51.100.7:4711");
        if in_one {
            tls.write_tls(&mut bytes).expect("a hello");
        }
        stream.write_all(&bytes).expect("the header");
        Client::over(StreamOwned::new(tls, stream), "/").next_text()
    }

    #[test]
    fn it_stands_in_front_of_tls() {
        let authority = Authority::new();
        let tls = authority.sign(&["localhost"]).tls();
        let endpoint = Endpoint::tcp(addr("127.0.0.1:0"))
            .tls(&tls)
            .proxy_protocol("loopback".parse().expect("it"));
        let server = TestServer::start(mirror(), |builder| builder.listen_on(endpoint));
        for in_one in [true, false] {
            let text = told(&server, &authority, in_one);
            assert!(
                text.starts_with("198.51.100.7:4711 Proxy(Some(127.0.0.1:"),
                "{text}"
            );
            assert!(server.closed().opened);
        }
        // Without it TLS is not even begun.
        let cause = refused(&server, b"\x16\x03\x01\x02\x00\x01");
        let why = ProxyError::NoProxyProtocol;
        assert_eq!(cause, CloseCause::Proxy(ProxyFailure::Header(why)));
        // Health checks that say no more than that.
        let mut local = Vec::new();
        ProxyHeader::local()
            .write_v2(false, &mut local)
            .expect("it");
        let mut stream = dial(server.addrs[1]);
        stream.write_all(&local).expect("the check");
        stream.shutdown(Shutdown::Write).expect("its end");
        read_all(&mut stream).1.expect("an orderly end");
    }
}

#[test]
fn a_header_where_none_is_read_is_a_bad_request() {
    let server = TestServer::echo();
    let mut stream = dial(server.addr);
    stream.write_all(&v1("198.51.100.7:1")).expect("a header");
    stream
        .write_all(request("/").as_bytes())
        .expect("a request");
    let (answer, _) = read_all(&mut stream);
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        answer.escape_ascii()
    );
    drop(stream);
    assert_eq!(server.closed().cause.name(), "bad_request");
    upgrade(&mut dial(server.addr), "/");
}
