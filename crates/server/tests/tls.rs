//! Certificates of the binary: from files, renewed while it runs, made by itself, and asked of clients.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{PATIENCE, Wirefan, run};
use wirefan_eventloop::rustls::crypto::ring::default_provider;
use wirefan_eventloop::rustls::pki_types::pem::PemObject;
use wirefan_eventloop::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use wirefan_eventloop::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, version,
};

/// A folder with certificates, made by openssl as a user would. It is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    /// `None`: there is no openssl here.
    fn new(name: &str) -> Option<Self> {
        let there = Command::new("openssl").arg("version").output();
        if !there.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: openssl is missing");
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Some(Self(folder))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Makes `NAME.pem` and `NAME.key`, self-signed, and puts them there at once.
    fn make(&self, name: &str) {
        let (certificate, key) = (self.path("new.pem"), self.path("new.key"));
        let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE";
        let output = Command::new("openssl")
            .args(args.split_whitespace())
            .args(["-out", &certificate, "-keyout", &key])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::rename(key, self.path(&format!("{name}.key"))).unwrap();
        fs::rename(certificate, self.path(&format!("{name}.pem"))).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A plain request over TLS, by a client that trusts this certificate and may have one of its own.
fn ask(server: &Wirefan, trusted: &str, own: Option<(&str, &str)>) -> Result<String, String> {
    let mut stream = connect(server, trusted, own);
    stream
        .write_all(b"GET /tea?members HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .map_err(|error| error.to_string())?;
    Ok(answer)
}

fn connect(
    server: &Wirefan,
    trusted: &str,
    own: Option<(&str, &str)>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    // With 1.2 a refused certificate ends the client's own handshake: nothing is left to chance.
    let builder = ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(server.addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(
        ClientConnection::new(Arc::new(config), name).unwrap(),
        socket,
    )
}

#[test]
fn certificates_are_renewed_by_sighup_and_by_themselves_and_no_connection_is_lost() {
    let Some(folder) = Folder::new("renewed") else {
        return;
    };
    folder.make("server");
    let (cert, key) = (folder.path("server.pem"), folder.path("server.key"));
    let keep = |name: &str| {
        fs::copy(&cert, folder.path(name)).unwrap();
        folder.path(name)
    };
    let first = keep("first.pem");
    let args = ["broadcast", "--tls-cert", &cert, "--tls-key", &key];
    let mut server = Wirefan::start_on("wss://127.0.0.1:0", &args);
    assert!(
        ask(&server, &first, None)
            .unwrap()
            .starts_with("HTTP/1.1 200 ")
    );
    // A connection from before, in the midst of its request.
    let mut before = connect(&server, &first, None);
    before.write_all(b"GET /tea?members HTTP/1.1\r\n").unwrap();

    folder.make("server");
    server.signal("HUP");
    server.line_with("SIGHUP: certificates read again");
    let second = keep("second.pem");
    ask(&server, &second, None).unwrap();
    ask(&server, &first, None).expect_err("the first certificate is gone");

    folder.make("server");
    server.line_with("the files have changed: certificates read again");
    let third = keep("third.pem");
    ask(&server, &third, None).unwrap();

    fs::write(&key, "nonsense").unwrap();
    let line = server.line_with("stay in use");
    assert!(line.contains("server.key"), "{line}");
    ask(&server, &third, None).unwrap();

    before.write_all(b"Host: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    before.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_configuration_that_names_other_certificates_is_followed_by_sighup() {
    let Some(folder) = Folder::new("configured") else {
        return;
    };
    let (one, other) = (folder.path("one.pem"), folder.path("other.pem"));
    folder.make("one");
    folder.make("other");
    let file = folder.path("wirefan.toml");
    let configure = |name: &str| {
        let (cert, key) = (
            folder.path(&format!("{name}.pem")),
            folder.path(&format!("{name}.key")),
        );
        let text = format!("tls-cert = {cert:?}\ntls-key = {key:?}\n");
        fs::write(&file, text).unwrap();
    };
    configure("one");
    let server = Wirefan::start_on("wss://127.0.0.1:0", &["broadcast", "--config", &file]);
    ask(&server, &one, None).unwrap();

    configure("missing");
    server.signal("HUP");
    server.line_with("stay in use");
    let line = server.line_with("certificates read again");
    assert!(line.contains("one.pem"), "{line}");
    ask(&server, &one, None).unwrap();

    configure("other");
    server.signal("HUP");
    let line = server.line_with("certificates read again");
    assert!(line.contains("other.pem"), "{line}");
    ask(&server, &other, None).unwrap();
    ask(&server, &one, None).expect_err("the first certificate is gone");

    // What is in use is what is watched from now on.
    folder.make("other");
    server.line_with("the files have changed: certificates read again");
    ask(&server, &folder.path("other.pem"), None).unwrap();
}

#[test]
fn clients_without_a_certificate_stay_outside() {
    let Some(folder) = Folder::new("clients") else {
        return;
    };
    for name in ["server", "friend", "stranger"] {
        folder.make(name);
    }
    let path = |name: &str| folder.path(name);
    let (cert, key, ca) = (path("server.pem"), path("server.key"), path("friend.pem"));
    let args = [
        "echo",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
    ];
    let server = Wirefan::start_on("wss://127.0.0.1:0", &args);
    let (friend, stranger) = (
        (path("friend.pem"), path("friend.key")),
        (path("stranger.pem"), path("stranger.key")),
    );
    assert!(ask(&server, &cert, Some((&friend.0, &friend.1))).is_ok());
    for own in [None, Some((&*stranger.0, &*stranger.1))] {
        ask(&server, &cert, own).expect_err("let in");
        server.line_with("client certificate refused");
    }
    let args = [&args[..], &["--tls-client-auth", "optional"]].concat();
    let server = Wirefan::start_on("wss://127.0.0.1:0", &args);
    assert!(ask(&server, &cert, None).is_ok());
    ask(&server, &cert, Some((&stranger.0, &stranger.1))).expect_err("let in");
}

#[test]
fn its_own_certificate_is_trusted_by_its_file_and_goes_with_it() {
    let (mut server, certificate) = Wirefan::start_self_signed(&["broadcast"]);
    let line = server.line_with("curl --cacert");
    assert!(line.contains(certificate.to_str().unwrap()), "{line}");
    let answer = ask(&server, certificate.to_str().unwrap(), None).unwrap();
    assert!(
        answer.ends_with("{\"room\":\"/tea\",\"members\":0}\n"),
        "{answer}"
    );
    // Plain HTTP gets a plain answer.
    let mut plain = TcpStream::connect(server.addr).unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"),
        "{answer}"
    );
    drop(plain);
    server.line_with("plain HTTP on a TLS port");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!certificate.exists());
}

#[test]
fn tls_on_a_plain_port_is_named_and_disturbs_nobody() {
    let server = Wirefan::start(&["broadcast", "--workers", "1"]);
    let before = server.connect("/tea");
    let Some(folder) = Folder::new("plain") else {
        return;
    };
    folder.make("server");
    ask(&server, &folder.path("server.pem"), None).expect_err("no TLS here");
    server.line_with("TLS on a plain port");
    server.await_members("/tea", 1);
    drop(before);
}

#[test]
fn a_file_that_is_missing_is_one_line() {
    let args = [
        "echo",
        "--tls-cert",
        "/nowhere/a.pem",
        "--tls-key",
        "/nowhere/a.key",
    ];
    let output = run(&args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.starts_with("wirefan: cannot read /nowhere/a.pem: ") && said.lines().count() == 1,
        "{said}"
    );
}
