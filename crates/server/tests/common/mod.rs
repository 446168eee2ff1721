//! A running `wirefan` and a blocking client for it, for the tests of this folder.
#![allow(dead_code, reason = "every test uses its own part")]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest};
use wirefan_protocol::{
    CloseCode, Config, Connection, Event, Input, RecvScratch, SendError, SendScratch,
};

/// Far longer than anything here takes: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `wirefan` to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wirefan"));
    command.args(args).env_remove("WIREFAN_LOG");
    // A server that is killed leaves its certificate behind.
    command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A server on a port of its own. It is killed when it is dropped.
pub(crate) struct Wirefan {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    lines: Receiver<String>,
    /// What the log said before it listened.
    pub(crate) early: Vec<String>,
}

impl Wirefan {
    /// Starts it with `--listen 127.0.0.1:0`, and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", args)
    }

    /// The same over TLS, with a certificate that it makes; returns where that is too.
    pub(crate) fn start_self_signed(args: &[&str]) -> (Self, PathBuf) {
        let args = [args, &["--tls-self-signed"]].concat();
        let server = Self::start_on("wss://127.0.0.1:0", &args);
        let line = server.line_with("certificate: ");
        let (_, rest) = line.split_once("certificate: ").unwrap();
        (server, rest.split(',').next().unwrap().into())
    }

    /// The same with another address, whose port is 0.
    pub(crate) fn start_on(listen: &str, args: &[&str]) -> Self {
        Self::start_with(|command| {
            command.args(args).args(["--listen", listen]);
        })
    }

    /// Starts what is asked for, which listens somewhere, and waits until it does.
    pub(crate) fn start_with(ask: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(&[]);
        ask(&mut command);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stderr.take().unwrap());
        let mut server = Self {
            child,
            addr: ([127, 0, 0, 1], 0).into(),
            lines,
            early: Vec::new(),
        };
        let line = loop {
            let line = server.line_with("");
            if line.contains("listening on ") {
                break line;
            }
            server.early.push(line);
        };
        let (_, rest) = line.split_once("listening on ").unwrap();
        server.addr = rest.split(' ').next().unwrap().parse().unwrap();
        server
    }

    /// Waits for the next line of the log that has this in it.
    pub(crate) fn line_with(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect(text);
            // Other lines may come for ever.
            assert!(start.elapsed() < PATIENCE * 3, "{text:?} does not come");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// What the log has said since the last line that was asked for.
    pub(crate) fn lines_so_far(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Ends the server, and returns what it has logged since the last line that was asked for.
    #[cfg(unix)]
    pub(crate) fn rest_of_log(mut self) -> Vec<String> {
        self.signal("TERM");
        self.wait();
        // The pipe is closed, and with it the sender.
        self.lines.iter().collect()
    }

    /// Closes the pipe that the log goes to.
    pub(crate) fn close_log(&mut self) {
        self.lines = mpsc::channel().1;
    }

    pub(crate) fn connect(&self, path: &str) -> Client {
        Client::connect(self.addr, ClientRequest::new("localhost", path)).unwrap()
    }

    /// Sends a plain request and returns the whole answer.
    pub(crate) fn ask(&self, method: &str, target: &str) -> Reply {
        let mut socket = TcpStream::connect(self.addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Waits until a room has so many members.
    pub(crate) fn await_members(&self, room: &str, members: usize) {
        let start = Instant::now();
        loop {
            let json: serde_json::Value =
                serde_json::from_str(&self.ask("GET", &format!("{room}?members")).body).unwrap();
            if json["members"] == members {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{json} instead of {members}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Wirefan {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines as they come. Once the receiver is gone the pipe is closed.
fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A plain HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn has(&self, header: &str) -> bool {
        self.head.split("\r\n").any(|line| line == header)
    }
}

/// What a client is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Close(Option<CloseCode>),
    /// The transport has ended.
    End,
}

/// A client that blocks.
pub(crate) struct Client {
    socket: TcpStream,
    connection: Connection,
    scratch: RecvScratch,
    received: VecDeque<Received>,
    pub(crate) protocol: Option<String>,
}

impl Client {
    /// Connects; `Err` is the status of a refusal.
    pub(crate) fn connect(addr: SocketAddr, request: ClientRequest<'_>) -> Result<Self, u16> {
        let socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(socket, request)
    }

    /// The same over a socket that is connected already, and whose reads have a time limit.
    pub(crate) fn over(mut socket: TcpStream, request: ClientRequest<'_>) -> Result<Self, u16> {
        let mut out = Vec::new();
        let config = Config::default().into();
        let mut handshake = ClientHandshake::start(config, request, [7; 32], &mut out).unwrap();
        socket.write_all(&out).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let len = read(&mut socket, &mut buffer);
            assert!(len > 0, "no answer");
            let mut input = Input::new(&mut buffer[..len]);
            match handshake.next_response(&mut input) {
                None => {}
                Some(Answer::Accepted(connection, response)) => {
                    let mut client = Self {
                        socket,
                        connection,
                        scratch: RecvScratch::default(),
                        received: VecDeque::new(),
                        protocol: response.protocol().map(str::to_owned),
                    };
                    client.take(input);
                    return Ok(client);
                }
                Some(Answer::Refused(response)) => return Err(response.status()),
                Some(Answer::Failed(why)) => panic!("{why}"),
            }
        }
    }

    /// Sends a text, unless a Close has been read that [`next`](Self::next) has yet to tell of.
    pub(crate) fn send_text(&mut self, text: &str) {
        let mut out = Vec::new();
        match self
            .connection
            .send_text(text, &mut SendScratch::default(), &mut out)
        {
            Ok(()) | Err(SendError::AfterClose) => {}
            Err(error) => panic!("{error}"),
        }
        self.socket.write_all(&out).unwrap();
    }

    pub(crate) fn send_binary(&mut self, data: &[u8]) {
        let mut out = Vec::new();
        self.connection
            .send_binary(data, &mut SendScratch::default(), &mut out)
            .unwrap();
        self.socket.write_all(&out).unwrap();
    }

    pub(crate) fn close(&mut self, code: CloseCode, reason: &str) {
        let mut out = Vec::new();
        self.connection.close(code, reason, &mut out).unwrap();
        self.socket.write_all(&out).unwrap();
    }

    /// The next thing that it is told.
    pub(crate) fn next(&mut self) -> Received {
        let mut buffer = vec![0; 65_536];
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            match read(&mut self.socket, &mut buffer) {
                0 => return Received::End,
                len => self.take(Input::new(&mut buffer[..len])),
            }
        }
    }

    /// Is pinged for so long, and told nothing else.
    pub(crate) fn await_pings(&mut self, time: Duration) {
        let start = Instant::now();
        let mut buffer = vec![0; 65_536];
        while start.elapsed() < time {
            let len = read(&mut self.socket, &mut buffer);
            assert!(len > 0, "the end after {:?}", start.elapsed());
            self.take(Input::new(&mut buffer[..len]));
            assert!(self.received.is_empty(), "{:?}", self.received);
        }
    }

    fn take(&mut self, mut input: Input<'_>) {
        let mut out = Vec::new();
        while let Some(event) = self
            .connection
            .next_event(&mut input, &mut self.scratch, &mut out)
        {
            self.received.push_back(match event {
                Event::Text(text) => Received::Text(text.to_owned()),
                Event::Binary(data) => Received::Binary(data.to_vec()),
                Event::Ping(_) | Event::Pong(_) => continue,
                Event::Close(frame) => Received::Close(frame.map(|frame| frame.code)),
                Event::Failed(error) => panic!("{error}"),
            });
        }
        self.socket.write_all(&out).unwrap();
    }
}

/// A read with a time limit may be interrupted, unlike one without.
fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> usize {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.unwrap(),
        }
    }
}

pub(crate) fn text(text: &str) -> Received {
    Received::Text(text.to_owned())
}
