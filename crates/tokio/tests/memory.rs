//! What an idle connection owns, and that in the steady state reading with a callback allocates nothing.

mod common;

use std::pin::pin;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use common::{client_end, server, wire};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use wirefan_tokio::{Event, Message, WebSocketStream};

/// Polls once, for streams that are ready.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Reads and answers once; false: there is nothing to read.
fn echo_what_came(socket: &mut WebSocketStream<DuplexStream>) -> bool {
    let read = socket.read_with(|event, replies| match event {
        Event::Text(text) => replies.text(text).unwrap(),
        Event::Binary(data) => replies.binary(data).unwrap(),
        _ => {}
    });
    now(read).is_some_and(|state| {
        state.unwrap();
        true
    })
}

// What is counted is this thread's alone: that of the test harness allocates when it likes.
#[test]
fn an_idle_connection_owns_no_buffer_and_an_echo_allocates_nothing() {
    let (io, mut peer) = duplex(256 * 1024);
    let mut socket = server(io);
    let weight = size_of_val(&socket) - size_of::<DuplexStream>();
    assert!(weight <= 256, "{weight} bytes beside the stream");

    let mut client = client_end(&Arc::default());
    let small: Vec<Message> = (0..32).map(|i| format!("message {i}").into()).collect();
    let large: Vec<Message> = vec![vec![1; 100_000].into(), "one more".into()];
    let mut answer = vec![0; 256 * 1024];
    // The rest of a message that comes in two pieces is read to its place.
    for (messages, pieces) in [(small, 1), (large.clone(), 1), (large, 2)] {
        let bytes = wire(&mut client, &messages);
        let pieces: Vec<&[u8]> = bytes.chunks(bytes.len().div_ceil(pieces)).collect();
        let mut echo = || {
            for piece in &pieces {
                now(peer.write_all(piece)).unwrap().unwrap();
                while echo_what_came(&mut socket) {}
            }
            now(peer.read(&mut answer)).unwrap().unwrap();
        };
        for _ in 0..5 {
            echo();
        }
        let echoes = measure(|| (0..1000).for_each(|_| echo()));
        assert_eq!(echoes.count_total, 0, "{echoes:?}");

        // Messages own their bytes, and when they are gone nothing is left.
        let left = measure(|| {
            for piece in &pieces {
                assert!(now(socket.next()).is_none());
                now(peer.write_all(piece)).unwrap().unwrap();
            }
            for message in &messages {
                assert!(now(socket.next()).unwrap().unwrap().unwrap() == *message);
            }
            assert!(now(socket.next()).is_none());
        })
        .bytes_current;
        // A spare of the thread at most.
        assert!(left <= 4096, "{left} bytes");
    }

    // The thread keeps the memory of a large message. Who keeps a shorter one does not keep all of that with it.
    let large = wire(&mut client, &[vec![1; 100_000].into()]);
    for message in [Message::from(vec![2; 30_000]), "x".repeat(30_000).into()] {
        for piece in large.chunks(60_000) {
            now(peer.write_all(piece)).unwrap().unwrap();
            while echo_what_came(&mut socket) {}
        }
        now(peer.read(&mut answer)).unwrap().unwrap();
        let bytes = wire(&mut client, slice::from_ref(&message));
        let copied = measure(|| {
            for piece in bytes.chunks(20_000) {
                assert!(now(socket.next()).is_none());
                now(peer.write_all(piece)).unwrap().unwrap();
            }
            let got = now(socket.next()).unwrap().unwrap().unwrap();
            assert!(got == message);
        })
        .bytes_total;
        assert!((30_000..40_000).contains(&copied), "{copied} bytes");
    }

    // When a large message is dropped, the thread has its memory for the next one.
    for round in 0..100 {
        let expected = vec![1; 100_000].into();
        let allocated = measure(|| {
            for piece in large.chunks(60_000) {
                assert!(now(socket.next()).is_none());
                now(peer.write_all(piece)).unwrap().unwrap();
            }
            let got = now(socket.next()).unwrap().unwrap().unwrap();
            assert!(got == expected);
        })
        .bytes_total;
        assert!(round < 3 || allocated < 1000, "{allocated} bytes");
    }
}
