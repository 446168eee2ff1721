//! An echo server on io_uring: `wirefan-protocol` and one ring in one thread.
//!
//! `cargo run --release -p io-uring-echo`, then `npx wscat -c ws://127.0.0.1:9001/`. Another address is the first argument.
//!
//! * `--plain` reads without multishot requests and shared buffers, as on kernels before Linux 6.0.
//! * `--check` only tells whether io_uring may be used here.
//!
//! It ends with 3 where io_uring is not to be had: another system than Linux, an old kernel, or a container or setting that
//! forbids it (`kernel.io_uring_disabled`).

#[cfg(target_os = "linux")]
mod lent;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod server;

use std::process::ExitCode;

/// io_uring is not to be had.
const NOT_HERE: u8 = 3;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use std::net::TcpListener;

    use crate::ring::{Reading, Ring};
    use crate::server::Server;

    let (mut address, mut reading, mut check) = (None, Reading::Multishot, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--plain" => reading = Reading::Plain,
            "--check" => check = true,
            _ if argument.starts_with('-') || address.is_some() => {
                eprintln!("usage: io-uring-echo [ADDRESS] [--plain] [--check]");
                return ExitCode::from(2);
            }
            _ => address = Some(argument),
        }
    }
    let ring = match Ring::new(reading) {
        Ok(ring) => ring,
        Err(error) => {
            eprintln!("io_uring is not to be had here: {error}");
            return ExitCode::from(NOT_HERE);
        }
    };
    let how = match ring.reading() {
        Reading::Multishot => "multishot requests and shared buffers",
        Reading::Plain => "a request for each read",
    };
    if check {
        println!("io_uring may be used here, with {how}");
        return ExitCode::SUCCESS;
    }
    let mut config = wirefan_protocol::Config::default();
    config.max_message = 16 * 1024 * 1024;
    let served =
        TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).and_then(|listener| {
            println!("echo on ws://{}/, with {how}", listener.local_addr()?);
            Server::new(ring, listener, config).run()
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("io_uring is not to be had here: it is Linux's");
    ExitCode::from(NOT_HERE)
}
