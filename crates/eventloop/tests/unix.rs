//! Unix sockets, and sockets that were open before the server began.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use common::PATIENCE;
use common::client::{Client, dial, request};
use common::server::{App, TestServer};
use wirefan_eventloop::{Decision, Endpoint, ListenAddr, Server, Via};
use wirefan_protocol::CloseCode;

/// A folder of one test's own. It is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        // The paths of sockets may have no more than a hundred letters or so.
        let path = std::env::temp_dir().join(format!("wf-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn entries(&self) -> usize {
        fs::read_dir(&self.0).expect("the folder").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn connect(path: &PathBuf) -> Client<UnixStream> {
    let stream = UnixStream::connect(path).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    Client::over(stream, "/")
}

#[test]
fn connections_on_it_are_as_all_others() {
    let folder = Folder::new("echo");
    let path = folder.path("s");
    for workers in [1, 3] {
        let app = App::echo().on_request(|_, caller| {
            assert_eq!((caller.via, caller.addr.port()), (Via::Unix, 0));
            assert!(caller.addr.ip().is_unspecified());
            Decision::accept(String::new())
        });
        let server = TestServer::start(app, |builder| {
            builder.workers(workers).listen_unix(&path, 0o600)
        });
        let mut clients: Vec<_> = (0..6).map(|_| connect(&path)).collect();
        let mut busy = vec![false; workers];
        for client in &mut clients {
            busy[server.opened().worker()] = true;
            client.echo("hello");
            // More than a socket takes at once.
            let large = "x".repeat(3_000_000 / 4);
            client.echo(&large);
        }
        assert!(busy.iter().all(|busy| *busy), "{busy:?}");
        clients[0].close(CloseCode::NORMAL, "");
        clients[0].expect_close(CloseCode::NORMAL);
        assert_eq!(server.closed().cause.name(), "peer_closed");
        drop(clients.pop());
        assert_eq!(server.closed().cause.name(), "lost");
        server.shut_down(Duration::ZERO);
        assert_eq!(folder.entries(), 0, "the file is gone with its server");
    }
}

#[test]
fn its_file_has_the_permissions_that_were_asked_for() {
    let folder = Folder::new("mode");
    for mode in [0o600, 0o660, 0o666] {
        let path = folder.path("s");
        let server = TestServer::start(App::echo(), |builder| builder.listen_unix(&path, mode));
        let permissions = fs::metadata(&path).expect("the file").permissions();
        assert_eq!(permissions.mode() & 0o777, mode);
        assert_eq!(folder.entries(), 1, "nothing beside it");
        server.shut_down(Duration::ZERO);
    }
}

#[test]
fn the_file_of_a_server_that_is_gone_is_replaced_and_nothing_else_is() {
    let folder = Folder::new("stale");
    let path = folder.path("s");
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "the file stays behind");
    let server = TestServer::start(App::echo(), |builder| builder.listen_unix(&path, 0o600));
    connect(&path).echo("hello");

    let start = || {
        let builder = Server::builder().listen_unix(&path, 0o600).workers(1);
        builder
            .start(|_| Nobody)
            .map(drop)
            .expect_err("it is taken")
    };
    let error = start();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("/s: another server"), "{error}");
    connect(&path).echo("still here");

    // Somebody has put another one there: it is not ours to remove.
    fs::remove_file(&path).expect("gone");
    let successor = UnixListener::bind(&path).expect("a socket");
    server.shut_down(Duration::ZERO);
    assert!(path.exists());
    drop(successor);

    fs::remove_file(&path).expect("gone");
    fs::write(&path, "letters").expect("a file");
    let error = start();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).expect("the file"), b"letters");
    assert_eq!(folder.entries(), 1);
}

/// The handler of a server that does not start.
struct Nobody;

impl wirefan_eventloop::Handler for Nobody {
    type Peer = ();
    type Note = ();

    fn request(
        &mut self,
        _: &wirefan_protocol::handshake::Request<'_>,
        _: wirefan_eventloop::Caller,
        _: &mut wirefan_eventloop::Ctx<'_, ()>,
    ) -> Decision<()> {
        unreachable!()
    }

    fn message(
        &mut self,
        _: &mut wirefan_eventloop::Conn<'_, ()>,
        _: wirefan_eventloop::Message<'_>,
    ) {
        unreachable!()
    }
}

