//! [`TlsStream`] against rustls's own client on a pipe that cuts, stalls and refuses wherever a test wants.
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, version};

use super::stream::TlsStream;
use super::{Tls, TlsFailure};
use crate::transport::Socket;

/// One end of a pipe: what comes, and what there is room for.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    up: VecDeque<u8>,
    up_ended: bool,
    down: Vec<u8>,
    /// Bytes that may still be written.
    room: usize,
    down_ended: bool,
}

impl Pipe {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap()
    }
}

impl Socket for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ends = self.ends();
        let len = ends.up.len().min(buffer.len());
        if len == 0 && !ends.up_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buffer.iter_mut().zip(ends.up.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ends = self.ends();
        assert!(!ends.down_ended, "a write behind the end");
        let len = slices[0].len().min(ends.room);
        assert!(!slices[0].is_empty(), "a write of nothing");
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        ends.down.extend_from_slice(&slices[0][..len]);
        ends.room -= len;
        Ok(len)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        assert!(!self.ends().down_ended, "an end that came before");
        self.ends().down_ended = true;
        Ok(())
    }

    fn short_read_drains(&self) -> bool {
        true
    }
}

fn server() -> (Arc<ServerConfig>, CertificateDer<'static>) {
    static MADE: OnceLock<(Arc<ServerConfig>, CertificateDer<'static>)> = OnceLock::new();
    MADE.get_or_init(make_server).clone()
}

fn make_server() -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.clone()],
                PrivateKeyDer::try_from(key).unwrap(),
            )
            .unwrap();
    (config.into(), certificate)
}

/// A client, its pipe, and the server's end of that.
struct World {
    client: ClientConnection,
    pipe: Pipe,
    stream: Box<TlsStream<Pipe>>,
    buffer: Vec<u8>,
    /// What the client's application has read.
    heard: Vec<u8>,
    /// What the server's application has read.
    read: Vec<u8>,
    /// What it has still to write.
    to_write: Vec<u8>,
    failed: Option<io::Error>,
    ended: bool,
}

impl World {
    fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let (config, certificate) = server();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let client = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let pipe = Pipe::default();
        pipe.ends().room = usize::MAX;
        Self {
            client: ClientConnection::new(client.into(), name).unwrap(),
            stream: TlsStream::boxed(pipe.clone(), Tls::new(config)),
            pipe,
            buffer: vec![0; 512 * 1024],
            heard: Vec::new(),
            read: Vec::new(),
            to_write: Vec::new(),
            failed: None,
            ended: false,
        }
    }

    /// What the client has to say now.
    fn said(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// The server's turn: reads until it is refused or at the end, writes what it has to.
    fn turn(&mut self) {
        while self.failed.is_none() && !self.ended {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => self.ended = true,
                Ok(len) => self.read.extend_from_slice(&self.buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.failed = Some(error),
            }
        }
        self.stream.flush().unwrap();
        while !self.to_write.is_empty() {
            // In two slices, as a header and a payload are.
            let (one, two) = self.to_write.split_at(self.to_write.len() / 3);
            match self
                .stream
                .write_vectored(&[IoSlice::new(one), IoSlice::new(two)])
            {
                Ok(len) => drop(self.to_write.drain(..len)),
                Err(_) => break,
            }
        }
    }

    /// Brings the client what the server has said.
    fn hear(&mut self) {
        let bytes = core::mem::take(&mut self.pipe.ends().down);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            self.client.read_tls(&mut rest).unwrap();
            self.client.process_new_packets().unwrap();
            let _ = self.client.reader().read_to_end(&mut self.heard);
        }
    }

    fn heard(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.heard)
    }

    /// Sends everything in pieces cut at `cut` of what the client says, a turn of the server after each.
    fn exchange(&mut self, cut: usize, room: usize) {
        let mut before = 0;
        for _ in 0..200 {
            let bytes = self.said();
            let at = cut.saturating_sub(before).min(bytes.len());
            before += bytes.len();
            for piece in [&bytes[..at], &bytes[at..]] {
                self.pipe.ends().up.extend(piece);
                self.pipe.ends().room = room;
                self.turn();
            }
            self.hear();
        }
        self.pipe.ends().room = usize::MAX;
        self.turn();
        self.hear();
    }
}

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] =
    [&[&version::TLS12], &[&version::TLS13]];

