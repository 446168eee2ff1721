//! A blocking client: `std::net` and a `Connection`, nothing else. It answers pings only while it reads.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use socket2::{Domain, Socket, Type};
use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest};
use wirefan_protocol::{
    CloseCode, Config, Connection, Error, Event, Input, RecvScratch, SendScratch, State, apply_mask,
};

use super::PATIENCE;

/// What has come from the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseCode>, String),
    Failed(Error),
    /// The server has ended its side of the transport.
    End,
    /// The transport has failed.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    connection: Connection,
    scratch: RecvScratch,
    received: VecDeque<Received>,
}

/// A TCP connection on which nothing blocks for ever.
pub(crate) fn dial(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("connect");
    patient(&stream);
    stream
}

/// The same, with room for few bytes that the client has not read.
pub(crate) fn dial_narrow(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    socket.set_recv_buffer_size(4096).expect("SO_RCVBUF");
    socket.connect(&addr.into()).expect("connect");
    let stream = socket.into();
    patient(&stream);
    stream
}

fn patient(stream: &TcpStream) {
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
}

/// Reads to the end of the transport, or until it fails.
pub(crate) fn read_all(stream: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let result = stream.read_to_end(&mut bytes).map(|_| ());
    if let Err(error) = &result {
        let timed_out = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        );
        assert!(!timed_out, "the transport did not end");
    }
    (bytes, result)
}

/// Sends bytes, ends the sending side if that is wanted, and returns everything that comes back.
pub(crate) fn exchange(addr: SocketAddr, bytes: &[u8], then_end: bool) -> String {
    let mut stream = dial(addr);
    stream.write_all(bytes).expect("send");
    if then_end {
        stream.shutdown(Shutdown::Write).expect("shutdown");
    }
    let (answer, result) = read_all(&mut stream);
    result.expect("an orderly end");
    String::from_utf8(answer).expect("an answer in ASCII")
}

/// A masked frame with this first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0xfe);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0xff);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(key);
    let start = bytes.len();
    bytes.extend(payload);
    apply_mask(&mut bytes[start..], key, 0);
    bytes
}

/// The request for a WebSocket, to be sent by hand.
pub(crate) fn request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Asks for a WebSocket by hand and reads the 101.
pub(crate) fn upgrade(stream: &mut TcpStream, target: &str) {
    stream
        .write_all(request(target).as_bytes())
        .expect("send the request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the answer");
        head.extend(byte);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        head.escape_ascii()
    );
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr, target: &str) -> Self {
        Self::over(dial(addr), target)
    }
}

impl<S: Read + Write> Client<S> {
    /// Opens a connection on a transport.
    pub(crate) fn over(mut stream: S, target: &str) -> Self {
        static SEED: AtomicU8 = AtomicU8::new(0);
        let seed = [SEED.fetch_add(1, Ordering::Relaxed); 32];
        let mut config = Config::default();
        config.max_message = 1 << 30;
        let mut out = Vec::new();
        let request = ClientRequest::new("localhost", target);
        let mut handshake =
            ClientHandshake::start(Arc::new(config), request, seed, &mut out).expect("a request");
        stream.write_all(&out).expect("send the request");
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let len = stream.read(&mut buffer).expect("an answer");
            assert_ne!(len, 0, "the transport ended before the answer");
            let mut input = Input::new(&mut buffer[..len]);
            match handshake.next_response(&mut input) {
                None => {}
                Some(Answer::Accepted(connection, _)) => {
                    let mut client = Self {
                        stream,
                        connection,
                        scratch: RecvScratch::default(),
                        received: VecDeque::new(),
                    };
                    client.take_in(input);
                    return client;
                }
                Some(other) => panic!("not accepted: {other:?}"),
            }
        }
    }

    /// Whether there has been no Close yet, ours or theirs.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.state() == State::Open
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        let mut out = Vec::new();
        self.connection
            .send_text(text, &mut SendScratch::default(), &mut out)
            .expect("open");
        self.send_raw(&out);
    }

    pub(crate) fn send_binary(&mut self, data: &[u8]) {
        let mut out = Vec::new();
        self.connection
            .send_binary(data, &mut SendScratch::default(), &mut out)
            .expect("open");
        self.send_raw(&out);
    }

    pub(crate) fn send_ping(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        self.connection.send_ping(payload, &mut out).expect("open");
        self.send_raw(&out);
    }

    pub(crate) fn close(&mut self, code: CloseCode, reason: &str) {
        let mut out = Vec::new();
        self.connection.close(code, reason, &mut out).expect("open");
        self.send_raw(&out);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// What comes next, waited for.
    pub(crate) fn next(&mut self) -> Received {
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Received::End,
                Ok(len) => self.take_in(Input::new(&mut buffer[..len])),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        panic!("nothing came from the server")
                    }
                    _ => return Received::Reset,
                },
            }
        }
    }

    /// The next that is not a ping. A server that sends nothing else is not waited for.
    pub(crate) fn next_but_pings(&mut self) -> Received {
        let start = Instant::now();
        loop {
            match self.next() {
                Received::Ping(_) => {
                    assert!(start.elapsed() < PATIENCE, "nothing but pings came");
                }
                received => return received,
            }
        }
    }

    /// The next text, pings passed over.
    pub(crate) fn next_text(&mut self) -> String {
        match self.next_but_pings() {
            Received::Text(text) => text,
            other => panic!("a text was expected, not {other:?}"),
        }
    }

    /// Sends a text and waits until it is back.
    pub(crate) fn echo(&mut self, text: &str) {
        self.send_text(text);
        assert_eq!(self.next_text(), text);
    }

    /// Expects a Close with this code and then the end of the transport, messages and pings before passed over.
    pub(crate) fn expect_close(&mut self, code: CloseCode) {
        let start = Instant::now();
        loop {
            match self.next() {
                Received::Text(_) | Received::Binary(_) | Received::Ping(_) => {
                    assert!(start.elapsed() < PATIENCE, "no Close came");
                }
                Received::Close(received, _) => {
                    assert_eq!(received, Some(code));
                    assert_eq!(self.next(), Received::End);
                    return;
                }
                other => panic!("a Close was expected, not {other:?}"),
            }
        }
    }

    fn take_in(&mut self, mut input: Input<'_>) {
        let mut out = Vec::new();
        while let Some(event) = self
            .connection
            .next_event(&mut input, &mut self.scratch, &mut out)
        {
            self.received.push_back(match event {
                Event::Text(text) => Received::Text(text.into()),
                Event::Binary(data) => Received::Binary(data.into()),
                Event::Ping(payload) => Received::Ping(payload.into()),
                Event::Pong(payload) => Received::Pong(payload.into()),
                Event::Close(None) => Received::Close(None, String::new()),
                Event::Close(Some(frame)) => Received::Close(Some(frame.code), frame.reason.into()),
                Event::Failed(error) => Received::Failed(error),
            });
        }
        if !out.is_empty() {
            // The server may be gone by now.
            let _ = self.stream.write_all(&out);
        }
    }
}
