//! Ways to a server that are not the straight one: proxies, redirections, and names with several addresses.
#![cfg(feature = "client")]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use common::caller::{TestClient, to};
use common::server::{App, TestServer};
use common::{PATIENCE, noise};
use wirefan_eventloop::client::{DialPhase, Proxy, ProxyError, RedirectError};
use wirefan_eventloop::{Decision, Dial, DialError, Message};
use wirefan_protocol::handshake::Reply;

/// A proxy that does what this says with each client, and tells what it was asked for.
fn proxy(
    serve: impl Fn(&mut TcpStream) -> Option<String> + Send + 'static,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((mut near, _)) = listener.accept() {
            near.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let Some(server) = serve(&mut near) else {
                continue;
            };
            let _ = tell.send(server.clone());
            let Ok(far) = TcpStream::connect(server) else {
                continue;
            };
            let (back, forth) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || copy(forth, back));
            thread::spawn(move || copy(near, far));
        }
    });
    (addr, told)
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head")
}

/// CONNECT, with `ann:secret` or with nothing.
fn http(password: bool) -> impl Fn(&mut TcpStream) -> Option<String> {
    move |stream| {
        let head = head(stream);
        let server = head.strip_prefix("CONNECT ")?.split(' ').next()?;
        if password && !head.contains("\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n") {
            let answer = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer);
            return None;
        }
        stream.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").ok()?;
        Some(server.to_owned())
    }
}

