//! A client without callbacks: sends what it is told to, prints one answer for each, and closes.
//!
//! `cargo run --release -p wirefan-eventloop --example blocking_client ws://127.0.0.1:9001/ hello again`, where the example
//! `echo` may listen.

use std::env;
use std::error::Error;

use wirefan_eventloop::client::blocking;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let socket = blocking::connect(&url)?;
    for message in arguments {
        socket.send(message)?;
        println!("{:?}", socket.recv()?);
    }
    println!("{}", socket.close());
    Ok(())
}
