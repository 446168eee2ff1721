//! [`Response`]: what a server answered to our handshake, kept. Handlers see it by `Conn::response` or in a `DialError`.

use core::fmt;

use wirefan_protocol::handshake;

/// What a server answered to the handshake of a dialled connection.
#[derive(Clone, Eq, PartialEq)]
pub struct Response {
    status: u16,
    headers: Vec<(Box<str>, Box<[u8]>)>,
    body: Vec<u8>,
}

impl Response {
    pub(super) fn of(response: &handshake::Response<'_>) -> Self {
        let headers = response.headers();
        Self {
            status: response.status(),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// That of a server that was not asked.
    pub(super) fn none() -> Self {
        Self {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn made(status: u16, headers: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).into(), value.as_bytes().into());
        Self {
            status,
            headers: headers.iter().map(own).collect(),
            body: Vec::new(),
        }
    }

    pub(super) fn set_body(&mut self, body: Vec<u8>) {
        self.body = body;
    }

    /// The status: 101 if the connection is open.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The subprotocol that the server chose among those offered.
    pub fn protocol(&self) -> Option<&str> {
        self.text("sec-websocket-protocol")
    }

    /// The value of the first header line with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The same, where it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The header lines in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The body of an answer that opened no connection, or its beginning
    /// ([`Dial::max_body`](crate::client::Dial::max_body)).
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
