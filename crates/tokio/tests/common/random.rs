//! Random messages, the same ones from the same seed, and an echo of all of them.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use wirefan_tokio::{Error, Event, Message, State, WebSocketStream};

pub(crate) const MESSAGES: usize = 10_000;

/// Bytes that are under way at once, so that two peers never both wait for the other one to read.
const WINDOW: usize = 64 * 1024;

/// xorshift64*: good enough for tests, and no dependency.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// Mostly short, now and then beyond every border that there is.
    fn len(&mut self) -> usize {
        match self.below(200) {
            0 => self.below(200_000),
            1..10 => self.below(20_000),
            10..40 => self.below(1000),
            _ => self.below(140),
        }
    }

    pub(crate) fn message(&mut self) -> Message {
        let len = self.len();
        if self.below(2) == 0 {
            let alphabet = ['a', 'b', ' ', 'ß', '茶', '\u{10ffff}', '\0'];
            // Something to compress, something that cuts characters everywhere.
            let word: String = (0..1 + self.below(30))
                .map(|_| alphabet[self.below(7)])
                .collect();
            let text: String = word.chars().cycle().take(len / 2).collect();
            text.into()
        } else {
            let kind = self.below(2);
            let data: Vec<u8> = (0..len)
                .map(|i| if kind == 0 { self.below(256) } else { i / 64 } as u8)
                .collect();
            data.into()
        }
    }
}

/// Sends random messages, and has each come back as it was.
pub(crate) async fn converse<S>(mut socket: WebSocketStream<S>, seed: u64)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sent, mut expected) = (Random::new(seed), Random::new(seed));
    let (mut next, mut under_way) = (0, 0);
    for received in 0..MESSAGES {
        while next < MESSAGES && (under_way < WINDOW || next == received) {
            let message = sent.message();
            under_way += message.as_bytes().len();
            socket.feed(message).await.unwrap();
            next += 1;
        }
        // Reading writes what was fed.
        let message = loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => break message,
            }
        };
        under_way -= message.as_bytes().len();
        assert!(message == expected.message(), "message {received}");
    }
    socket
        .close(wirefan_tokio::CloseCode::NORMAL, "done")
        .await
        .unwrap();
    while let Some(message) = socket.next().await {
        assert!(message.unwrap().is_close());
    }
}

/// Echoes until the end, in the one way or the other.
pub(crate) async fn echo<S>(mut socket: WebSocketStream<S>, in_reads: bool) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if in_reads {
        let mut state = State::Open;
        while state != State::Closed {
            let read = socket.read_with(|event, replies| match event {
                Event::Text(text) => replies.text(text).unwrap(),
                Event::Binary(data) => replies.binary(data).unwrap(),
                _ => {}
            });
            state = read.await?;
        }
        return Ok(());
    }
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.feed(message).await?;
        }
    }
    Ok(())
}