#[test]
fn a_stream_may_be_cut_and_stalled_at_every_byte() {
    for versions in VERSIONS {
        let mut cut = 0;
        loop {
            let mut world = World::new(versions);
            world.client.writer().write_all(b"a request").unwrap();
            world.client.writer().write_all(b" and a message").unwrap();
            world.to_write = b"an answer".to_vec();
            let mut total = 0;
            for _ in 0..10 {
                let bytes = world.said();
                let at = cut.min(total + bytes.len()).saturating_sub(total);
                total += bytes.len();
                for piece in [&bytes[..at], &bytes[at..]] {
                    world.pipe.ends().up.extend(piece);
                    world.turn();
                    // Nothing new, but the loop may look again.
                    world.turn();
                }
                world.hear();
            }
            assert_eq!(world.read, b"a request and a message", "cut at {cut}");
            assert_eq!(world.heard(), b"an answer", "cut at {cut}");
            assert!(world.stream.session().unwrap().server_name() == Some("localhost"));
            cut += 1;
            if cut > total {
                break;
            }
        }
        assert!(cut > 300, "all of a handshake: {cut}");
    }
}

#[test]
fn bytes_arrive_in_order_however_little_the_socket_takes() {
    let answer: Vec<u8> = (0..200_000u32).map(|i| (i / 7) as u8).collect();
    for versions in VERSIONS {
        for room in [1000, 1501, 4096, 40_000] {
            let mut world = World::new(versions);
            let request: Vec<u8> = (0..50_000u32).map(|i| (i / 3) as u8).collect();
            world.client.writer().write_all(&request).unwrap();
            world.to_write = answer.clone();
            let mut heard = Vec::new();
            while heard.len() < answer.len() {
                let bytes = world.said();
                for piece in bytes.chunks(777) {
                    world.pipe.ends().up.extend(piece);
                    world.turn();
                }
                world.pipe.ends().room = room;
                world.turn();
                // Sealed and refused is bounded, whatever the application has.
                assert!(world.stream.unsent() <= 4 * 16_384 + 1024);
                world.hear();
                heard.extend(world.heard());
            }
            assert_eq!(heard, answer, "room for {room}");
            assert_eq!(world.read, request, "room for {room}");
            assert_eq!(world.stream.unsent(), 0);
        }
    }
}

#[test]
fn a_close_notify_is_the_last_word_even_if_there_is_no_room_for_it_yet() {
    for versions in VERSIONS {
        let mut world = World::new(versions);
        world.exchange(0, usize::MAX);
        world.pipe.ends().room = 10;
        world.stream.shutdown_write().unwrap();
        assert!(world.stream.unsent() > 0 && !world.pipe.ends().down_ended);
        world.pipe.ends().room = 1000;
        assert!(world.stream.flush().unwrap());
        assert!(world.pipe.ends().down_ended);
        world.hear();
        let state = world.client.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
        // What still comes is read and not answered.
        world.client.send_close_notify();
        let bytes = world.said();
        world.pipe.ends().up.extend(bytes);
        world.turn();
        assert!(world.ended && !world.stream.was_cut());
        world.stream.take_leave();
    }
}

#[test]
fn after_an_end_at_the_door_no_handshake_is_made() {
    for versions in VERSIONS {
        let mut world = World::new(versions);
        world.stream.shutdown_write().unwrap();
        let hello = world.said();
        world.pipe.ends().up.extend(&hello);
        world.turn();
        assert!(world.failed.is_none() && world.pipe.ends().down.is_empty());
        // Thrown away as it came: rustls has not seen it.
        assert!(world.read == hello && world.stream.session().is_none());
    }
}

#[test]
fn the_end_of_the_socket_without_a_close_notify_is_a_cut() {
    for said in [true, false] {
        let mut world = World::new(VERSIONS[1]);
        world.exchange(0, usize::MAX);
        world.client.writer().write_all(b"the last").unwrap();
        if said {
            world.client.send_close_notify();
        }
        let bytes = world.said();
        world.pipe.ends().up.extend(bytes);
        world.pipe.ends().up_ended = true;
        world.turn();
        assert_eq!(world.read, b"the last");
        assert!(world.ended && world.stream.was_cut() != said);
    }
}

