//! 10,000 random messages with Python's `websockets` at the other end, byte for byte, in both roles, through hyper too, with
//! compression and without. It is installed by the test itself; where Python is missing the test says that it was skipped, and why.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../examples/hyper_upgrade.rs"]
#[allow(dead_code, reason = "an example has a main")]
mod hyper_upgrade;
#[path = "../../../server/tests/foreign/install.rs"]
#[allow(dead_code, reason = "only Python is wanted here")]
mod install;
#[path = "../common/random.rs"]
mod random;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use common::{PATIENCE, soon};
use install::{or_skip, python, script, succeeds};
use random::{converse, echo};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wirefan_tokio::{ClientRequest, Config, Decision, DeflateConfig, accept_with, client};

fn modes() -> [(Option<DeflateConfig>, &'static str); 3] {
    let mut takeover = DeflateConfig::default();
    takeover.takeover = true;
    [
        (None, "off"),
        (Some(DeflateConfig::default()), "on"),
        (Some(takeover), "on"),
    ]
}

fn config(deflate: Option<DeflateConfig>) -> Arc<Config> {
    let mut config = Config::default();
    config.deflate = deflate;
    Arc::new(config)
}

#[tokio::test]
async fn websockets_of_pypi_as_a_client_gets_everything_back() {
    if or_skip(python()).is_none() {
        return;
    }
    for ((deflate, word), in_reads) in modes().into_iter().zip([false, true, false]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let config = config(deflate);
        let serving = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let socket = accept_with(socket, config, |_| Decision::accept())
                .await
                .unwrap();
            echo(socket, in_reads).await.unwrap();
        });
        converses(url, word).await;
        soon(serving).await.unwrap();
    }
}

#[tokio::test]
async fn websockets_of_pypi_gets_everything_back_through_hyper() {
    if or_skip(python()).is_none() {
        return;
    }
    for (deflate, word) in modes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let config = config(deflate);
        let serving = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            hyper_upgrade::serve(socket, config).await.unwrap();
        });
        converses(url, word).await;
        soon(serving).await.unwrap();
    }
}

/// Has Python send its messages there, and wants each of them back.
async fn converses(url: String, compression: &'static str) {
    let conversation = move || {
        let mut python = python().unwrap();
        python
            .arg(script("echo_random.py"))
            .args(["client", &url, compression]);
        succeeds(python);
    };
    tokio::task::spawn_blocking(conversation).await.unwrap();
}

#[tokio::test]
async fn websockets_of_pypi_as_a_server_gives_everything_back() {
    if or_skip(python()).is_none() {
        return;
    }
    for (deflate, word) in modes() {
        let mut python = python().unwrap();
        python
            .arg(script("echo_random.py"))
            .args(["server", word])
            .stdout(Stdio::piped());
        let mut python = python.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(python.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let address = format!("127.0.0.1:{}", port.trim());
        let stream = TcpStream::connect(&address).await.unwrap();
        let connecting = client(stream, ClientRequest::new(&address, "/"), config(deflate));
        let (socket, _) = soon(connecting).await.unwrap();
        // Python takes its time; a message that is missing takes for ever.
        timeout(4 * PATIENCE, converse(socket, 44)).await.unwrap();
        assert!(python.wait().unwrap().success());
    }
}