#[test]
fn a_proxy_on_it_tells_whom_it_speaks_for() {
    let folder = Folder::new("proxy");
    let path = folder.path("s");
    let app = App::echo().on_request(|_, caller| {
        assert_eq!(caller.via, Via::Proxy(None));
        Decision::accept(caller.addr.to_string())
    });
    let app = app.on_open(|conn| {
        let addr = conn.peer().clone();
        let _ = conn.send_text(&addr);
    });
    let endpoint = Endpoint::unix(&path, 0o600).proxy_protocol(Default::default());
    let _server = TestServer::start(app, |builder| builder.listen_on(endpoint));
    let mut stream = UnixStream::connect(&path).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let header = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n";
    stream.write_all(header).expect("a header");
    assert_eq!(Client::over(stream, "/").next_text(), "198.51.100.7:4711");
}

#[cfg(feature = "tls")]
#[test]
fn tls_goes_over_it_too() {
    use common::tls::{Authority, Trust};
    use wirefan_eventloop::rustls::pki_types::ServerName;
    use wirefan_eventloop::rustls::{ClientConnection, StreamOwned};

    let folder = Folder::new("tls");
    let path = folder.path("s");
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let endpoint = Endpoint::unix(&path, 0o600).tls(&tls);
    let app = App::echo().on_request(|_, caller| {
        assert_eq!(caller.via, Via::Unix);
        Decision::accept(String::new())
    });
    let _server = TestServer::start(app, |builder| builder.listen_on(endpoint));
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Trust::of(&authority).config(), name).expect("a client");
    let stream = UnixStream::connect(&path).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut client = Client::over(StreamOwned::new(client, stream), "/");
    client.echo("hello");
    client.echo(&"x".repeat(500_000));
}

#[test]
fn sockets_that_are_open_already_are_listened_on() {
    let folder = Folder::new("open");
    let path = folder.path("s");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let addr = tcp.local_addr().expect("an address");
    let unix = UnixListener::bind(&path).expect("a socket");
    // They came before there was anybody to accept them.
    let early = UnixStream::connect(&path).expect("connect");
    let server = TestServer::start(App::echo(), |builder| {
        builder.workers(2).listen_on(tcp).listen_on(unix)
    });
    assert_eq!(server.addrs[1], addr);
    Client::connect(addr, "/").echo("hello");
    connect(&path).echo("hello");
    Client::over(early, "/").echo("hello");
    let mut workers = [false; 2];
    let clients: Vec<_> = (0..4).map(|_| Client::connect(addr, "/")).collect();
    for _ in 0..7 {
        workers[server.opened().worker()] = true;
    }
    assert_eq!(workers, [true; 2], "handed out to all");
    drop(clients);
    server.shut_down(Duration::ZERO);
    assert!(path.exists(), "whoever has made it has to remove it");
}

#[test]
fn who_waits_at_a_socket_that_stays_open_is_left_to_the_next_server() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let addr = socket.local_addr().expect("an address");
    let start = || {
        let socket = socket.try_clone().expect("the same");
        TestServer::start(App::echo(), |builder| builder.listen_on(socket))
    };
    let server = start();
    let mut client = Client::connect(addr, "/");
    let busy = server.keep_busy(0);
    let mut waiting = dial(addr);
    let hello = request("/");
    waiting.write_all(hello.as_bytes()).expect("a request");
    server.remote.shutdown(PATIENCE);
    drop(busy);
    client.expect_close(CloseCode::GOING_AWAY);
    drop(client);
    server.shut_down(PATIENCE);
    let _next = start();
    let mut status = [0; 12];
    waiting.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 101");
}

#[test]
fn where_it_listens_is_told() {
    let folder = Folder::new("told");
    let path = folder.path("s");
    let builder = Server::builder()
        .workers(1)
        .listen("127.0.0.1:0")
        .expect("it");
    let server = builder
        .listen_unix(&path, 0o600)
        .start(|_| Nobody)
        .expect("a server");
    let [addr] = server.addrs() else {
        panic!("{server:?}");
    };
    let listeners = [ListenAddr::Tcp(*addr), ListenAddr::Unix(Some(path.clone()))];
    assert_eq!(server.listeners(), listeners);
    let text = format!("unix:{}", path.display());
    assert_eq!(server.listeners()[1].to_string(), text);
    server.shutdown(Duration::ZERO).expect("an end");
}
