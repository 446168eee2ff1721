//! Large messages: the rest of a binary one is read to its place, a bounded amount at a time, and all others come as before.

mod common;

use std::io;
use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::{Trickle, client_end, soon};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, duplex};
use wirefan_protocol::Connection;
use wirefan_tokio::{
    Agreed, ClientRequest, Config, Decision, Event, Message, Role, State, WebSocketStream,
};

const MEBIBYTE: usize = 1024 * 1024;

/// Writes down how much room each read has that brings something.
struct Rooms {
    io: Trickle,
    rooms: Vec<usize>,
}

impl AsyncRead for Rooms {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        let poll = Pin::new(&mut self.io).poll_read(cx, buffer);
        if poll.is_ready() {
            self.rooms.push(room);
        }
        poll
    }
}

impl AsyncWrite for Rooms {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn config() -> Arc<Config> {
    let mut config = Config::default();
    config.max_message = 8 * MEBIBYTE;
    Arc::new(config)
}

/// A server's end that reads `bytes` in pieces, and then nothing more.
fn reader(bytes: &[u8], piece: usize) -> WebSocketStream<Rooms> {
    let io = Rooms {
        io: Trickle::new(bytes, piece),
        rooms: Vec::new(),
    };
    WebSocketStream::from_upgraded(io, Role::Server, config(), Agreed::default(), []).unwrap()
}

/// Bytes of which no two pieces look alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn characters(len: usize) -> String {
    "grün 茶 ".chars().cycle().take(len).collect()
}

fn owned(event: Event<'_>) -> Option<Message> {
    match event {
        Event::Text(text) => Some(text.into()),
        Event::Binary(data) => Some(data.into()),
        Event::Ping(data) => Some(Message::Ping(data.to_vec().into())),
        _ => None,
    }
}

/// The next `count` messages, read in one way or the other.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    count: usize,
    with_callback: bool,
) -> Vec<Message> {
    let mut got = Vec::new();
    while got.len() < count {
        if with_callback {
            let read = soon(socket.read_with(|event, _| got.extend(owned(event))));
            assert_eq!(read.await.unwrap(), State::Open);
        } else {
            got.push(soon(socket.next()).await.unwrap().unwrap());
        }
    }
    got
}

#[tokio::test]
async fn the_rest_of_a_large_binary_message_goes_to_its_place() {
    for with_callback in [false, true] {
        let data = noise(100_000);
        let bytes = common::wire(&mut client_end(&config()), &[data.clone().into()]);
        let header = bytes.len() - data.len();
        let mut socket = reader(&bytes, 50_000 + header);
        let got = read(&mut socket, 1, with_callback).await;
        assert!(got == [data.into()]);
        let rooms = &socket.get_ref().rooms;
        assert_eq!(
            rooms[1..],
            [50_000],
            "the place is what is missing, {rooms:?}"
        );
    }
}

#[tokio::test]
async fn behind_a_large_message_only_the_head_of_the_next_one_is_copied() {
    for with_callback in [false, true] {
        let data = noise(300_000);
        let sent = [data.clone(), data.clone(), data].map(Message::from);
        let bytes = common::wire(&mut client_end(&config()), &sent);
        let mut socket = reader(&bytes, 200_000);
        for message in &sent {
            let got = read(&mut socket, 1, with_callback).await;
            // It is dropped here, and its memory serves the next one.
            assert!(got == slice::from_ref(message));
        }
        let frame = bytes.len() / 3;
        let of_one = [4096, frame - 4096, frame - 4096 - 200_000];
        let rooms = &socket.get_ref().rooms;
        assert_eq!(
            rooms[1..],
            [&[frame - 200_000][..], &of_one, &of_one].concat()
        );
    }
}

#[tokio::test]
async fn what_is_read_at_once_is_bounded() {
    for with_callback in [false, true] {
        // The second one finds the memory of the first one, of all its length.
        let sent = [noise(3 * MEBIBYTE), noise(3 * MEBIBYTE)].map(Message::from);
        let bytes = common::wire(&mut client_end(&config()), &sent);
        let mut socket = reader(&bytes, usize::MAX);
        for message in &sent {
            let got = read(&mut socket, 1, with_callback).await;
            assert!(got == slice::from_ref(message));
        }
        let rooms = &socket.get_ref().rooms;
        let bound = MEBIBYTE + MEBIBYTE / 4;
        assert_eq!(rooms.iter().max(), Some(&bound), "{rooms:?}");
    }
}

