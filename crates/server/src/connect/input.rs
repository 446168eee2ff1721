//! Stdin as messages, one for each line or each piece that ends with a NUL byte. On a thread of its own, which waits where
//! the server does not read.

use std::io::{self, BufRead};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use wirefan_eventloop::client::{Link, OwnedMessage};

use super::news::News;

/// How long to wait before it is asked again whether there is room for a message.
const PAUSE: Duration = Duration::from_millis(5);

/// What stdin is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// What a message ends with.
    pub(crate) end: u8,
    pub(crate) binary: bool,
    /// The longest message.
    pub(crate) max: usize,
}

/// Starts reading.
pub(crate) fn start(format: Format, link: Link, news: Sender<News>) -> io::Result<()> {
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let end = pass_on(&mut io::stdin().lock(), format, |message| {
            send(&link, message)
        });
        let _ = news.send(News::InputEnded(end.err()));
    })?;
    Ok(())
}

/// Whether it was taken; waits until there is room.
fn send(link: &Link, mut message: OwnedMessage) -> bool {
    loop {
        match link.send(message) {
            Ok(()) => return true,
            Err(full) if full.ended => return false,
            Err(full) => message = full.message,
        }
        thread::sleep(PAUSE);
    }
}

fn pass_on(
    input: &mut impl BufRead,
    format: Format,
    mut send: impl FnMut(OwnedMessage) -> bool,
) -> Result<(), String> {
    let mut number = 0_u64;
    loop {
        number += 1;
        let piece = next(input, format)
            .map_err(|error| format!("cannot read message {number} from stdin: {error}"))?;
        let Some(piece) = piece else {
            return Ok(());
        };
        let message = if format.binary {
            OwnedMessage::Binary(piece)
        } else {
            let text = String::from_utf8(piece).map_err(|_| {
                format!("message {number} on stdin is not UTF-8; --binary-lines sends any bytes")
            })?;
            OwnedMessage::Text(text)
        };
        if !send(message) {
            return Ok(());
        }
    }
}

/// The next message; `None`: there is none any more.
fn next(input: &mut impl BufRead, format: Format) -> io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::new();
    // What it ends with, a carriage return before that, and one byte more to see that it is too long.
    let most = format.max.saturating_add(3) as u64;
    let len = io::Read::take(&mut *input, most).read_until(format.end, &mut piece)?;
    if len == 0 {
        return Ok(None);
    }
    if piece.last() == Some(&format.end) {
        piece.pop();
    }
    if format.end == b'\n' && !format.binary && piece.last() == Some(&b'\r') {
        piece.pop();
    }
    if piece.len() > format.max {
        return Err(io::Error::other("it is longer than --max-message"));
    }
    Ok(Some(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(input: &[u8], end: u8, binary: bool) -> (Vec<OwnedMessage>, Result<(), String>) {
        let format = Format {
            end,
            binary,
            max: 6,
        };
        let mut sent = Vec::new();
        let done = pass_on(&mut &input[..], format, |message| {
            sent.push(message);
            true
        });
        (sent, done)
    }

    fn texts(texts: &[&str]) -> Vec<OwnedMessage> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    #[test]
    fn a_line_is_a_message() {
        for (input, sent) in [
            (&b""[..], &[][..]),
            (b"one\n\r\n\ntwo\r\nthree", &["one", "", "", "two", "three"]),
            (b"\n", &[""]),
            (b"a\rb\n", &["a\rb"]),
            (b"sixsix\r\nsixsix\n", &["sixsix", "sixsix"]),
        ] {
            assert_eq!(messages(input, b'\n', false), (texts(sent), Ok(())));
        }
        let (sent, done) = messages(b"a\nb\0c\r\0", 0, false);
        assert_eq!((sent, done), (texts(&["a\nb", "c\r"]), Ok(())));
        let (sent, done) = messages(b"\xff\r\n", b'\n', true);
        assert_eq!((sent, done), (vec![vec![0xff, b'\r'].into()], Ok(())));
    }

    #[test]
    fn what_cannot_be_sent_is_told_with_its_number() {
        let (sent, done) = messages(b"one\n\xff\nthree\n", b'\n', false);
        assert_eq!(sent, texts(&["one"]));
        assert!(done.unwrap_err().contains("message 2"));
        for long in [&b"one\nseven77\n"[..], b"one\nseven77", &[b'x'; 100]] {
            let (_, done) = messages(long, b'\n', false);
            assert!(done.unwrap_err().contains("--max-message"));
        }
    }

    #[test]
    fn nothing_more_is_read_when_the_link_has_ended() {
        let format = Format {
            end: b'\n',
            binary: false,
            max: 6,
        };
        let mut asked = 0;
        let done = pass_on(&mut &b"a\nb\n"[..], format, |_| {
            asked += 1;
            false
        });
        assert_eq!((asked, done), (1, Ok(())));
    }
}
