//! [`accept`] and [`accept_with`]: the server's side of the opening handshake, over any stream of bytes.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{error, fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};
use wirefan_protocol::handshake::{
    Accept, AnswerError, Asked, BadRequest, Reply, Request, ServerHandshake,
};
use wirefan_protocol::{Config, Connection, Input};

use crate::WebSocketStream;
use crate::lent::{self, Lent};
use crate::transport::{Side, Transport};

/// The answer where a plain request is accepted. RFC 9110 §15.5.22 wants Upgrade in it, and §7.8 has Connection name it.
const UPGRADE_REQUIRED: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\nConnection: Upgrade, close\r\n\r\n";

/// What is to become of a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Open the connection. A plain HTTP request is answered with 426 then.
    Accept(Acceptance),
    /// Answer with plain HTTP and close.
    Answer(Reply<'static>),
}

impl Decision {
    /// Opens the connection, without a subprotocol or headers of one's own.
    pub fn accept() -> Self {
        Self::Accept(Acceptance::default())
    }
}

/// The choices in accepting a connection.
#[derive(Clone, Debug, Default)]
pub struct Acceptance {
    /// One of the subprotocols that the client offered.
    pub protocol: Option<String>,
    /// More headers for the answer.
    pub headers: Vec<(String, String)>,
}

/// Accepts a WebSocket on a stream that has just been opened, whatever its path, with the default [`Config`].
///
/// The handshake has no time limit of its own: `tokio::time::timeout` around it is in order. Set `TCP_NODELAY` before
/// if messages are to leave at once.
///
/// # Errors
///
/// [`AcceptError`]; whoever asked has been answered.
pub async fn accept<S>(io: S) -> Result<WebSocketStream<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_with(io, Arc::new(Config::default()), |_| Decision::accept()).await
}

/// The same with limits and compression of one's own, and a look at the request, plain HTTP ones included.
///
/// # Errors
///
/// [`AcceptError`]; whoever asked has been answered.
///
/// ```
/// use std::sync::Arc;
///
/// use tokio::net::TcpStream;
/// use wirefan_tokio::handshake::{Reply, Request};
/// use wirefan_tokio::{AcceptError, Acceptance, Config, Decision, DeflateConfig, WebSocketStream};
///
/// async fn chat(socket: TcpStream) -> Result<WebSocketStream<TcpStream>, AcceptError> {
///     let mut config = Config::default();
///     config.deflate = Some(DeflateConfig::default());
///     wirefan_tokio::accept_with(socket, Arc::new(config), |request: &Request<'_>| {
///         if request.path() != "/chat" {
///             return Decision::Answer(Reply::text(404, "not here"));
///         }
///         let protocol = request.protocols().find(|&offered| offered == "chat");
///         Decision::Accept(Acceptance { protocol: protocol.map(Into::into), headers: Vec::new() })
///     })
///     .await
/// }
/// # let _ = chat;
/// ```
pub async fn accept_with<S, D>(
    io: S,
    config: Arc<Config>,
    decide: D,
) -> Result<WebSocketStream<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: FnOnce(&Request<'_>) -> Decision,
{
    let mut transport = Transport::new(io);
    let mut handshake = ServerHandshake::new(config);
    let mut decide = Some(decide);
    let accepted = loop {
        let read = poll_fn(|cx| {
            lent::with(|lent| poll_request(&mut transport, &mut handshake, &mut decide, cx, lent))
        });
        let accepted = read.await?;
        // Also what asks for more, a 100.
        poll_fn(|cx| transport.poll_write(cx, Side::Reader, 0)).await?;
        if let Some(accepted) = accepted {
            break accepted;
        }
    };
    lent::with(|lent| transport.outgoing.release(lent));
    match accepted {
        Ok((connection, rest)) => Ok(WebSocketStream::open(transport, connection, rest)),
        Err(error) => {
            poll_fn(|cx| transport.poll_shutdown(cx)).await?;
            poll_fn(|cx| {
                lent::with(|lent| transport.discard(cx, lent));
                Poll::Ready(())
            })
            .await;
            Err(error)
        }
    }
}

/// The connection with what was read behind the request, or why there is none; the answer is to be written.
type Accepted = Result<(Connection, Vec<u8>), AcceptError>;

/// Reads once; `None` as long as the request is not complete.
fn poll_request<S, D>(
    transport: &mut Transport<S>,
    handshake: &mut ServerHandshake,
    decide: &mut Option<D>,
    cx: &mut Context<'_>,
    lent: &mut Lent,
) -> Poll<io::Result<Option<Accepted>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: FnOnce(&Request<'_>) -> Decision,
{
    let len = ready!(transport.poll_read(cx, &mut lent.buffer))?;
    if len == 0 {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    transport.outgoing.prepare(lent);
    let mut input = Input::new(lent.buffer.get_mut(..len).unwrap_or_default());
    let out = transport.outgoing.end();
    let answered = match handshake.next_request(&mut input, out) {
        None => None,
        Some(Asked::Failed(why)) => Some(Err(AcceptError::BadRequest(why))),
        Some(Asked::Request(request)) => decide
            .take()
            .map(|decide| answer(request.clone(), decide(&request), out)),
    };
    let rest = input.into_rest();
    Poll::Ready(Ok(
        answered.map(|answer| answer.map(|connection| (connection, rest.to_vec())))
    ))
}

/// Writes the answer.
fn answer(
    request: Request<'_>,
    decision: Decision,
    out: &mut Vec<u8>,
) -> Result<Connection, AcceptError> {
    let refused = match decision {
        Decision::Accept(_) if !request.is_websocket() => {
            out.extend_from_slice(UPGRADE_REQUIRED);
            return Err(AcceptError::Answered(426));
        }
        Decision::Accept(acceptance) => {
            let headers = acceptance.headers.iter();
            let headers: Vec<_> = headers.map(|(name, value)| (&**name, &**value)).collect();
            let accept = Accept {
                protocol: acceptance.protocol.as_deref(),
                headers: &headers,
            };
            match request.clone().accept(accept, out) {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            }
        }
        Decision::Answer(reply) => match request.clone().respond(&reply, out) {
            Ok(()) => return Err(AcceptError::Answered(reply.status())),
            Err(error) => error,
        },
    };
    // The client is not to wait for an answer that cannot be given.
    request
        .respond(&Reply::new(500), out)
        .map_err(AcceptError::Decision)?;
    Err(AcceptError::Decision(refused))
}

/// Why no connection was opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The stream has failed, or has ended too early.
    Io(io::Error),
    /// It was no request, and was answered accordingly.
    BadRequest(BadRequest),
    /// The request was answered with plain HTTP and this status.
    Answered(u16),
    /// What was decided cannot be written, as a subprotocol that the client did not offer; answered with 500.
    Decision(AnswerError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::BadRequest(why) => write!(f, "bad request: {why}"),
            Self::Answered(status) => write!(f, "answered with {status}"),
            Self::Decision(error) => error.fmt(f),
        }
    }
}

impl error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::BadRequest(why) => Some(why),
            Self::Answered(_) | Self::Decision(_) => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
