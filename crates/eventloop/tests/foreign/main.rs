//! Our client with servers of others: 10,000 random messages go to Node's `ws` and to Python's `websockets` and come back
//! byte for byte, with compression and without. They are installed by the test itself; where Node or Python are missing it
//! says that it was skipped, and why.
#![cfg(feature = "client")]

#[path = "../../../server/tests/foreign/install.rs"]
#[allow(dead_code, reason = "nothing is run to its end here")]
mod install;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use install::{node, or_skip, python, script};
use wirefan_eventloop::client::OwnedMessage;
use wirefan_eventloop::client::blocking::connect_with;
use wirefan_eventloop::{CloseCause, Dial};
use wirefan_protocol::{CloseCode, Config, DeflateConfig};

const MESSAGES: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// xorshift64*: good enough for tests, and no dependency.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// Mostly short, now and then beyond every border that there is.
    fn message(&mut self) -> OwnedMessage {
        let len = match self.below(200) {
            0 => self.below(200_000),
            1..10 => self.below(20_000),
            10..40 => self.below(1000),
            _ => self.below(140),
        };
        if self.below(2) == 0 {
            let alphabet = ['a', 'b', ' ', 'ß', '茶', '\u{10ffff}', '\0'];
            // Something to compress, something that cuts characters everywhere.
            let word: String = (0..1 + self.below(30))
                .map(|_| alphabet[self.below(7)])
                .collect();
            let text: String = word.chars().cycle().take(len / 2).collect();
            text.into()
        } else {
            let noisy = self.below(2) == 0;
            let data: Vec<u8> = (0..len)
                .map(|i| if noisy { self.below(256) } else { i / 64 } as u8)
                .collect();
            data.into()
        }
    }
}

fn modes() -> [(Option<DeflateConfig>, &'static str); 3] {
    let mut takeover = DeflateConfig::default();
    takeover.takeover = true;
    [
        (None, "off"),
        (Some(DeflateConfig::default()), "on"),
        (Some(takeover), "on"),
    ]
}

/// A server in another process, which prints its port first.
fn start(mut command: Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a server");
    let mut port = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut port)
        .expect("its port");
    (child, format!("ws://127.0.0.1:{}/", port.trim()))
}

/// Sends random messages, and has each come back as it was.
fn converse(url: &str, deflate: Option<DeflateConfig>, seed: u64) {
    let mut config = Config::default();
    config.deflate = deflate;
    let dial = Dial::new(url).expect("a URL").config(config);
    let socket = connect_with(dial.protocol("echo").header("X-Own", "yes")).expect("a connection");
    thread::scope(|scope| {
        let sender = socket.clone();
        scope.spawn(move || {
            let mut random = Random(seed);
            for _ in 0..MESSAGES {
                sender.send(random.message()).expect("it is open");
            }
        });
        let mut random = Random(seed);
        for number in 0..MESSAGES {
            let message = socket.recv_timeout(PATIENCE).expect("it is open");
            let message = message.expect("nothing came");
            assert!(message == random.message(), "message {number}: {message:?}");
        }
    });
    let code = CloseCode::NORMAL;
    assert_eq!(socket.close(), CloseCause::WeClosed { code });
}

fn ends_well(mut child: Child) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("its status") {
            assert!(status.success(), "{status}");
            return;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the server does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ws_of_npm_gives_everything_back() {
    for (deflate, word) in modes() {
        let Some(mut node) = or_skip(node()) else {
            return;
        };
        node.arg(script("echo_server.cjs")).arg(word);
        let (child, url) = start(node);
        converse(&url, deflate, 42);
        ends_well(child);
    }
}

#[test]
fn websockets_of_pypi_gives_everything_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tokio/tests/foreign");
    for (deflate, word) in modes() {
        let Some(mut python) = or_skip(python()) else {
            return;
        };
        python
            .arg(folder.join("echo_random.py"))
            .args(["server", word]);
        let (child, url) = start(python);
        converse(&url, deflate, 43);
        ends_well(child);
    }
}
