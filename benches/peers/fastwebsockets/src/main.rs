//! fastwebsockets: its echo example, upgraded by hyper. It has neither batching nor a way to write to a connection that
//! is being read, so there is no broadcast.

use std::process;

use fastwebsockets::upgrade::{self, UpgradeFut};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peer::{Invocation, Mode};
use tokio::task;

fn main() {
    let Invocation { mode, port, .. } = Invocation::from_args().without_compression().without_tls();
    if mode == Mode::Broadcast {
        eprintln!("this peer has no broadcast");
        process::exit(2);
    }
    peer::serve(port, |stream| async move {
        // An end without a Close is one, too.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(accept))
            .with_upgrades()
            .await;
    });
}

async fn accept(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    task::spawn(task::unconstrained(async {
        let _ = echo(upgraded).await;
    }));
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