/// SOCKS5, the same.
fn socks(password: bool) -> impl Fn(&mut TcpStream) -> Option<String> {
    move |stream| {
        let mut read = |len: usize| {
            let mut bytes = vec![0; len];
            stream.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        let methods = usize::from(read(2)?[1]);
        let methods = read(methods)?;
        let method = if password { 2 } else { 0 };
        if !methods.contains(&method) {
            let _ = stream.write_all(&[5, 255]);
            return None;
        }
        stream.write_all(&[5, method]).ok()?;
        let mut read = |len: usize| {
            let mut bytes = vec![0; len];
            stream.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        if password {
            let expected = b"\x01\x03ann\x06secret";
            let right = read(expected.len())? == expected;
            let _ = stream.write_all(&[1, u8::from(!right)]);
            if !right {
                return None;
            }
        }
        let mut read = |len: usize| {
            let mut bytes = vec![0; len];
            stream.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        let host = match read(4)?[3] {
            1 => read(4)?
                .iter()
                .map(u8::to_string)
                .collect::<Vec<_>>()
                .join("."),
            3 => {
                let len = usize::from(read(1)?[0]);
                String::from_utf8(read(len)?).ok()?
            }
            _ => return None,
        };
        let port = read(2)?;
        let port = u16::from_be_bytes([port[0], port[1]]);
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        Some(format!("{host}:{port}"))
    }
}

fn echoes(client: &TestClient, dial: Dial) {
    let id = client.open(dial);
    let _ = client.on_worker(move |ctx| ctx.send(id, Message::Binary(&noise(100_000))));
    assert_eq!(client.binary(), noise(100_000));
}

fn by(proxy: &str) -> Proxy {
    Proxy::new(proxy).expect("a proxy")
}

#[test]
fn proxies_connect_us_with_and_without_a_password() {
    let server = TestServer::echo();
    let client = TestClient::start();
    let port = server.addr.port();
    for (scheme, password) in [
        ("http", false),
        ("http", true),
        ("socks5", false),
        ("socks5h", true),
    ] {
        let (addr, told) = if scheme == "http" {
            proxy(http(password))
        } else {
            proxy(socks(password))
        };
        let user = if password { "ann:secret@" } else { "" };
        let url = format!("{scheme}://{user}{addr}");
        for host in ["127.0.0.1", "localhost"] {
            let dial = Dial::new(&format!("ws://{host}:{port}/")).expect("a URL");
            echoes(&client, dial.proxy(by(&url)));
            let asked = told.recv_timeout(PATIENCE).expect("it was asked");
            assert_eq!(
                asked,
                format!("{host}:{port}"),
                "names are the proxy's to look up"
            );
        }
        if password {
            let wrong = format!("{scheme}://ann:secreT@{addr}");
            let why = client.fail(to(server.addr, "/").proxy(by(&wrong)));
            let expected = if scheme == "http" {
                ProxyError::Refused(407)
            } else {
                ProxyError::Password
            };
            assert_eq!(why, DialError::Proxy(expected));
            let none = format!("{scheme}://{addr}");
            let why = client.fail(to(server.addr, "/").proxy(by(&none)));
            let expected = if scheme == "http" {
                ProxyError::Refused(407)
            } else {
                ProxyError::Socks(255)
            };
            assert_eq!(why, DialError::Proxy(expected));
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn tls_goes_through_a_proxy() {
    use common::tls::{Authority, listen_too};
    use wirefan_eventloop::ClientTls;
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let server = TestServer::start(App::echo(), listen_too(&tls));
    let trust = ClientTls::builder().server_ca_pem(authority.pem().as_bytes());
    let trust = trust.expect("a CA").build().expect("a configuration");
    let client = TestClient::start();
    let url = format!("wss://localhost:{}/", server.addrs[1].port());
    for (scheme, (addr, _)) in [
        ("http", proxy(http(false))),
        ("socks5", proxy(socks(false))),
    ] {
        let dial = Dial::new(&url).expect("a URL").tls(&trust);
        echoes(&client, dial.proxy(by(&format!("{scheme}://{addr}"))));
    }
}

#[test]
fn bad_proxies() {
    let server = TestServer::echo();
    let client = TestClient::start();
    for (scheme, answer) in [
        ("http", &b"SSH-2.0-x\r\n\r\n"[..]),
        ("http", b"HTTP/1.1 200 Yes\r\n\r\nand more"),
        ("socks5", b"HTTP/1.1 400 No\r\n\r\n"),
        ("socks5", b"\x05\x00\x05\x00\x00\x01"),
    ] {
        let (addr, _) = proxy(move |stream| {
            let _ = stream.write_all(answer);
            let _ = stream.read(&mut [0; 1000]);
            None
        });
        let dial = to(server.addr, "/").proxy(by(&format!("{scheme}://{addr}")));
        assert_eq!(client.fail(dial), DialError::Proxy(ProxyError::Protocol));
    }
    let (addr, _) = proxy(|stream| {
        while stream.write_all(&[b'x'; 1000]).is_ok() {}
        None
    });
    let dial = to(server.addr, "/").proxy(by(&format!("http://{addr}")));
    assert_eq!(client.fail(dial), DialError::Proxy(ProxyError::Protocol));
    let (addr, _) = proxy(|stream| {
        let _ = stream.read_to_end(&mut Vec::new());
        None
    });
    let dial = to(server.addr, "/").proxy(by(&format!("http://{addr}")));
    let why = client.fail(dial.handshake_timeout(Duration::from_millis(100)));
    assert_eq!(why, DialError::Timeout(DialPhase::Handshake));
}

/// Sends every request for `/` there.
fn sends_to(location: String) -> TestServer {
    let app = App::echo().on_request(move |request, _| match request.path() {
        "/" => Decision::Answer(Reply::new(302).header("Location", location.clone())),
        path => Decision::accept(path.into()),
    });
    TestServer::start(app, |builder| builder)
}

#[test]
fn a_redirection_is_followed_if_that_is_asked_for() {
    let server = sends_to("/there?x=y".into());
    let client = TestClient::start();
    let why = client.fail(to(server.addr, "/"));
    assert_eq!(why.response().expect("a response").status(), 302);
    echoes(&client, to(server.addr, "/").redirects(1));
    let far = TestServer::echo();
    let near = sends_to(format!("http://{}/", far.addr));
    echoes(&client, to(near.addr, "/").redirects(1));
}

#[test]
fn a_loop_of_redirections_ends() {
    let server = sends_to("/".into());
    let client = TestClient::start();
    let why = client.fail(to(server.addr, "/").redirects(5));
    assert_eq!(why, DialError::Redirect(RedirectError::TooMany));
}

#[test]
fn a_redirection_to_another_server_is_not_told_our_secrets() {
    let app = App::echo().on_request(|request, _| {
        let secrets = ["authorization", "x-key"].map(|name| request.header(name).is_some());
        Decision::accept(format!("{secrets:?}"))
    });
    let app = app.on_open(|conn| {
        let seen = conn.peer().clone();
        let _ = conn.send_text(&seen);
    });
    let far = TestServer::start(app.clone(), |builder| builder);
    let near = sends_to(format!("ws://{}/", far.addr));
    let client = TestClient::start();
    let url = |addr| Dial::new(&format!("ws://ann:secret@{addr}/")).expect("a URL");
    client.open(url(far.addr).header("X-Key", "secret"));
    assert_eq!(client.text(), "[true, true]");
    client.open(url(near.addr).header("X-Key", "secret").redirects(3));
    assert_eq!(client.text(), "[false, false]");
}

#[cfg(feature = "tls")]
#[test]
fn a_redirection_never_leads_from_wss_to_ws() {
    use common::tls::{Authority, listen_too};
    use wirefan_eventloop::ClientTls;
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let far = TestServer::echo();
    let location = format!("ws://{}/", far.addr);
    let app = App::echo().on_request(move |_, _| {
        Decision::Answer(Reply::new(307).header("Location", location.clone()))
    });
    let server = TestServer::start(app, listen_too(&tls));
    let trust = ClientTls::builder().server_ca_pem(authority.pem().as_bytes());
    let trust = trust.expect("a CA").build().expect("a configuration");
    let url = format!("wss://localhost:{}/", server.addrs[1].port());
    let dial = Dial::new(&url).expect("a URL").tls(&trust).redirects(5);
    let why = TestClient::start().fail(dial);
    assert_eq!(why, DialError::Redirect(RedirectError::Insecure));
}
