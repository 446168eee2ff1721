//! A client on the event loop: dials every URL that it is given, all on one thread, says hello, prints what comes back and
//! closes.
//!
//! `cargo run --release -p wirefan-eventloop --example client ws://127.0.0.1:9001/one ws://127.0.0.1:9001/two`, where the
//! example `echo` may listen. `wss://` works the same.

use std::error::Error;
use std::{env, io};

use wirefan_eventloop::{
    Caller, Client, CloseCause, Conn, Ctx, Dial, Handler, Message, Remote, WorkerInfo,
};
use wirefan_protocol::CloseCode;

struct Hello {
    remote: Remote<()>,
    /// Connections that have not ended.
    left: usize,
}

impl Handler for Hello {
    /// The URL.
    type Peer = String;
    type Note = ();

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        let hello = format!("hello, {}", conn.peer());
        let _ = conn.send_text(&hello);
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        println!("{}: {message:?}", conn.peer());
        // It is open: nothing has closed it.
        let _ = conn.close(CloseCode::NORMAL, "that was all");
    }

    fn closed(
        &mut self,
        url: Option<String>,
        _: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, String>,
    ) {
        println!("{}: {cause}", url.unwrap_or_default());
        self.left -= 1;
        if self.left == 0 {
            self.remote.shutdown(std::time::Duration::ZERO);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let urls: Vec<String> = env::args().skip(1).collect();
    if urls.is_empty() {
        return Err(io::Error::other("which URL?").into());
    }
    let left = urls.len();
    let client = Client::builder().start(move |info: WorkerInfo<Hello>| Hello {
        remote: info.remote,
        left,
    })?;
    for url in urls {
        client.dial(Dial::new(&url)?, url)?;
    }
    client.join()?;
    Ok(())
}
