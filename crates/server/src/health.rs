//! `wirefan health`: one plain request to a running server, for supervisors in images that have no other program.

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use clap::Args;

use crate::listen::Listen;
use crate::quantity;

/// More of a status line is not read.
const LINE: u64 = 256;

/// The options of `health`.
#[derive(Args, Debug)]
pub(crate) struct Health {
    /// Where the server listens
    ///
    /// A port that speaks TLS will do: the question is plain, and so is its answer.
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:9001", value_parser = Listen::parse)]
    server: Listen,

    /// What to ask for
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,

    /// Time for the answer
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = quantity::some_duration)]
    timeout: Duration,
}

fn path(text: &str) -> Result<String, &'static str> {
    match text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("write a path as /ready"),
    }
}

impl Health {
    /// Asks. A server that answers is well, unless its answer is that it is not (a status from 500 on: it is full, or on
    /// its way out).
    pub(crate) fn ask(&self) -> Result<(), String> {
        let addr = &self.server.addr;
        let status = self
            .status()
            .map_err(|error| format!("{addr} is not well: {error}"))?;
        match status {
            200..500 => Ok(()),
            status => Err(format!("{addr} is not well: it answers {status}")),
        }
    }

    fn status(&self) -> io::Result<u16> {
        let end = Instant::now() + self.timeout;
        let left = || match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
            left => Ok(left),
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in self.server.addr.to_socket_addrs()? {
            match TcpStream::connect_timeout(&addr, left()?) {
                Ok(mut socket) => {
                    socket.set_write_timeout(Some(left()?))?;
                    // The host is written as it was given: nobody is asked for it.
                    let head = format!(
                        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: wirefan-health\r\nConnection: close\r\n\r\n",
                        self.path, self.server.addr
                    );
                    socket.write_all(head.as_bytes())?;
                    socket.set_read_timeout(Some(left()?))?;
                    let mut line = Vec::new();
                    BufReader::new(socket.take(LINE)).read_until(b'\n', &mut line)?;
                    return status_of(&line)
                        .ok_or_else(|| io::Error::other("it does not speak HTTP"));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The status in the first line of an answer (RFC 9112 §4).
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let digits = rest.first_chunk::<3>()?;
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9112_section_4_status_lines() {
        for (line, status) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Some(200)),
            (b"HTTP/1.0 404 \r\n", Some(404)),
            (b"HTTP/1.1 20", None),
            (b"HTTP/1.1 +20 OK", None),
            (b"220 mail", None),
            (b"\x15\x03\x03", None),
            (b"", None),
        ] {
            assert_eq!(status_of(line), status, "{line:?}");
        }
    }
}
