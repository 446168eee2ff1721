//! [`Dial`]: one connection on its way from `connect` to the answer of the handshake.

use core::ops::Range;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Type};
use wirefan_eventloop::rustls::ClientConfig;
use wirefan_protocol::handshake::{Answer, ClientHandshake};
use wirefan_protocol::{Config, Connection, Input};

use super::asked::Asked;
use super::failure::Failure;
use super::socket::Socket;
use super::target::Target;

/// The key and the answer to it of RFC 6455 §1.3, for servers whose answer is a constant.
const RAW_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const RAW_ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Far more than a constant answer is.
const RAW_HEAD: usize = 4096;

/// What every connection is opened with.
#[derive(Debug)]
pub(crate) struct Dialler {
    pub(crate) target: Target,
    pub(crate) addr: SocketAddr,
    pub(crate) asked: Asked,
    pub(crate) config: Arc<Config>,
    /// For `wss://`.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

enum Handshake {
    Client(Box<ClientHandshake>),
    Raw(Vec<u8>),
}

/// A connection that is being opened.
pub(crate) struct Dial {
    pub(crate) socket: Socket,
    request: Vec<u8>,
    written: usize,
    handshake: Handshake,
}

/// An open connection: behind `tcp://` there is no WebSocket. What came behind the answer is still in the buffer.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Option<Connection>,
    pub(crate) rest: Range<usize>,
}

impl Dialler {
    /// Starts to connect, to the room of this number if there are several.
    pub(crate) fn dial(
        &self,
        room: Option<usize>,
        source: Option<IpAddr>,
        registry: &Registry,
        token: Token,
    ) -> Result<Dial, Failure> {
        let mut request = Vec::new();
        let handshake = if self.target.raw {
            let head = format!(
                "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {RAW_KEY}\r\n\r\n",
                self.target.authority
            );
            request.extend_from_slice(head.as_bytes());
            Handshake::Raw(Vec::new())
        } else {
            Handshake::Client(Box::new(
                self.handshake(room, &mut request)
                    .map_err(Failure::Connect)?,
            ))
        };
        let connect = || {
            let mut socket = connect(self.addr, source)?;
            registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            match &self.tls {
                Some(config) => Socket::tls(socket, config, self.target.server_name()?),
                None => Ok(Socket::Plain(socket)),
            }
        };
        Ok(Dial {
            socket: connect().map_err(Failure::Connect)?,
            request,
            written: 0,
            handshake,
        })
    }

    /// Writes a request.
    fn handshake(&self, room: Option<usize>, request: &mut Vec<u8>) -> io::Result<ClientHandshake> {
        let path = room.map(|room| format!("{}{room}", self.target.path));
        let path = path.as_deref().unwrap_or(&self.target.path);
        let (host, seed) = (&self.target.authority, seed()?);
        (self.asked.start(&self.config, host, path, seed, request))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

/// From the system's generator.
pub(crate) fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

fn connect(addr: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let domain = Domain::for_address(addr);
    #[cfg(target_os = "linux")]
    let socket = socket2::Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        // Without this each bind takes a port from all servers, and not only from this one.
        #[cfg(target_os = "linux")]
        nix::sys::socket::setsockopt(
            &socket,
            nix::sys::socket::sockopt::IpBindAddressNoPort,
            &true,
        )?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        Err(error) if in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

impl Dial {
    /// Goes on after an event; `None`: it is not open yet.
    pub(crate) fn ready(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
    ) -> Result<Option<Opened>, Failure> {
        if event.is_error()
            && let Ok(Some(error)) = self.socket.take_error()
        {
            return Err(Failure::Connect(error));
        }
        while event.is_writable() && self.written < self.request.len() {
            match self.socket.write(&self.request[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Connect(error)),
            }
        }
        if event.is_writable()
            && let Err(error) = self.socket.flush()
            && !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
            )
        {
            return Err(Failure::Broken(error));
        }
        while event.is_readable() && self.written > 0 {
            let len = match self.socket.read(buffer) {
                Ok(0) => return Err(Failure::EndInHandshake),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Broken(error)),
            };
            let opened = match &mut self.handshake {
                Handshake::Client(handshake) => answer(handshake, &mut buffer[..len])?,
                Handshake::Raw(head) => raw_answer(head, &buffer[..len])?,
            };
            if opened.is_some() {
                return Ok(opened);
            }
        }
        Ok(None)
    }
}

fn answer(handshake: &mut ClientHandshake, read: &mut [u8]) -> Result<Option<Opened>, Failure> {
    let len = read.len();
    let mut input = Input::new(read);
    match handshake.next_response(&mut input) {
        None => Ok(None),
        Some(Answer::Accepted(connection, _)) => Ok(Some(Opened {
            connection: Some(connection),
            rest: len - input.into_rest().len()..len,
        })),
        Some(Answer::Refused(response)) => {
            let words = response.reason().to_owned();
            Err(Failure::Refused(response.status(), words))
        }
        Some(Answer::Failed(why)) => Err(Failure::Handshake(why)),
    }
}

fn raw_answer(head: &mut Vec<u8>, read: &[u8]) -> Result<Option<Opened>, Failure> {
    let before = head.len();
    head.extend_from_slice(read);
    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if head.len() > RAW_HEAD {
            Err(Failure::RawHandshake)
        } else {
            Ok(None)
        };
    };
    let answer = &head[..end];
    if !answer.starts_with(b"HTTP/1.1 101")
        || !answer
            .windows(RAW_ACCEPT.len())
            .any(|part| part == RAW_ACCEPT)
    {
        return Err(Failure::RawHandshake);
    }
    Ok(Some(Opened {
        connection: None,
        rest: end + 4 - before..read.len(),
    }))
}
