//! [`Connection`]: one end of an open connection; receiving, and the answers that the protocol demands.
//! What the caller sends is in `send.rs`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::decoder::{Decoder, Part};
#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, remember};
use crate::partial::{Partial, WORTH_LENDING};
use crate::{
    Agreed, CloseCode, CloseFrame, Config, Error, Event, Input, Kind, MaskKeys, Opcode,
    RecvScratch, Role, State, utf8,
};

/// One end of an open WebSocket connection.
///
/// Lend it what you read ([`next_event`](Self::next_event)), write what it appends to `out`, and end the transport
/// when [`state`](Self::state) says so. It has no socket, no clock and, while no message is half way, no buffer.
///
/// ```
/// use std::sync::Arc;
/// use wirefan_protocol::{Agreed, Config, Connection, Event, Input, Scratch};
///
/// let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
/// let mut scratch = Scratch::default();
/// let mut out = Vec::new();
///
/// // What was read: the masked "Hello" of RFC 6455 §5.7.
/// let mut read = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let mut input = Input::new(&mut read);
/// while let Some(event) = connection.next_event(&mut input, &mut scratch.recv, &mut out) {
///     if let Event::Text(text) = event {
///         connection.send_text(text, &mut scratch.send, &mut out)?;
///     }
/// }
/// assert_eq!(out, b"\x81\x05Hello"); // to be written to the socket
/// # Ok::<(), wirefan_protocol::SendError>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    pub(crate) config: Arc<Config>,
    /// A client's masking keys: whoever has them is the client.
    pub(crate) keys: Option<Box<MaskKeys>>,
    partial: Option<Box<Partial>>,
    decoder: Decoder,
    pub(crate) state: State,
    pub(crate) agreed: Agreed,
    /// What compression with context takeover keeps from message to message.
    #[cfg(feature = "deflate")]
    pub(crate) takeover: Option<Box<Takeover>>,
    /// The fragmented message that is being sent.
    pub(crate) sending: Option<Kind>,
    /// [`next_whole`](Connection::next_whole) has come upon a text that is none: to be told by the next event.
    not_text: bool,
}

impl Connection {
    /// The server's end of a connection that has been upgraded, here or elsewhere; `agreed` is what the handshake
    /// settled, by [`negotiate`](crate::handshake::negotiate) for instance.
    pub fn server(config: Arc<Config>, agreed: Agreed) -> Self {
        Self::new(config, agreed, None)
    }

    /// The client's end of a connection that has been upgraded; `keys` masks what it sends.
    pub fn client(config: Arc<Config>, agreed: Agreed, keys: MaskKeys) -> Self {
        Self::new(config, agreed, Some(Box::new(keys)))
    }

    fn new(config: Arc<Config>, agreed: Agreed, keys: Option<Box<MaskKeys>>) -> Self {
        Self {
            config,
            keys,
            partial: None,
            decoder: Decoder::new(),
            state: State::Open,
            agreed,
            #[cfg(feature = "deflate")]
            takeover: None,
            sending: None,
            not_text: false,
        }
    }