/// A client's frames: a message in fragments with a ping between them, one of which ends where a read may end.
fn fragments(client: &mut Connection, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (first, rest) = data.split_at(40_000);
    let (second, third) = rest.split_at(70_000);
    client.send_binary_fragment(first, false, &mut out).unwrap();
    client.send_ping(b"between", &mut out).unwrap();
    client
        .send_binary_fragment(second, false, &mut out)
        .unwrap();
    client.send_binary_fragment(third, true, &mut out).unwrap();
    out
}

#[tokio::test]
async fn whatever_comes_and_however_it_is_cut() {
    let (data, text) = (noise(150_000), characters(60_000));
    for with_callback in [false, true] {
        for piece in [3_001, 16_384, 33_333, 40_014, 65_537, 1_000_000] {
            let mut client = client_end(&config());
            let mut bytes = fragments(&mut client, &data);
            let behind: [Message; 5] = [
                "small".into(),
                text.clone().into(),
                data.clone().into(),
                vec![7].into(),
                data[..20_000].into(),
            ];
            bytes.extend(common::wire(&mut client, &behind));
            let mut sent = vec![Message::Ping("between".into()), data.clone().into()];
            sent.extend(behind);
            let mut socket = reader(&bytes, piece);
            let got = read(&mut socket, sent.len(), with_callback).await;
            assert!(got == sent, "{piece}, {with_callback}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_in_the_midst_of_a_large_message_is_an_error() {
    for with_callback in [false, true] {
        let bytes = common::wire(&mut client_end(&config()), &[noise(100_000).into()]);
        let mut socket = reader(&bytes[..70_000], 30_000);
        socket.get_mut().io.ends = true;
        let error = if with_callback {
            loop {
                let read = soon(socket.read_with(|event, _| panic!("{event:?}")));
                match read.await {
                    Ok(state) => assert_eq!(state, State::Open),
                    Err(error) => break error,
                }
            }
        } else {
            soon(socket.next()).await.unwrap().unwrap_err()
        };
        let expected = wirefan_tokio::ProtocolError::EndOfStream;
        assert!(matches!(error, wirefan_tokio::Error::Protocol(e) if e == expected));
        assert!(soon(socket.next()).await.is_none());
    }
}

/// Both roles echo and are echoed to, through a pipe that holds less than a message; with compression where there is any.
#[tokio::test]
async fn large_messages_of_every_kind_there_and_back() {
    for with_callback in [false, true] {
        let (near, far) = duplex(50_000);
        let mut config = Config::default();
        if cfg!(feature = "deflate") {
            config.deflate = Some(wirefan_tokio::DeflateConfig::default());
        }
        let config = Arc::new(config);
        let request = ClientRequest::new("localhost", "/");
        let (server, client) = soon(async {
            tokio::join!(
                wirefan_tokio::accept_with(near, Arc::clone(&config), |_| Decision::accept()),
                wirefan_tokio::client(far, request, Arc::clone(&config)),
            )
        })
        .await;
        let (mut server, (mut client, _)) = (server.unwrap(), client.unwrap());
        assert_eq!(
            server.agreed().deflate().is_some(),
            cfg!(feature = "deflate")
        );
        let echo = tokio::spawn(async move {
            while let Some(message) = server.next().await {
                let message = message?;
                if !message.is_close() {
                    server.send(message).await?;
                }
            }
            Ok::<_, wirefan_tokio::Error>(())
        });
        let sent: [Message; 4] = [
            noise(400_000).into(),
            characters(200_000).into(),
            vec![0; 500_000].into(),
            "the end".into(),
        ];
        for message in sent {
            let (mut sink, mut stream) = client.split();
            let got = async {
                let got = stream.next().await.unwrap().unwrap();
                assert!(got == message, "{} bytes", got.as_bytes().len());
            };
            let (sending, ()) = soon(async { tokio::join!(sink.send(message.clone()), got) }).await;
            sending.unwrap();
            client = sink.reunite(stream).unwrap();
            if with_callback {
                let got = read_back(&mut client, &message).await;
                assert!(got == [message]);
            }
        }
        client
            .close(wirefan_tokio::CloseCode::NORMAL, "")
            .await
            .unwrap();
        while soon(client.next()).await.is_some() {}
        soon(echo).await.unwrap().unwrap();
    }
}

/// Sends a message and reads its echo with a callback: that also writes.
async fn read_back<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    message: &Message,
) -> Vec<Message> {
    socket.feed(message.clone()).await.unwrap();
    read(socket, 1, true).await
}
