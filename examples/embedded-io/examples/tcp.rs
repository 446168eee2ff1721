//! The server without std, on a machine that has it: `std::net` below the traits of embedded-io, one thread for each
//! connection.
//!
//! `cargo run --release -p embedded-io-echo --example tcp`, then connect to ws://127.0.0.1:9001/. Another address is the
//! first argument.

use std::net::TcpListener;
use std::sync::Arc;
use std::{env, io, thread};

use embedded_io_adapters::std::FromStd;
use embedded_io_echo::{serve, small};

fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let mut config = small();
    // The Autobahn TestSuite has messages of 64 KiB in its first cases.
    config.max_message = 64 * 1024;
    let config = Arc::new(config);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001"))?;
    println!("echo on ws://{}/", listener.local_addr()?);
    for socket in listener.incoming() {
        let (socket, config) = (socket?, Arc::clone(&config));
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            if let Err(error) = serve(&mut FromStd::new(socket), &mut buffer, &config) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}