    /// Returns the next event in `input`, or `None` when all of it has been used.
    ///
    /// Pings, Closes and violations are answered here: the answer is in `out` before the event is returned. What
    /// that appends is never longer than the frames that asked for it, but for the four bytes of a client's masks,
    /// plus one Close frame. After [`Event::Close`] or [`Event::Failed`] the rest of the input is discarded, and
    /// later input too.
    ///
    /// An event is borrowed from `input` or from `scratch`, never from the connection, which may therefore send
    /// while you hold it.
    #[inline]
    #[must_use]
    pub fn next_event<'s, 'i: 's>(
        &mut self,
        input: &mut Input<'i>,
        scratch: &'s mut RecvScratch,
        out: &mut Vec<u8>,
    ) -> Option<Event<'s>> {
        scratch.reclaim();
        if self.state == State::Closed {
            // RFC 6455 §1.4: whatever follows a Close is discarded.
            input.discard();
            return None;
        }
        if let Some(event) = self.next_whole(input) {
            return Some(event);
        }
        self.next_event_in_parts(input, scratch, out)
    }

    /// The next message, where `input` has all of it in one frame that is not compressed: [`Event::Text`] or
    /// [`Event::Binary`]. `None` tells nothing; then ask [`next_event`](Self::next_event), which would also have returned
    /// this message.
    ///
    /// That is nearly every message of a busy connection, and nothing but the input is needed for it: a loop that asks
    /// here first takes it in fewer steps. It does not touch the scratch: what [`next_event`](Self::next_event) has
    /// returned before stays there, until that is called again.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wirefan_protocol::{Agreed, Config, Connection, Event, Input, RecvScratch};
    /// # let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
    /// # let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    /// // The masked "Hello" of RFC 6455 §5.7, and a ping.
    /// let mut read = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x80\0\0\0\0";
    /// let mut input = Input::new(&mut read);
    /// assert_eq!(connection.next_whole(&mut input), Some(Event::Text("Hello")));
    /// assert_eq!(connection.next_whole(&mut input), None);
    /// let event = connection.next_event(&mut input, &mut scratch, &mut out);
    /// assert_eq!(event, Some(Event::Ping(b"")));
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn next_whole<'i>(&mut self, input: &mut Input<'i>) -> Option<Event<'i>> {
        if self.state != State::Open || self.partial.is_some() || self.not_text {
            return None;
        }
        let (masked, max) = (self.keys.is_none(), self.config.max_message);
        match self.decoder.next_whole(input, masked, max)? {
            (Kind::Binary, payload) => Some(Event::Binary(payload.binary())),
            (Kind::Text, payload) => match payload.text() {
                Ok(text) => Some(Event::Text(text)),
                Err(_) => {
                    self.not_text = true;
                    input.discard();
                    None
                }
            },
        }
    }

    /// Whether [`lend`](Self::lend) has something to lend: much of a large binary frame is missing.
    #[inline]
    pub fn lends(&self) -> bool {
        self.decoder.to_come() >= WORTH_LENDING as u64 && self.partial.is_some()
    }

    /// The place where the next bytes of a large binary message belong: read them into it instead of into a buffer of
    /// yours, then say with [`filled`](Self::filled) how many there were. That saves a copy.
    ///
    /// `None`: there is no such message half way, and everything goes through [`next_event`](Self::next_event). The place is
    /// never longer than what is missing of the frame, nor than what has arrived of the message, unless the memory is there
    /// anyway.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wirefan_protocol::{Agreed, Config, Connection, Event, Input, MaskKeys, RecvScratch};
    /// # let mut client = Connection::client(Arc::new(Config::default()), Agreed::default(), MaskKeys::from_seed([1; 32]));
    /// # let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    /// // A message of 40,000 bytes; a read has brought its header and half of it.
    /// let mut read = [b"\x82\x7e\x9c\x40", &[b'.'; 20_000][..]].concat();
    /// let mut input = Input::new(&mut read);
    /// assert_eq!(client.next_event(&mut input, &mut scratch, &mut out), None);
    ///
    /// let place = client.lend().unwrap();
    /// assert_eq!(place.len(), 20_000);
    /// place.fill(b'.'); // `socket.read(place)?`
    /// client.filled(20_000);
    ///
    /// let event = client.next_event(&mut Input::new(&mut []), &mut scratch, &mut out);
    /// assert!(matches!(event, Some(Event::Binary(data)) if data.len() == 40_000));
    /// ```
    pub fn lend(&mut self) -> Option<&mut [u8]> {
        if !self.lends() {
            return None;
        }
        let to_come = usize::try_from(self.decoder.to_come()).unwrap_or(usize::MAX);
        self.partial.as_mut()?.lend(to_come)
    }

    /// Tells that the first `len` bytes of what was lent are filled. Then ask for events, also with an empty input.
    ///
    /// Where nothing is lent, nothing happens. Bytes that you have not written are those of some earlier message.
    pub fn filled(&mut self, len: usize) {
        if !self.lends() {
            return;
        }
        let to_come = usize::try_from(self.decoder.to_come()).unwrap_or(usize::MAX);
        let len = len.min(to_come);
        if let Some(partial) = &mut self.partial {
            let masked = self.keys.is_none();
            partial.is_whole = self.decoder.arrived(partial.filled(len), masked);
        }
    }

    /// The way of everything but a whole message in one frame.
    #[inline(never)]
    fn next_event_in_parts<'s, 'i: 's>(
        &mut self,
        input: &mut Input<'i>,
        scratch: &'s mut RecvScratch,
        out: &mut Vec<u8>,
    ) -> Option<Event<'s>> {
        if let Some(partial) = self.partial.take_if(|partial| partial.is_whole) {
            return Some(scratch.deliver(partial));
        }
        if self.not_text {
            return Some(self.fail(Error::InvalidUtf8, input, out));
        }
        let (masked, deflate) = (self.keys.is_none(), self.agreed.deflate.is_some());
        loop {
            let part = match self.decoder.next_part(input, masked, deflate) {
                Ok(Some(part)) => part,
                Ok(None) => return None,
                Err(error) => return Some(self.fail(error, input, out)),
            };
            if part.opcode.is_control() {
                let payload = if part.ends && part.begins.is_some() {
                    &*part.payload
                } else {
                    let partial = self.partial.get_or_insert_with(|| scratch.take());
                    partial.append_control(part.payload);
                    if !part.ends {
                        continue;
                    }
                    let (payload, len) = partial.take_control();
                    if let Some(partial) = self.partial.take_if(|partial| partial.is_idle()) {
                        scratch.put_back(partial);
                    }
                    scratch.hold_control(payload, len)
                };
                return Some(match self.control(part.opcode, payload, out) {
                    Ok(event) => self.ended(event, input),
                    Err(error) => self.fail(error, input, out),
                });
            }
            match self.data(part, scratch) {
                Ok(Data::More) => {}
                Ok(Data::Whole) => {
                    let partial = self.partial.take()?;
                    return Some(scratch.deliver(partial));
                }
                Err(error) => return Some(self.fail(error, input, out)),
            }
        }
    }

    /// Tells that the transport has reached its end: [`Error::EndOfStream`], unless the connection was closed.
    pub fn end_of_input(&mut self) -> Option<Event<'static>> {
        self.partial = None;
        if self.state == State::Closed {
            return None;
        }
        self.state = State::Closed;
        Some(Event::Failed(Error::EndOfStream))
    }

    /// How far the connection is from its end.
    pub fn state(&self) -> State {
        self.state
    }

    /// What the handshake settled.
    pub fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        if self.keys.is_some() {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// A part of a data frame; a message that is whole by then is the partial one.
    fn data(&mut self, part: Part<'_>, scratch: &mut RecvScratch) -> Result<Data, Error> {
        let kind = match part.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        };
        let partial = self.partial.get_or_insert_with(|| scratch.take());
        if let Some(len) = part.begins {
            match kind {
                // RFC 6455 §5.4: the fragments of one message may not be mixed with those of another.
                Some(_) if partial.has_message() => return Err(Error::ExpectedContinuation),
                None if !partial.has_message() => return Err(Error::UnexpectedContinuation),
                Some(kind) => {
                    partial.begin(kind);
                    #[cfg(feature = "deflate")]
                    if part.compressed {
                        let mut inflation = scratch.take_inflation();
                        inflation.begin(history(&self.takeover))?;
                        partial.inflation = Some(inflation);
                    }
                }
                None => {}
            }
            partial.count_frame(len, !(part.fin && kind.is_some()), &self.config)?;
        }
        let last = part.ends && part.fin;
        #[cfg(feature = "deflate")]
        if partial.inflation.is_some() {
            partial.append_compressed(part.payload, last, history(&self.takeover), &self.config)?;
            if !last {
                return Ok(Data::More);
            }
            partial.finish()?;
            self.remember_received();
            return Ok(Data::Whole);
        }
        // Behind a frame that is not the last more may come, up to the limit: without room for it ahead, every
        // fragment would move the message.
        let to_come = if part.fin {
            part.to_come
        } else {
            let room = partial.room(&self.config);
            room.saturating_sub(part.here as u64)
        };
        partial.append(part.payload, part.here, to_come)?;
        if !last {
            return Ok(Data::More);
        }
        partial.finish()?;
        Ok(Data::Whole)
    }

    /// With context takeover, later messages may refer to the one that has just become whole.
    #[cfg(feature = "deflate")]
    fn remember_received(&mut self) {
        if let Some(params) = self.agreed.deflate
            && params.receive.takeover
            && let Some(partial) = &self.partial
        {
            let history = &mut self.takeover.get_or_insert_default().received;
            remember(history, partial.content().0, params.receive.window_bits);
        }
    }

    /// A whole control frame: the answer to it, and the event.
    fn control<'s>(
        &mut self,
        opcode: Opcode,
        payload: &'s [u8],
        out: &mut Vec<u8>,
    ) -> Result<Event<'s>, Error> {
        match opcode {
            Opcode::Ping => {
                // RFC 6455 §5.5.2: answer with the same payload. §5.5.1: nothing follows our own Close.
                if self.state == State::Open {
                    self.write(true, Opcode::Pong, payload, out);
                }
                Ok(Event::Ping(payload))
            }
            Opcode::Close => {
                let frame = parse_close(payload)?;
                // RFC 6455 §5.5.1: a Close is answered with a Close that echoes the code, unless ours went first.
                if self.state == State::Open {
                    self.write_close(frame.map(|frame| frame.code), "", out);
                }
                self.state = State::Closed;
                Ok(Event::Close(frame))
            }
            _ => Ok(Event::Pong(payload)),
        }
    }

    /// What follows from an event: behind a Close nothing counts.
    fn ended<'s>(&mut self, event: Event<'s>, input: &mut Input<'_>) -> Event<'s> {
        if let Event::Close(_) = event {
            self.partial = None;
            input.discard();
        }
        event
    }

    /// Fails the connection (RFC 6455 §7.1.7).
    #[cold]
    fn fail(&mut self, error: Error, input: &mut Input<'_>, out: &mut Vec<u8>) -> Event<'static> {
        if self.state == State::Open {
            self.write_close(Some(error.close_code()), error.reason(), out);
        }
        self.state = State::Closed;
        self.partial = None;
        input.discard();
        Event::Failed(error)
    }
}

/// What compression with context takeover keeps from message to message.
#[cfg(feature = "deflate")]
#[derive(Debug, Default)]
pub(crate) struct Takeover {
    /// The newest bytes of the compressed messages that came.
    received: Vec<u8>,
    /// Our compressor, with what it was given.
    pub(crate) deflater: Option<Deflater>,
}

#[cfg(feature = "deflate")]
fn history(takeover: &Option<Box<Takeover>>) -> &[u8] {
    takeover.as_ref().map_or(&[], |takeover| &takeover.received)
}

/// What came of a part of a data frame.
enum Data {
    /// The message goes on.
    More,
    /// The partial message is whole.
    Whole,
}

/// The payload of a Close frame (RFC 6455 §5.5.1, §7.4).
fn parse_close(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Error::InvalidClose)
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_sendable() {
        return Err(Error::InvalidClose);
    }
    Ok(Some(CloseFrame {
        code,
        reason: utf8::validate(reason)?,
    }))
}
