//! Who writes when: answers without a writer, senders without a reader's help, two tasks that wait for one socket.

mod common;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::{client_end, messages, server, soon, wire};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use wirefan_tokio::{
    Agreed, CloseCode, CloseFrame, Config, Error, Event, Message, ProtocolError, QueueError, Role,
    SendError, State, WebSocketStream,
};

fn config() -> Arc<Config> {
    Arc::default()
}

#[tokio::test]
async fn a_pong_leaves_though_the_task_only_reads_and_then_stays_away() {
    let (io, mut peer) = duplex(1024);
    let mut client = client_end(&config());
    let sent = wire(
        &mut client,
        &[Message::Ping("are you there".into()), "text".into()],
    );
    peer.write_all(&sent).await.unwrap();
    let mut socket = server(io);
    let message = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(message, Message::Ping("are you there".into()));
    // Nobody polls the socket any more.
    let mut answer = [0; 15];
    soon(peer.read_exact(&mut answer)).await.unwrap();
    assert_eq!(
        messages(&mut client, &answer),
        [Message::Pong("are you there".into())]
    );
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), "text".into());
}

#[tokio::test]
async fn a_sender_is_served_while_the_reader_waits() {
    let (io, mut peer) = duplex(1024);
    let mut socket = server(io);
    let (sender, other) = (socket.sender(2), socket.sender(100));
    let reading = tokio::spawn(async move { socket.next().await });
    let mut client = client_end(&config());
    for i in 0..100 {
        let sender = if i % 2 == 0 { &sender } else { &other };
        soon(sender.send(format!("{i:03}"))).await.unwrap();
        let mut frame = [0; 5];
        soon(peer.read_exact(&mut frame)).await.unwrap();
        assert_eq!(messages(&mut client, &frame), [format!("{i:03}").into()]);
    }
    assert!(!sender.is_closed());
    soon(sender.close(CloseCode::GOING_AWAY, "bye"))
        .await
        .unwrap();
    let mut frame = [0; 7];
    soon(peer.read_exact(&mut frame)).await.unwrap();
    let close = Message::Close(Some(CloseFrame {
        code: CloseCode::GOING_AWAY,
        reason: "bye".into(),
    }));
    assert_eq!(messages(&mut client, &frame), [close]);
    soon(other.closed()).await;
    assert!(matches!(other.try_send("late"), Err(QueueError::Closed)));
    assert!(matches!(other.send("late").await, Err(QueueError::Closed)));
    drop(peer);
    let last = soon(reading).await.unwrap();
    assert!(
        matches!(last, Some(Err(Error::Protocol(ProtocolError::EndOfStream)))),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_sender_says_what_is_wrong_before_it_is_too_late() {
    let (io, _peer) = duplex(1024);
    let mut socket = server(io);
    let sender = socket.sender(1);
    let invalid = |result| matches!(result, Err(QueueError::Invalid(_)));
    assert!(invalid(sender.try_send(Message::Ping(vec![0; 126].into()))));
    assert!(invalid(sender.close(CloseCode::ABNORMAL, "").await));
    assert!(invalid(
        sender.close(CloseCode::NORMAL, "x".repeat(124)).await
    ));
    sender.try_send("fits").unwrap();
    let full = sender.try_send("does not");
    assert!(matches!(full, Err(QueueError::Full(message)) if message == "does not".into()));
    drop(socket);
    assert!(sender.is_closed());
}

#[tokio::test]
async fn an_error_of_the_caller_is_an_error_and_no_end() {
    let (io, mut peer) = duplex(1024);
    let mut socket = server(io);
    let error = socket.send(Message::Ping(vec![0; 126].into())).await;
    assert!(matches!(error, Err(Error::Send(SendError::ControlTooLong))));
    let error = socket.close(CloseCode(999), "").await;
    assert!(matches!(
        error,
        Err(Error::Send(SendError::InvalidCloseCode))
    ));
    socket.send("still open".into()).await.unwrap();
    socket.send(Message::Close(None)).await.unwrap();
    // Once more does no harm, more text does.
    socket.close(CloseCode::NORMAL, "").await.unwrap();
    let error = socket.send("late".into()).await;
    assert!(matches!(error, Err(Error::Send(SendError::AfterClose))));
    let mut frames = [0; 14];
    peer.read_exact(&mut frames).await.unwrap();
    let got = messages(&mut client_end(&config()), &frames);
    assert_eq!(got, ["still open".into(), Message::Close(None)]);
}

#[tokio::test]
async fn a_violation_is_told_when_its_close_has_left() {
    for in_reads in [false, true] {
        let (io, mut peer) = duplex(1024);
        let mut socket = server(io);
        // No mask; and more behind it, which must not stand in the way.
        peer.write_all(b"\x81\x05Hello and more").await.unwrap();
        let error = if in_reads {
            soon(socket.read_with(|event, _| panic!("{event:?}")))
                .await
                .unwrap_err()
        } else {
            soon(socket.next()).await.unwrap().unwrap_err()
        };
        assert!(
            matches!(error, Error::Protocol(ProtocolError::MaskMissing)),
            "{error}"
        );
        drop(socket);
        let mut answer = Vec::new();
        soon(peer.read_to_end(&mut answer)).await.unwrap();
        let got = messages(&mut client_end(&config()), &answer);
        let [Message::Close(Some(frame))] = &got[..] else {
            panic!("{got:?}")
        };
        assert_eq!(frame.code, CloseCode::PROTOCOL_ERROR);
    }
}

#[tokio::test]
async fn the_end_comes_once_and_stays() {
    let (io, peer) = duplex(1024);
    let mut socket = server(io);
    drop(peer);
    let last = soon(socket.next()).await;
    assert!(
        matches!(last, Some(Err(Error::Protocol(ProtocolError::EndOfStream)))),
        "{last:?}"
    );
    for _ in 0..3 {
        assert!(soon(socket.next()).await.is_none());
        assert_eq!(
            soon(socket.read_with(|_, _| ())).await.unwrap(),
            State::Closed
        );
    }
    assert!(matches!(
        socket.send("late".into()).await,
        Err(Error::Send(SendError::AfterClose))
    ));
}

/// A stream whose writes wait until it is opened, and which remembers one waker, as real ones do.
#[derive(Default)]
struct Gate {
    is_open: bool,
    waiting: Option<Waker>,
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_open {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream that can only be read.
struct Deaf(Vec<u8>);

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(&std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_a_peer_said_is_heard_though_it_does_not_listen() {
    let mut client = client_end(&config());
    let close = Message::Close(Some(CloseFrame {
        code: CloseCode::GOING_AWAY,
        reason: "bye".into(),
    }));
    let said = [Message::Ping("one".into()), "text".into(), close];
    for len in [2, 3] {
        let mut socket = server(Deaf(wire(&mut client_end(&config()), &said[..len])));
        for message in &said[..len] {
            assert_eq!(soon(socket.next()).await.unwrap().unwrap(), *message);
        }
        let end = soon(socket.next()).await;
        if len == 2 {
            let Some(Err(Error::Io(error))) = end else {
                panic!("{end:?}")
            };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        } else {
            assert!(end.is_none());
        }
        assert!(soon(socket.next()).await.is_none());
        assert!(socket.send("late".into()).await.is_err());
    }
    // Answers that lead nowhere are not hoarded.
    let pings = vec![Message::Ping(vec![0; 125].into()); 3000];
    let mut socket = server(Deaf(wire(&mut client, &pings)));
    for _ in &pings {
        assert!(soon(socket.next()).await.unwrap().unwrap().is_ping());
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_that_writes_is_woken_though_another_one_has_tried_since() {
    for reader_first in [false, true] {
        let mut socket = server(Gate::default());
        let (reader, writer) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let wakers: [Waker; 2] = [Arc::clone(&reader).into(), Arc::clone(&writer).into()];
        let [mut read, mut write] = wakers.each_ref().map(Context::from_waker);
        socket.start_send_unpin("waits".into()).unwrap();
        for turn in 0..4 {
            if (turn % 2 == 0) == reader_first {
                assert!(socket.poll_next_unpin(&mut read).is_pending());
            } else {
                assert!(socket.poll_flush_unpin(&mut write).is_pending());
            }
        }
        let gate = socket.get_mut();
        gate.is_open = true;
        gate.waiting.take().unwrap().wake();
        let woken = [&reader, &writer].map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 1]);
        // And whoever goes on tells the other one, too.
        assert!(socket.poll_next_unpin(&mut read).is_pending());
        assert_eq!(writer.0.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_in_two_tasks_do_not_lose_each_other() {
    const MESSAGES: u32 = 2000;
    // So small that everybody waits for everybody.
    let (one, other) = duplex(16);
    let all_sent = Arc::new(Barrier::new(2));
    let mut tasks = JoinSet::new();
    for (io, role) in [(one, Role::Server), (other, Role::Client)] {
        let socket = WebSocketStream::from_upgraded(io, role, config(), Agreed::default(), []);
        let (mut sink, mut stream) = socket.unwrap().split();
        let all_sent = Arc::clone(&all_sent);
        tasks.spawn(async move {
            for i in 0..MESSAGES {
                sink.send(Message::Ping(i.to_be_bytes().to_vec().into()))
                    .await
                    .unwrap();
                sink.send(format!("message {i}").into()).await.unwrap();
            }
            all_sent.wait().await;
            sink.close().await.unwrap();
        });
        tasks.spawn(async move {
            let (mut pings, mut texts) = (0, 0);
            while let Some(message) = stream.next().await {
                match message.unwrap() {
                    Message::Ping(_) => pings += 1,
                    Message::Text(text) => {
                        assert_eq!(text, format!("message {texts}"));
                        texts += 1;
                    }
                    _ => {}
                }
            }
            assert_eq!((pings, texts), (MESSAGES, MESSAGES));
        });
    }
    soon(tasks.join_all()).await;
}

/// Counts writes.
struct Counting<S> {
    io: S,
    writes: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn replies_to_one_read_leave_with_one_write() {
    for in_reads in [false, true] {
        let (io, mut peer) = duplex(64 * 1024);
        let mut socket = server(Counting { io, writes: 0 });
        let mut client = client_end(&config());
        let sent: Vec<Message> = (0..32).map(|i| format!("message {i}").into()).collect();
        peer.write_all(&wire(&mut client, &sent)).await.unwrap();
        if in_reads {
            let state = soon(socket.read_with(|event, replies| {
                let Event::Text(text) = event else {
                    panic!("{event:?}")
                };
                replies.text(text).unwrap();
            }));
            assert_eq!(state.await.unwrap(), State::Open);
        } else {
            for _ in &sent {
                let message = soon(socket.next()).await.unwrap().unwrap();
                socket.feed(message).await.unwrap();
            }
            let waiting = tokio::time::timeout(std::time::Duration::ZERO, socket.next());
            assert!(waiting.await.is_err());
        }
        assert_eq!(socket.get_ref().writes, 1);
        let mut answer = vec![
            0;
            sent.iter()
                .map(|message| message.as_bytes().len() + 2)
                .sum()
        ];
        soon(peer.read_exact(&mut answer)).await.unwrap();
        assert_eq!(messages(&mut client, &answer), sent);
    }
}

#[tokio::test]
async fn large_payloads_are_written_from_where_they_lie_and_in_order() {
    for in_reads in [false, true] {
        for room in [1000, 10_000, 1024 * 1024] {
            let (io, peer) = duplex(room);
            let (mut reader, mut writer) = tokio::io::split(peer);
            let mut socket = server(Counting { io, writes: 0 });
            let mut client = client_end(&config());
            let lens = [10, 20_000, 0, 16_384, 300_000, 5, 16_383, 100_000, 7];
            let sent: Vec<Message> = lens
                .iter()
                .map(|&len| vec![len as u8; len].into())
                .collect();
            let bytes = wire(&mut client, &sent);
            let echo = async {
                let mut seen = 0;
                while seen < sent.len() {
                    if in_reads {
                        let read = socket.read_with(|event, replies| {
                            let Event::Binary(data) = event else {
                                panic!("{event:?}")
                            };
                            replies.binary(data).unwrap();
                            seen += 1;
                        });
                        read.await.unwrap();
                    } else {
                        let message = socket.next().await.unwrap().unwrap();
                        socket.feed(message).await.unwrap();
                        seen += 1;
                    }
                }
                SinkExt::<Message>::flush(&mut socket).await.unwrap();
            };
            let overhead = lens.iter().map(|&len| match len {
                0..126 => 2,
                126..65536 => 4,
                _ => 10,
            });
            let mut answer = vec![0; lens.iter().sum::<usize>() + overhead.sum::<usize>()];
            let (_, write, read) = soon(async {
                tokio::join!(
                    echo,
                    writer.write_all(&bytes),
                    reader.read_exact(&mut answer)
                )
            })
            .await;
            write.unwrap();
            read.unwrap();
            assert!(messages(&mut client, &answer) == sent, "{room}");
        }
    }
}
