//! Links against servers that come, go and refuse: they come back, or stay away, and every message is accounted for.
#![cfg(feature = "client")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use common::caller::to;
use common::server::{App, TestServer};
use common::{PATIENCE, until};
use wirefan_eventloop::client::{
    Client, Link, LinkEvent, Links, OwnedMessage, Reconnect, WhenFull,
};
use wirefan_eventloop::{CloseCause, Decision, Dial, DialError, Server, Timeouts};
use wirefan_protocol::handshake::{Reply, accept_key};
use wirefan_protocol::{CloseCode, Overdue, SendError};

/// An event, kept.
#[derive(Debug)]
enum Seen {
    Connecting(u32),
    Open,
    Text(String),
    Pong(Vec<u8>),
    Lost(CloseCause, Duration),
    GaveUp(CloseCause),
}

struct Watched {
    link: Link,
    seen: Receiver<Seen>,
}

/// One that is back soon.
fn soon() -> Reconnect {
    let mut reconnect = Reconnect::default();
    reconnect.backoff.first = Duration::from_millis(20);
    reconnect.backoff.cap = Duration::from_millis(50);
    reconnect
}

fn watch(open: impl FnOnce(Box<dyn FnMut(&Link, LinkEvent<'_>) + Send>) -> Link) -> Watched {
    let (tell, seen) = mpsc::channel();
    let link = open(Box::new(move |_, event| {
        let _ = tell.send(match event {
            LinkEvent::Connecting { failures } => Seen::Connecting(failures),
            LinkEvent::Open { response, first } => {
                assert_eq!(response.status(), 101);
                first.push("first".into());
                Seen::Open
            }
            LinkEvent::Message(message) => {
                let message = OwnedMessage::from(message);
                Seen::Text(message.as_text().expect("text").into())
            }
            LinkEvent::Pong(payload) => Seen::Pong(payload.into()),
            LinkEvent::Lost { cause, retry_in } => Seen::Lost(cause.clone(), retry_in),
            LinkEvent::GaveUp { cause } => Seen::GaveUp(cause.clone()),
            other => panic!("{other:?}"),
        });
    }));
    Watched { link, seen }
}

fn open(dial: Dial, reconnect: Reconnect) -> Watched {
    watch(|on_event| Link::open(dial, reconnect, on_event).expect("a loop"))
}

impl Watched {
    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("nothing happens")
    }

    fn connecting(&self) -> u32 {
        match self.next() {
            Seen::Connecting(failures) => failures,
            other => panic!("{other:?}"),
        }
    }

    fn opens(&self) {
        self.connecting();
        assert!(matches!(self.next(), Seen::Open));
    }

    fn text(&self) -> String {
        match self.next() {
            Seen::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn lost(&self) -> (CloseCause, Duration) {
        match self.next() {
            Seen::Lost(cause, retry_in) => (cause, retry_in),
            other => panic!("{other:?}"),
        }
    }

    fn gave_up(&self) -> CloseCause {
        match self.next() {
            Seen::GaveUp(cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    /// Until it has given up, with what has been lost meanwhile.
    fn until_gave_up(&self) -> (usize, CloseCause) {
        let mut lost = 0;
        loop {
            match self.next() {
                Seen::GaveUp(cause) => return (lost, cause),
                Seen::Lost(..) => lost += 1,
                _ => {}
            }
        }
    }
}

/// An address at which nobody listens, until somebody does.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Answers each request as the number of its try says.
fn server(answer: impl Fn(usize) -> Decision<String> + Send + Sync + 'static) -> TestServer {
    let tries = AtomicUsize::new(0);
    let app = App::echo().on_request(move |_, _| answer(tries.fetch_add(1, Ordering::SeqCst)));
    TestServer::start(app, |builder| builder)
}

#[test]
fn a_link_comes_back_and_begins_again_with_its_first_message() {
    let app = App::echo().on_message(
        |conn, message| match OwnedMessage::from(message).as_text() {
            Some("go") => conn.close(CloseCode(1012), "restart").expect("a Close"),
            _ => drop(conn.send(message)),
        },
    );
    let server = TestServer::start(app, |builder| builder);
    let watched = open(to(server.addr, "/"), soon());
    for _ in 0..3 {
        watched.opens();
        assert_eq!(watched.text(), "first");
        watched.link.send("and more").expect("room");
        assert_eq!(watched.text(), "and more");
        watched.link.send("go").expect("room");
        let (cause, retry_in) = watched.lost();
        let (code, reason) = (Some(CloseCode(1012)), "restart".into());
        assert_eq!(cause, CloseCause::PeerClosed { code, reason });
        assert!(retry_in <= Duration::from_millis(50), "{retry_in:?}");
    }
    watched
        .link
        .close(CloseCode(4000), "enough")
        .expect("a Close");
    let (_, cause) = watched.until_gave_up();
    assert!(matches!(cause, CloseCause::WeClosed { .. }), "{cause}");
    assert_eq!(watched.link.wait(), cause);
    let late = watched.link.send("late").expect_err("it has ended");
    assert!(late.ended && late.message.as_text() == Some("late"));
    let counts = watched.link.counts();
    assert_eq!((counts.sent, counts.waiting, counts.refused), (6, 0, 1));
}

#[test]
fn what_is_sent_while_there_is_no_server_waits_for_it() {
    let addr = nobody();
    let watched = open(to(addr, "/"), soon());
    for number in 0..5 {
        watched.link.send(number.to_string()).expect("room");
    }
    assert_eq!(watched.connecting(), 0);
    let (cause, _) = watched.lost();
    assert_eq!(cause.name(), "dial_connect");
    assert_eq!(watched.connecting(), 1);
    assert_eq!(watched.link.counts().waiting, 5);
    assert!(!watched.link.is_open());
    // Somebody else may have taken the port meanwhile: then this test has nothing to say.
    let (tell, told) = mpsc::channel();
    let Ok(listener) = Server::builder().workers(1).listen(addr) else {
        return;
    };
    let server = listener.start(move |_| Tell(tell.clone()));
    let Ok(server) = server else {
        return;
    };
    for expected in ["first", "0", "1", "2", "3", "4"] {
        assert_eq!(told.recv_timeout(PATIENCE).expect("a message"), expected);
    }
    let counts = watched.link.counts();
    assert_eq!(
        (counts.sent, counts.waiting, counts.dropped, counts.refused),
        (5, 0, 0, 0)
    );
    watched.link.close(CloseCode::NORMAL, "").expect("a Close");
    watched.link.wait();
    server.shutdown(PATIENCE).expect("an orderly end");
}

/// A server that tells its messages.
struct Tell(mpsc::Sender<String>);

impl wirefan_eventloop::Handler for Tell {
    type Peer = ();
    type Note = ();

    fn request(
        &mut self,
        _: &wirefan_protocol::handshake::Request<'_>,
        _: wirefan_eventloop::Caller,
        _: &mut wirefan_eventloop::Ctx<'_, ()>,
    ) -> Decision<()> {
        Decision::accept(())
    }

    fn message(
        &mut self,
        _: &mut wirefan_eventloop::Conn<'_, ()>,
        message: wirefan_eventloop::Message<'_>,
    ) {
        let message = OwnedMessage::from(message);
        let _ = self.0.send(message.as_text().expect("text").into());
    }
}

#[test]
fn a_queue_that_is_full_does_as_it_was_told() {
    for (when_full, refused, dropped) in [
        (WhenFull::Refuse, 7, 0),
        (WhenFull::DropNew, 0, 7),
        (WhenFull::DropOldest, 0, 7),
    ] {
        let mut reconnect = soon();
        reconnect.offline.max_messages = 3;
        reconnect.offline.when_full = when_full;
        let watched = open(
            to(nobody(), "/").after(Duration::from_secs(3600)),
            reconnect,
        );
        let refusals = (0..10)
            .filter(|number| watched.link.send(number.to_string()).is_err())
            .count();
        assert_eq!(refusals, refused);
        let counts = watched.link.counts();
        let counts = (counts.sent, counts.waiting, counts.dropped, counts.refused);
        assert_eq!(counts, (0, 3, dropped, refused as u64), "{when_full:?}");
        watched.link.close(CloseCode::NORMAL, "").expect("a Close");
        watched.link.wait();
        assert_eq!(watched.link.counts().dropped, dropped + 3);
    }
}

#[test]
fn who_is_told_to_stay_away_does_not_come_back() {
    for status in [401, 403, 404] {
        let server = server(move |_| Decision::Answer(Reply::new(status)));
        let watched = open(to(server.addr, "/"), soon());
        watched.connecting();
        match watched.gave_up() {
            CloseCause::Dial(DialError::Refused(response)) => {
                assert_eq!(response.status(), status);
            }
            other => panic!("{other}"),
        }
    }
    for code in [CloseCode::POLICY, CloseCode(4401)] {
        let app = App::echo().on_open(move |conn| conn.close(code, "").expect("a Close"));
        let server = TestServer::start(app, |builder| builder);
        let watched = open(to(server.addr, "/"), soon());
        watched.opens();
        let cause = watched.gave_up();
        assert!(matches!(cause, CloseCause::PeerClosed { code: Some(it), .. } if it == code));
        assert_eq!(watched.link.wait(), cause);
    }
}

#[test]
fn a_server_that_is_busy_is_sought_again_when_it_says() {
    let server = server(|tries| match tries {
        0 => Decision::Answer(Reply::new(503).header("Retry-After", "1")),
        _ => Decision::accept("/".into()),
    });
    let start = Instant::now();
    let watched = open(to(server.addr, "/"), soon());
    watched.connecting();
    let (cause, retry_in) = watched.lost();
    assert_eq!(cause.name(), "dial_refused");
    assert!(retry_in >= Duration::from_secs(1), "{retry_in:?}");
    watched.opens();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn each_try_has_a_fresh_token() {
    let app = App::echo().on_request(|request, _| match request.header("authorization") {
        Some(b"Bearer 3") => Decision::accept("/".into()),
        _ => Decision::Answer(Reply::new(503)),
    });
    let server = TestServer::start(app, |builder| builder);
    let tries = AtomicUsize::new(0);
    let dial = to(server.addr, "/").prepare(move |dial| {
        let token = tries.fetch_add(1, Ordering::SeqCst);
        Ok(dial.header("Authorization", &format!("Bearer {token}")))
    });
    let watched = open(dial, soon());
    for failures in 0..3 {
        assert_eq!(watched.connecting(), failures);
        watched.lost();
    }
    watched.opens();
}

#[test]
fn it_is_given_up_after_so_many_failures() {
    let mut reconnect = soon();
    reconnect.backoff.max_failures = Some(3);
    let watched = open(to(nobody(), "/"), reconnect);
    let (lost, cause) = watched.until_gave_up();
    assert_eq!((lost, cause.name()), (3, "dial_connect"));
}

#[test]
fn a_verdict_of_ones_own_counts() {
    let mut reconnect = soon();
    reconnect.verdict = |_| wirefan_eventloop::client::Verdict::StayAway;
    let watched = open(to(nobody(), "/"), reconnect);
    watched.connecting();
    assert_eq!(watched.gave_up().name(), "dial_connect");
}

#[test]
fn a_ping_of_ones_own_is_answered_with_its_payload() {
    let server = server(|_| Decision::accept(String::new()));
    let watched = open(to(server.addr, "/"), soon());
    watched.opens();
    // The link is open for its own thread first, and then for others.
    assert_eq!(watched.text(), "first");
    let too_long = watched.link.ping(&[0; 126]);
    assert_eq!(too_long, Err(SendError::ControlTooLong));
    for payload in [&b""[..], &[7; 125]] {
        assert_eq!(watched.link.ping(payload), Ok(()));
        match watched.next() {
            Seen::Pong(answer) => assert_eq!(answer, payload),
            other => panic!("{other:?}"),
        }
    }
    watched.link.close(CloseCode::NORMAL, "").expect("a close");
    watched.gave_up();
    assert_eq!(watched.link.ping(b""), Err(SendError::AfterClose));
}

/// Answers a request for a WebSocket.
fn open_by_hand(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head");
    let key = head.split_once("Sec-WebSocket-Key: ").expect("a key").1;
    let key = accept_key(&key.as_bytes()[..24]);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        str::from_utf8(&key).expect("text")
    );
    let _ = stream.write_all(answer.as_bytes());
}

/// Its server opens the connection and says nothing any more, not even a pong.
#[test]
fn a_server_that_has_died_is_noticed_by_its_silence() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            open_by_hand(&mut stream);
            silent.push(stream);
        }
    });
    let mut timeouts = Timeouts::default();
    timeouts.ping = Some(Duration::from_millis(100));
    timeouts.pong = Duration::from_millis(100);
    let links = Links::start(Client::builder().timeouts(timeouts)).expect("a loop");
    let watched = watch(|on_event| links.open(to(addr, "/"), soon(), on_event));
    for _ in 0..2 {
        watched.opens();
        assert_eq!(watched.lost().0, CloseCause::Timeout(Overdue::Pong));
    }
    links
        .shutdown(Duration::from_secs(1))
        .expect("an orderly end");
    let (_, cause) = watched.until_gave_up();
    assert_eq!(cause, CloseCause::Shutdown);
}

/// Its server has closed and does not end the connection: when the loop does, there is no next try to be told of.
#[test]
fn a_loop_that_shuts_down_while_a_link_is_being_closed_gives_it_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let mut timeouts = Timeouts::default();
    timeouts.close = Duration::from_secs(3600);
    let links = Links::start(Client::builder().timeouts(timeouts)).expect("a loop");
    let watched = watch(|on_event| links.open(to(addr, "/"), soon(), on_event));
    let (mut stream, _) = listener.accept().expect("a connection");
    open_by_hand(&mut stream);
    stream.write_all(&[0x88, 2, 3, 0xe9]).expect("a Close");
    // Its first message, and the Close in return.
    let mut answer = [0; (2 + 4 + 5) + (2 + 4 + 2)];
    stream.read_exact(&mut answer).expect("an answer");
    watched.opens();
    links
        .shutdown(Duration::from_millis(100))
        .expect("an orderly end");
    let (lost, cause) = watched.until_gave_up();
    let (code, reason) = (Some(CloseCode::GOING_AWAY), "".into());
    assert_eq!(
        (lost, &cause),
        (0, &CloseCause::PeerClosed { code, reason })
    );
    assert_eq!(watched.link.wait(), cause);
}

#[test]
fn a_callback_that_panics_ends_every_link_of_its_loop() {
    let server = server(|_| Decision::accept(String::new()));
    let links = Links::start(Client::builder()).expect("a loop");
    let opened = watch(|on_event| links.open(to(server.addr, "/"), soon(), on_event));
    opened.opens();
    assert_eq!(opened.text(), "first");
    let later = to(server.addr, "/").after(Duration::from_secs(3600));
    let waits = watch(|on_event| links.open(later, soon(), on_event));
    waits.link.send("never").expect("room");
    let panics = links.open(to(server.addr, "/"), soon(), |_, _| panic!("as it is to"));
    // Some of these are opened before the loop has ended, and some afterwards.
    let late: Vec<Watched> = (0..100)
        .map(|_| watch(|on_event| links.open(to(server.addr, "/"), soon(), on_event)))
        .collect();
    let (tell, ended) = mpsc::channel();
    let all = [&opened.link, &waits.link, &panics];
    for link in all.into_iter().chain(late.iter().map(|late| &late.link)) {
        let (link, tell) = (link.clone(), tell.clone());
        thread::spawn(move || tell.send(link.wait()));
    }
    for _ in 0..103 {
        let cause = ended.recv_timeout(PATIENCE).expect("a link goes on");
        assert_eq!(cause, CloseCause::Shutdown);
    }
    assert!(!opened.link.is_open());
    assert_eq!(opened.link.ping(b""), Err(SendError::AfterClose));
    assert!(opened.link.close(CloseCode::NORMAL, "").is_ok());
    let refused = opened.link.send("too late");
    assert!(refused.is_err_and(|full| full.ended));
    let counts = waits.link.counts();
    assert_eq!((counts.waiting, counts.dropped), (0, 1));
    // What a link had to call is gone too.
    until("the callback is dropped", || {
        matches!(waits.seen.try_recv(), Err(TryRecvError::Disconnected))
    });
    assert!(links.shutdown(PATIENCE).is_err());
}

/// The last event of all comes when the link has ended already.
#[test]
fn a_callback_that_panics_when_it_is_given_up_keeps_nobody_waiting() {
    let links = Links::start(Client::builder()).expect("a loop");
    let (tell, ended) = mpsc::channel();
    let later = to(nobody(), "/").after(Duration::from_secs(3600));
    let link = links.open(later, soon(), |_, event| {
        assert!(!matches!(event, LinkEvent::GaveUp { .. }), "as it is to");
    });
    let (waits, (begin, begun)) = (link.clone(), mpsc::channel());
    thread::spawn(move || {
        let _ = begin.send(());
        tell.send(waits.wait())
    });
    begun.recv_timeout(PATIENCE).expect("a thread");
    link.close(CloseCode::NORMAL, "").expect("a Close");
    let cause = ended.recv_timeout(PATIENCE).expect("the link goes on");
    assert!(matches!(cause, CloseCause::WeClosed { .. }), "{cause}");
}

/// The queue stands in for the backlog, too: a server that does not read is not sent more than it should be.
#[test]
fn a_server_that_does_not_read_fills_the_queue_and_not_the_memory() {
    let reads = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&reads);
    let app = App::echo()
        .on_open(|conn| {
            conn.pause_reading();
            conn.set_timer(Duration::from_millis(20));
        })
        .on_timer(move |conn| match may.load(Ordering::SeqCst) {
            true => conn.resume_reading(),
            false => conn.set_timer(Duration::from_millis(20)),
        })
        .on_message(|_, _| {});
    let server = TestServer::start(app, |builder| builder);
    let mut reconnect = soon();
    reconnect.offline.max_messages = 10;
    let watched = open(to(server.addr, "/"), reconnect);
    watched.opens();
    let mut sent = 0;
    until("the queue is full", || {
        let result = watched.link.send(vec![0; 64 * 1024]);
        sent += u64::from(result.is_ok());
        assert!(sent < 1000, "all of it was taken");
        let stuck = watched.link.counts().waiting == 10;
        // What the loop is about to take makes room.
        stuck && {
            thread::sleep(Duration::from_millis(50));
            watched.link.counts().waiting == 10
        }
    });
    let counts = watched.link.counts();
    assert_eq!(counts.sent + counts.waiting, sent);
    // However often it is asked now, the loop takes no more.
    for _ in 0..100 {
        let full = watched
            .link
            .send(vec![0; 64 * 1024])
            .expect_err("it is full");
        assert!(!full.ended);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(watched.link.counts().sent, counts.sent);
    // The limit of the backlog was not reached: when the server reads, all of it goes over this connection.
    reads.store(true, Ordering::SeqCst);
    until("all has gone", || watched.link.counts().waiting == 0);
    watched.link.close(CloseCode::NORMAL, "").expect("a Close");
    assert!(matches!(
        watched.gave_up(),
        CloseCause::WeClosed {
            code: CloseCode::NORMAL
        }
    ));
}