#[test]
fn what_is_no_tls_fails_at_once_and_is_told_so() {
    for (bytes, failure, answer) in [
        (
            &b"GET / HTTP/1.1\r\n"[..],
            "plain_http_on_tls_port",
            &b"HTTP/1.1 400 "[..],
        ),
        (
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff",
            "tls_protocol",
            b"\x15\x03",
        ),
        (b"\0\0\0\0\0\0\0\0", "tls_protocol", b"\x15\x03"),
        (b"SSH-2.0-x\r\n", "tls_protocol", b"\x15\x03"),
        // A handshake message that claims to be longer than any: rustls says nothing to that.
        (
            b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\0",
            "tls_protocol",
            b"",
        ),
    ] {
        let mut world = World::new(VERSIONS[1]);
        world.pipe.ends().up.extend(bytes);
        world.turn();
        let error = world.failed.take().expect("a failure");
        assert_eq!(TlsFailure::of(&error).unwrap().name(), failure);
        assert!(world.pipe.ends().down.starts_with(answer), "{error}");
        // What comes behind is read away.
        world.pipe.ends().up.extend([0; 100]);
        assert_eq!(world.stream.read(&mut world.buffer).unwrap(), 100);
        assert_eq!(
            world
                .stream
                .write_vectored(&[IoSlice::new(b"x")])
                .unwrap_err()
                .kind(),
            io::ErrorKind::NotConnected
        );
    }
}

#[test]
fn plaintext_before_a_broken_record_is_not_lost() {
    let mut world = World::new(VERSIONS[1]);
    world.exchange(0, usize::MAX);
    world.client.writer().write_all(b"whole").unwrap();
    let mut bytes = world.said();
    world.client.writer().write_all(b"broken").unwrap();
    bytes.extend(world.said());
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    world.pipe.ends().up.extend(bytes);
    world.turn();
    assert_eq!(world.read, b"whole");
    let error = world.failed.take().expect("a failure");
    assert_eq!(TlsFailure::of(&error).unwrap().name(), "tls_protocol");
    assert!(!world.pipe.ends().down.is_empty(), "an alert");
}

#[test]
fn an_answer_to_a_key_update_goes_before_what_is_sealed_with_the_new_key() {
    let mut world = World::new(VERSIONS[1]);
    world.exchange(0, usize::MAX);
    for round in 0..5 {
        world.client.refresh_traffic_keys().unwrap();
        world.client.writer().write_all(&[round]).unwrap();
        let bytes = world.said();
        world.pipe.ends().up.extend(bytes);
        world.to_write = vec![round; 20_000];
        world.turn();
        world.hear();
        assert_eq!(world.heard(), vec![round; 20_000]);
    }
    assert_eq!(world.read, [0, 1, 2, 3, 4]);
}

#[test]
fn a_part_of_a_record_is_a_sign_of_life() {
    let mut world = World::new(VERSIONS[1]);
    world.exchange(0, usize::MAX);
    world.stream.take_heard();
    world.client.writer().write_all(b"long").unwrap();
    let bytes = world.said();
    world.pipe.ends().up.extend(&bytes[..7]);
    world.turn();
    assert!(world.read.is_empty() && world.stream.take_heard());
    world.turn();
    assert!(!world.stream.take_heard(), "nothing has come");
}

#[test]
fn what_was_refused_is_left_to_the_worker_which_has_to_know_when_it_is_gone() {
    let mut world = World::new(VERSIONS[1]);
    world.exchange(0, usize::MAX);
    world.pipe.ends().room = 100;
    let slices = [IoSlice::new(&[7; 1000])];
    assert_eq!(world.stream.write_vectored(&slices).unwrap(), 1000);
    let unsent = world.stream.unsent();
    assert!(unsent > 900);
    world.pipe.ends().room = usize::MAX;
    // Neither by reading nor by writing more.
    world.client.writer().write_all(b"more").unwrap();
    let bytes = world.said();
    world.pipe.ends().up.extend(bytes);
    assert_eq!(world.stream.read(&mut world.buffer).unwrap(), 4);
    assert!(world.stream.write_vectored(&slices).is_err());
    assert_eq!(world.stream.unsent(), unsent);
    assert!(world.stream.flush().unwrap() && world.stream.unsent() == 0);
}
