//! Every future is dropped at every point at which it waits, over a stream that cuts at every byte and is never ready
//! at once. Nothing is lost, nothing comes twice.

mod common;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use common::{Trickle, client_end, messages, server, wire};
use futures_util::{SinkExt, StreamExt};
use wirefan_tokio::{CloseCode, CloseFrame, Config, Event, Message, State, WebSocketStream};

/// More polls than any one of the operations below needs.
const MOST_POLLS: usize = 400;

/// Polls `future` at most `polls` times and then drops it.
fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// A future of `make` is dropped after `polls` polls and made again, until one is done.
macro_rules! insist {
    ($polls:expr, $make:expr) => {{
        let mut tries = 0;
        loop {
            if let Some(output) = polled($polls, $make) {
                break output;
            }
            tries += 1;
            assert!(tries < 1_000_000, "it never ends");
        }
    }};
}

fn close(code: CloseCode, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

fn owned(event: Event<'_>) -> Message {
    match event {
        Event::Text(text) => text.into(),
        Event::Binary(data) => data.into(),
        Event::Ping(data) => Message::Ping(data.to_vec().into()),
        Event::Pong(data) => Message::Pong(data.to_vec().into()),
        Event::Close(frame) => Message::Close(frame.map(Into::into)),
        Event::Failed(error) => panic!("{error}"),
    }
}

/// A bit of everything that a peer sends.
fn conversation() -> Vec<Message> {
    vec![
        "Hello".into(),
        Message::Ping("one".into()),
        vec![1; 130].into(),
        "".into(),
        Message::Ping("two".into()),
        Message::Pong("not asked for".into()),
        "grün 茶".into(),
        close(CloseCode::GOING_AWAY, "enough"),
    ]
}

/// Large messages, of which all but the beginning is read to its place, with a little between them.
fn large_conversation() -> Vec<Message> {
    let data: Vec<u8> = (0..60_000_u32).map(|i| (i % 251) as u8).collect();
    vec![
        data.clone().into(),
        Message::Ping("one".into()),
        data[..20_000].into(),
        "Hello".into(),
        "grün 茶".repeat(3_000).into(),
        Message::Ping("two".into()),
        data.into(),
        close(CloseCode::GOING_AWAY, "enough"),
    ]
}

/// What the other end is to answer to either.
fn answers() -> Vec<Message> {
    vec![
        Message::Pong("one".into()),
        Message::Pong("two".into()),
        close(CloseCode::GOING_AWAY, ""),
    ]
}

/// Runs `test` for every number of polls, over a stream that brings a conversation.
fn for_all_polls(test: impl Fn(usize, &mut WebSocketStream<Trickle>) -> Vec<Message>) {
    for piece in [1, 7, 1000] {
        for polls in 1..MOST_POLLS {
            converse(&conversation(), piece, polls, &test);
        }
    }
    for piece in [5_000, 17_000, 33_333] {
        for polls in 1..30 {
            converse(&large_conversation(), piece, polls, &test);
        }
    }
}

fn converse(
    conversation: &[Message],
    piece: usize,
    polls: usize,
    test: impl Fn(usize, &mut WebSocketStream<Trickle>) -> Vec<Message>,
) {
    let config = Arc::new(Config::default());
    let mut client = client_end(&config);
    let bytes = wire(&mut client, conversation);
    let mut socket = server(Trickle::new(&bytes, piece));
    let got = test(polls, &mut socket);
    assert!(
        got == conversation,
        "{polls} polls, {piece} bytes, {} messages",
        got.len()
    );
    assert_eq!(
        messages(&mut client, &socket.get_ref().output),
        answers(),
        "{polls}"
    );
    assert!(socket.get_ref().is_shut);
}

#[test]
fn of_reading_messages() {
    for_all_polls(|polls, socket| {
        let mut got = Vec::new();
        while let Some(message) = insist!(polls, socket.next()) {
            got.push(message.unwrap());
            assert!(got.len() <= conversation().len(), "too many");
        }
        got
    });
}

#[test]
fn of_reading_with_a_callback() {
    for_all_polls(|polls, socket| {
        let mut got = Vec::new();
        let mut state = State::Open;
        while state != State::Closed {
            let read = insist!(polls, socket.read_with(|event, _| got.push(owned(event))));
            state = read.unwrap();
            assert!(got.len() <= conversation().len(), "too many");
        }
        got
    });
}

#[test]
fn of_both_ways_of_reading_in_turn() {
    for_all_polls(|polls, socket| {
        let mut got = Vec::new();
        loop {
            match insist!(polls, socket.next()) {
                Some(message) => got.push(message.unwrap()),
                None => return got,
            }
            assert!(got.len() <= conversation().len(), "too many");
            // A dropped future may have seen events: they count.
            let _ = polled(polls, socket.read_with(|event, _| got.push(owned(event))));
        }
    });
}

#[test]
fn of_sending() {
    let config = Arc::new(Config::default());
    for (piece, len) in [(1, 10), (7, 100), (50_000, 100_000)] {
        for polls in 1..MOST_POLLS {
            let sent: Vec<Message> = (0..8)
                .map(|i| vec![i; len + usize::from(i)].into())
                .collect();
            let mut socket = server(Trickle::new(&[], piece));
            for message in &sent {
                insist!(polls, poll_fn(|cx| socket.poll_ready_unpin(cx))).unwrap();
                socket.start_send_unpin(message.clone()).unwrap();
                // Done or not: what was taken is on its way.
                let _ = polled(polls, SinkExt::<Message>::flush(&mut socket));
            }
            insist!(polls, SinkExt::<Message>::flush(&mut socket)).unwrap();
            let got = messages(&mut client_end(&config), &socket.get_ref().output);
            assert!(got == sent, "{polls} polls, {piece} bytes");
        }
    }
}

#[test]
fn of_sending_while_reading() {
    let config = Arc::new(Config::default());
    for polls in 1..100 {
        let mut client = client_end(&config);
        let asked: Vec<Message> = (0..20).map(|i| format!("question {i}").into()).collect();
        let bytes = wire(&mut client, &asked);
        let mut socket = server(Trickle::new(&bytes, 1));
        let mut got = Vec::new();
        for i in 0_u32.. {
            if let Some(message) = polled(polls, socket.next()) {
                let message = message.unwrap().unwrap();
                socket.start_send_unpin(message.clone()).unwrap();
                got.push(message);
            }
            assert!(i < 100_000, "it never ends");
            if i % 3 == 0 {
                let _ = polled(polls, SinkExt::<Message>::flush(&mut socket));
            }
            if got.len() == asked.len() {
                break;
            }
        }
        insist!(polls, SinkExt::<Message>::flush(&mut socket)).unwrap();
        assert_eq!(got, asked);
        assert_eq!(messages(&mut client, &socket.get_ref().output), asked);
    }
}

#[test]
fn of_closing() {
    let config = Arc::new(Config::default());
    for polls in 1..60 {
        let mut socket = server(Trickle::new(&[], 1));
        insist!(polls, socket.close(CloseCode::NORMAL, "bye")).unwrap();
        let got = messages(&mut client_end(&config), &socket.get_ref().output);
        assert_eq!(got, [close(CloseCode::NORMAL, "bye")]);

        let mut socket = server(Trickle::new(&[], 1));
        insist!(polls, SinkExt::<Message>::close(&mut socket)).unwrap();
        let got = messages(&mut client_end(&config), &socket.get_ref().output);
        assert_eq!(got, [close(CloseCode::NORMAL, "")]);
    }
}

#[test]
fn of_a_sender_that_waits_for_room() {
    let config = Arc::new(Config::default());
    let mut socket = server(Trickle::new(&[], 1));
    let sender = socket.sender(1);
    assert!(polled(1, sender.send("in the queue")).unwrap().is_ok());
    for polls in 1..10 {
        assert!(polled(polls, sender.send("dropped, so not sent")).is_none());
    }
    for _ in 0..100 {
        assert!(polled(1, socket.next()).is_none());
    }
    assert!(polled(1, sender.send("has room")).unwrap().is_ok());
    for _ in 0..100 {
        assert!(polled(1, socket.next()).is_none());
    }
    let got = messages(&mut client_end(&config), &socket.get_ref().output);
    assert_eq!(got, ["in the queue".into(), "has room".into()]);
}
