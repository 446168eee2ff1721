//! [`ClientHandshake`]: the request of a client, and what comes of it.

use core::fmt;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::head::HeadSearch;
use super::key::client_key;
use super::response::{Checked, Expected};
use super::{BadResponse, ClientRequest, InvalidRequest, Response, accept_key};
use crate::deflate;
use crate::{Config, Connection, Input, MaskKeys};

/// Most responses before the last one.
const MAX_INTERIM: u8 = 8;

/// The client's side of a handshake, until the server has answered.
///
/// ```
/// use std::sync::Arc;
/// use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest};
/// use wirefan_protocol::{Config, Input};
///
/// # use wirefan_protocol::handshake::{Accept, Asked, ServerHandshake};
/// # fn answer_of_a_server(mut request: Vec<u8>) -> Vec<u8> {
/// #     let mut out = Vec::new();
/// #     let mut server = ServerHandshake::new(Arc::new(Config::default()));
/// #     match server.next_request(&mut Input::new(&mut request), &mut out) {
/// #         Some(Asked::Request(request)) => request.accept(Accept::default(), &mut out).unwrap(),
/// #         other => panic!("{other:?}"),
/// #     };
/// #     out
/// # }
/// # let seed_from_the_system = [7; 32];
/// let mut out = Vec::new();
/// let request = ClientRequest::new("server.example.com", "/chat");
/// let config = Arc::new(Config::default());
/// let mut handshake = ClientHandshake::start(config, request, seed_from_the_system, &mut out)?;
/// assert!(out.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n")); // to be written
///
/// let mut read = answer_of_a_server(out); // what was read
/// let mut input = Input::new(&mut read);
/// match handshake.next_response(&mut input) {
///     None => {} // read on
///     Some(Answer::Accepted(connection, response)) => {
///         assert_eq!(response.protocol(), None);
///         // The server's first frames may already be in `input`.
/// #       let _ = connection;
///     }
///     Some(Answer::Refused(response)) => panic!("{}", response.status()),
///     Some(Answer::Failed(why)) => panic!("{why}"),
/// }
/// # Ok::<(), wirefan_protocol::handshake::InvalidRequest>(())
/// ```
pub struct ClientHandshake {
    config: Arc<Config>,
    expected: Expected,
    /// The head, if it came in more than one piece.
    head: Vec<u8>,
    search: HeadSearch,
    interim: u8,
    /// For the connection; gone when the handshake is over.
    keys: Option<MaskKeys>,
}

impl ClientHandshake {
    /// Writes the request into `out`.
    ///
    /// The key of the handshake and the masking keys of the connection both come from `seed`, which has to be
    /// new for each connection and from the operating system's generator (RFC 6455 §4.1, §5.3). Neither tells
    /// anything of the other.
    ///
    /// # Errors
    ///
    /// What is wrong with the request. Nothing is written then.
    pub fn start(
        config: Arc<Config>,
        request: ClientRequest<'_>,
        seed: [u8; 32],
        out: &mut Vec<u8>,
    ) -> Result<Self, InvalidRequest> {
        let key = client_key(&seed);
        let extension = config
            .deflate
            .as_ref()
            .filter(|_| cfg!(feature = "deflate"))
            .map(deflate::offer);
        request.write(&key, extension.as_deref(), out)?;
        Ok(Self {
            config,
            expected: Expected {
                accept: accept_key(&key),
                protocols: request.protocols.join(","),
            },
            head: Vec::new(),
            search: HeadSearch::response(),
            interim: 0,
            keys: Some(MaskKeys::from_seed(seed)),
        })
    }

    /// Returns the server's answer, or `None` as long as it is not complete.
    ///
    /// All of `input` is used, but for one thing: what stands behind a 101 is left in it, for the connection. Interim
    /// responses are skipped (RFC 9110 §15.2). There is one answer; what is read after a refusal is discarded here.
    pub fn next_response<'s, 'i: 's>(&'s mut self, input: &mut Input<'i>) -> Option<Answer<'s>> {
        let Some(keys) = self.keys.take() else {
            input.discard();
            return None;
        };
        let (agreed, status, part) = loop {
            if input.is_empty() {
                self.keys = Some(keys);
                return None;
            }
            let part = match self.search.look(input.peek(), self.config.max_head) {
                Ok(Some(used)) => input.take(used),
                Ok(None) => {
                    self.head.extend_from_slice(input.take(input.len()));
                    self.keys = Some(keys);
                    return None;
                }
                Err(error) => return Some(fail(error.into(), input)),
            };
            if !self.head.is_empty() {
                self.head.extend_from_slice(part);
            }
            let head = if self.head.is_empty() {
                &*part
            } else {
                &self.head
            };
            match self.expected.check(head, &self.config) {
                Ok(Checked::Switching(agreed)) => break (Some(agreed), 101, part),
                Ok(Checked::Status(100..200)) if self.interim < MAX_INTERIM => {}
                Ok(Checked::Status(100..200)) => {
                    return Some(fail(BadResponse::TooManyInterim, input));
                }
                Ok(Checked::Status(status)) => break (None, status, part),
                Err(why) => return Some(fail(why, input)),
            }
            self.interim += 1;
            self.search = HeadSearch::response();
            self.head = Vec::new();
        };
        let head = if self.head.is_empty() {
            &*part
        } else {
            &self.head
        };
        if let Some(agreed) = agreed {
            let connection = Connection::client(Arc::clone(&self.config), agreed, keys);
            Some(Answer::Accepted(
                connection,
                Response::new(status, head, &[]),
            ))
        } else {
            let body = input.take(input.len());
            Some(Answer::Refused(Response::new(status, head, body)))
        }
    }
}

fn fail<'a>(why: BadResponse, input: &mut Input<'_>) -> Answer<'a> {
    input.discard();
    Answer::Failed(why)
}

// The key of a handshake under way, and what has come of an answer, stay out of logs.
impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake").finish_non_exhaustive()
    }
}

/// What a server made of the request.
#[derive(Debug)]
pub enum Answer<'a> {
    /// It has accepted: the connection is open.
    Accepted(Connection, Response<'a>),
    /// It has answered with something else, as a redirection or a demand for a password (RFC 6455 §4.1).
    Refused(Response<'a>),
    /// It has broken the protocol: end the transport.
    Failed(BadResponse),
}
