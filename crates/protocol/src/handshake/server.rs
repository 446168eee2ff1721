//! [`ServerHandshake`]: from the first byte of a connection to a request.

use core::fmt;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::checks::{Checked, check};
use super::head::HeadSearch;
use super::{BadRequest, HeldRequest, Request};
use crate::{Config, Input};

/// The server's side of a handshake, until there is a request to answer.
///
/// It owns bytes only if the request comes in more than one read, and never more than twice
/// [`Config::max_head`] and [`Config::max_body`].
///
/// ```
/// use std::sync::Arc;
/// use wirefan_protocol::handshake::{Accept, Asked, Reply, ServerHandshake};
/// use wirefan_protocol::{Config, Input};
///
/// // What was read.
/// let mut read = *b"GET /chat HTTP/1.1\r\n\
///     Host: server.example.com\r\n\
///     Upgrade: websocket\r\n\
///     Connection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: chat, superchat\r\n\
///     Sec-WebSocket-Version: 13\r\n\r\n";
///
/// let mut handshake = ServerHandshake::new(Arc::new(Config::default()));
/// let mut input = Input::new(&mut read);
/// let mut out = Vec::new();
/// match handshake.next_request(&mut input, &mut out) {
///     None => {} // read on
///     Some(Asked::Request(request)) if request.is_websocket() && request.path() == "/chat" => {
///         let accept = Accept { protocol: Some("chat"), ..Accept::default() };
///         let connection = request.accept(accept, &mut out)?;
///         // Its first frames may already be in `input`.
/// #       let _ = connection;
///     }
///     Some(Asked::Request(request)) => request.respond(&Reply::text(404, "not here"), &mut out)?,
///     Some(Asked::Failed(why)) => println!("refused: {why}"),
/// }
/// assert!(out.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n")); // to be written to the socket
/// # Ok::<(), wirefan_protocol::handshake::AnswerError>(())
/// ```
pub struct ServerHandshake {
    config: Arc<Config>,
    /// The head, if it came in more than one piece.
    head: Vec<u8>,
    /// A plain request whose body did not come with its head.
    held: Option<Box<HeldRequest>>,
    stage: Stage,
}

enum Stage {
    Head(HeadSearch),
    Body { missing: usize },
    Over,
}

impl ServerHandshake {
    /// A handshake of which no byte has come.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            head: Vec::new(),
            held: None,
            stage: Stage::Head(HeadSearch::request()),
        }
    }

    /// Returns the request, or `None` as long as it is not complete.
    ///
    /// All of `input` is used, but for one thing: what stands behind a request for a WebSocket is left in it, for the
    /// connection. A `100 Continue` that the client waits for is written to `out`. One empty line before the request
    /// is skipped (RFC 9112 §2.2).
    ///
    /// There is one request at most, for both kinds of answer are the last HTTP on their connection: what is
    /// read after it is discarded here.
    pub fn next_request<'s, 'i: 's>(
        &'s mut self,
        input: &mut Input<'i>,
        out: &mut Vec<u8>,
    ) -> Option<Asked<'s>> {
        if input.is_empty() {
            return None;
        }
        match self.stage {
            Stage::Head(search) => self.read_head(search, input, out),
            Stage::Body { missing } => self.read_body(missing, input),
            Stage::Over => {
                input.discard();
                None
            }
        }
    }

    fn read_head<'s, 'i: 's>(
        &'s mut self,
        mut search: HeadSearch,
        input: &mut Input<'i>,
        out: &mut Vec<u8>,
    ) -> Option<Asked<'s>> {
        let found = search.look(input.peek(), self.config.max_head);
        self.stage = Stage::Over;
        let part = match found {
            Ok(Some(used)) => input.take(used),
            Ok(None) => {
                self.head.extend_from_slice(input.take(input.len()));
                self.stage = Stage::Head(search);
                return None;
            }
            Err(error) => return Some(fail(error.into(), false, input, out)),
        };
        let head = if self.head.is_empty() {
            &*part
        } else {
            self.head.extend_from_slice(part);
            &self.head
        };
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        let Checked {
            mut request,
            body_len,
            expects_continue,
        } = match check(head, &self.config) {
            Ok(checked) => checked,
            Err(why) => return Some(fail(why, head.starts_with(b"HEAD "), input, out)),
        };
        if request.is_websocket() {
            return Some(Asked::Request(request));
        }
        if expects_continue && body_len > 0 {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let body = input.take(body_len);
        input.discard();
        if body.len() < body_len {
            let mut held = request.hold();
            held.body.extend_from_slice(body);
            self.held = Some(Box::new(held));
            self.stage = Stage::Body {
                missing: body_len - body.len(),
            };
            return None;
        }
        request.body = body;
        Some(Asked::Request(request))
    }

    fn read_body<'s>(&'s mut self, missing: usize, input: &mut Input<'_>) -> Option<Asked<'s>> {
        // The held request has its own copy of what it needs from the head.
        self.head = Vec::new();
        let held = self.held.as_mut()?;
        let part = input.take(missing);
        held.body.extend_from_slice(part);
        if part.len() < missing {
            self.stage = Stage::Body {
                missing: missing - part.len(),
            };
            return None;
        }
        input.discard();
        self.stage = Stage::Over;
        Some(Asked::Request(held.request()))
    }
}

fn fail<'a>(
    why: BadRequest,
    for_head: bool,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Asked<'a> {
    input.discard();
    why.answer(for_head, out);
    Asked::Failed(why)
}

impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandshake").finish_non_exhaustive()
    }
}

/// What came of a handshake.
#[derive(Clone, Debug)]
pub enum Asked<'a> {
    /// A request, to be answered.
    Request(Request<'a>),
    /// None: the answer that says why is in `out`. Write it, then end the transport.
    Failed(BadRequest),
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn handshake() -> ServerHandshake {
        ServerHandshake::new(Arc::new(Config::default()))
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<ServerHandshake>() <= 64);
    }

    #[test]
    fn a_request_that_lies_whole_in_the_input_is_not_copied() {
        let (mut read, mut out) = (REQUEST.to_vec(), Vec::new());
        let range = read.as_ptr_range();
        let mut handshake = handshake();
        let asked = handshake.next_request(&mut Input::new(&mut read), &mut out);
        let Some(Asked::Request(request)) = asked else {
            panic!("{asked:?}")
        };
        assert!(range.contains(&request.target().as_ptr()));
        assert!(range.contains(&request.host().unwrap().as_ptr()));
        assert_eq!((handshake.head.capacity(), out.capacity()), (0, 0));
    }

    #[test]
    fn a_body_makes_it_hold_what_arrived_and_not_what_was_announced() {
        let mut read = *b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\nab";
        let mut handshake = handshake();
        assert!(
            handshake
                .next_request(&mut Input::new(&mut read), &mut Vec::new())
                .is_none()
        );
        let held = handshake.held.as_ref().unwrap();
        assert_eq!(held.body, b"ab");
        assert!(held.body.capacity() < 64, "{}", held.body.capacity());
    }
}
