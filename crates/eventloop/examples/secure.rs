//! `wss://` and `https://`: an echo server with a certificate.
//!
//! ```sh
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout key.pem -out cert.pem \
//!     -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
//! cargo run --release -p wirefan-eventloop --example secure -- 127.0.0.1:9443 cert.pem key.pem
//! NODE_EXTRA_CA_CERTS=cert.pem npx wscat -c wss://localhost:9443/
//! SSL_CERT_FILE=cert.pem python -m websockets wss://localhost:9443/
//! curl --cacert cert.pem https://localhost:9443/
//! ```

use std::env;
use std::error::Error;

use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server, Tls};
use wirefan_protocol::handshake::{Reply, Request};

struct Echo;

impl Handler for Echo {
    type Peer = ();
    type Note = ();

    fn request(&mut self, request: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        if request.is_websocket() {
            Decision::accept(())
        } else {
            Decision::Answer(Reply::text(200, "this port also speaks WebSocket\n"))
        }
    }

    fn open(&mut self, conn: &mut Conn<'_, ()>) {
        // `None` on a plain port: one server may have both.
        let version = conn.tls().and_then(|tls| tls.version());
        let text = match version {
            Some(version) => format!("encrypted with {version:?}"),
            None => "not encrypted".to_owned(),
        };
        let _ = conn.send_text(&text);
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        let _ = conn.send(message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, certificates, key] = arguments.as_slice() else {
        return Err("which address, which certificate and which key?".into());
    };
    // `tls.replace` takes a renewed certificate while the server runs.
    let tls = Tls::from_files(certificates, key)?;
    let server = Server::builder()
        .listen_tls(address, &tls)?
        .start(|_| Echo)?;
    println!("echo on wss://{}/", server.addrs()[0]);
    Ok(server.join()?)
}
