//! [`client`] and [`connect`]: the client's side of the opening handshake.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{error, fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};
use wirefan_protocol::handshake::{
    self, Answer, BadResponse, ClientHandshake, ClientRequest, InvalidRequest,
};
use wirefan_protocol::{Config, Connection, Input};

use crate::WebSocketStream;
use crate::lent::{self, Lent};
use crate::stream::seed;
use crate::transport::{Side, Transport};

/// Opens a WebSocket on a stream that leads to the server. TLS is the stream's business: hand in one that speaks it, such
/// as tokio-rustls' `TlsStream`, and this is `wss`.
///
/// # Errors
///
/// [`ConnectError`]; the stream is dropped then.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use wirefan_tokio::{ClientRequest, Config, client};
///
/// # async fn over(stream: tokio::net::TcpStream) -> Result<(), wirefan_tokio::ConnectError> {
/// let mut request = ClientRequest::new("server.example.com", "/chat");
/// request.protocols = &["chat"];
/// let (socket, response) = client(stream, request, Arc::new(Config::default())).await?;
/// assert_eq!(response.protocol(), Some("chat"));
/// # let _ = socket;
/// # Ok(())
/// # }
/// ```
pub async fn client<S>(
    io: S,
    request: ClientRequest<'_>,
    config: Arc<Config>,
) -> Result<(WebSocketStream<S>, Response), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut transport = Transport::new(io);
    let mut handshake = ClientHandshake::start(config, request, seed()?, transport.outgoing.end())?;
    poll_fn(|cx| transport.poll_write(cx, Side::Reader, 0)).await?;
    loop {
        let read = poll_fn(|cx| {
            lent::with(|lent| poll_response(&mut transport, &mut handshake, cx, lent))
        });
        if let Some((connection, response, rest)) = read.await? {
            lent::with(|lent| transport.outgoing.release(lent));
            return Ok((WebSocketStream::open(transport, connection, rest), response));
        }
    }
}

/// Connects to a server over plain TCP, with the default [`Config`]; `url` is `ws://host[:port][/path][?query]`.
///
/// For `wss`, or for limits and compression of one's own, open a stream and use [`client`].
///
/// # Errors
///
/// [`ConnectError`].
///
/// ```no_run
/// use futures_util::{SinkExt, StreamExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut socket, _) = wirefan_tokio::connect("ws://127.0.0.1:9001/").await?;
/// socket.send("hello".into()).await?;
/// println!("{:?}", socket.next().await);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "connect")]
pub async fn connect(
    url: &str,
) -> Result<(WebSocketStream<tokio::net::TcpStream>, Response), ConnectError> {
    let address = crate::url::Address::parse(url).ok_or(ConnectError::Url)?;
    let io = tokio::net::TcpStream::connect((address.host, address.port)).await?;
    io.set_nodelay(true)?;
    let request = ClientRequest::new(address.authority, &address.target);
    client(io, request, Arc::new(Config::default())).await
}

/// The connection, the response, and what was read behind it.
type Opened = (Connection, Response, Vec<u8>);

/// Reads once; `None` as long as the response is not complete.
fn poll_response<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    handshake: &mut ClientHandshake,
    cx: &mut Context<'_>,
    lent: &mut Lent,
) -> Poll<Result<Option<Opened>, ConnectError>> {
    let len = ready!(transport.poll_read(cx, &mut lent.buffer))?;
    if len == 0 {
        return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
    }
    let mut input = Input::new(lent.buffer.get_mut(..len).unwrap_or_default());
    let result = match handshake.next_response(&mut input) {
        None => Ok(None),
        Some(Answer::Accepted(connection, response)) => {
            let response = Response::new(&response);
            return Poll::Ready(Ok(Some((connection, response, input.into_rest().to_vec()))));
        }
        Some(Answer::Refused(response)) => {
            Err(ConnectError::Refused(Box::new(Response::new(&response))))
        }
        Some(Answer::Failed(why)) => Err(ConnectError::BadResponse(why)),
    };
    let _ = input.into_rest();
    Poll::Ready(result)
}

/// What the server answered.
#[derive(Clone, Eq, PartialEq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Response {
    fn new(response: &handshake::Response<'_>) -> Self {
        let headers = response.headers();
        Self {
            status: response.status(),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            body: response.body().into(),
        }
    }

    /// The status: 101 if the connection is open.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The subprotocol that the server chose among those offered.
    pub fn protocol(&self) -> Option<&str> {
        self.header("sec-websocket-protocol")
            .and_then(|value| str::from_utf8(value).ok())
    }

    /// The value of the first header line with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The header lines in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// What came of the body together with the head.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

// Headers may hold cookies: they stay out of logs.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why no connection was opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The stream has failed, or has ended too early.
    Io(io::Error),
    /// The URL is none that begins with `ws://` and names a host.
    Url,
    /// The request is invalid.
    InvalidRequest(InvalidRequest),
    /// The server has broken the protocol.
    BadResponse(BadResponse),
    /// The server has answered with something else, as a redirection or a demand for a password.
    Refused(Box<Response>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Url => f.write_str("the URL has to be ws://host[:port][/path][?query]"),
            Self::InvalidRequest(why) => write!(f, "invalid request: {why}"),
            Self::BadResponse(why) => write!(f, "bad response: {why}"),
            Self::Refused(response) => write!(f, "the server answered with {}", response.status),
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::InvalidRequest(why) => Some(why),
            Self::BadResponse(why) => Some(why),
            Self::Url | Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<InvalidRequest> for ConnectError {
    fn from(why: InvalidRequest) -> Self {
        Self::InvalidRequest(why)
    }
}
