//! The opening handshake as a browser asks for it. Used by the micro-benchmark and `hot.rs`.

use std::sync::Arc;

use wirefan_protocol::handshake::{Accept, Asked, ServerHandshake};
use wirefan_protocol::{Config, Connection, Input};

/// What a browser asks for.
pub const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Upgrade: websocket\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// Parses `request`, accepts it, and appends the answer to `out`.
///
/// # Panics
///
/// It asks for no WebSocket.
pub fn accept(config: &Arc<Config>, request: &mut [u8], out: &mut Vec<u8>) -> Connection {
    let mut handshake = ServerHandshake::new(Arc::clone(config));
    match handshake.next_request(&mut Input::new(request), out) {
        Some(Asked::Request(request)) => request
            .accept(Accept::default(), out)
            .expect("it asks for a WebSocket"),
        other => panic!("{other:?}"),
    }
}
