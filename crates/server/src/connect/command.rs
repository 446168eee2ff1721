//! [`Command`]: what a line that was typed at the terminal asks for. Parsed here, carried out by the session.

use core::fmt;

use wirefan_eventloop::client::OwnedMessage;
use wirefan_protocol::CloseCode;

/// What `/help` says.
pub(crate) const HELP: &str = "\
A line is sent as a text message. Commands:
  /binary HEX            send these bytes as a binary message: /binary 00 ff 0a
  /ping                  send a ping and tell how long the pong takes
  /close [CODE] [REASON] close, with 1000 unless another code is given
  /quit                  close with 1000, as Ctrl-D and Ctrl-C do
  /help                  this
  //TEXT                 send a text that begins with a slash: //help sends /help";

/// What is to be done.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Command {
    /// Send a message.
    Send(OwnedMessage),
    /// Send a ping.
    Ping,
    /// Close.
    Close(CloseCode, String),
    /// Tell of the commands.
    Help,
}

/// Why a line is no command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum CommandError {
    /// No such word.
    Unknown(String),
    /// Not an even number of hexadecimal digits.
    Hex,
    /// Not a code that an endpoint may send.
    Code(String),
    /// More than 123 bytes.
    Reason,
    /// Something behind a command that stands alone.
    Excess(&'static str),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => write!(
                f,
                "/{word} is no command; /help tells of them, //{word} sends it as a text"
            ),
            Self::Hex => {
                f.write_str("write the bytes in hexadecimal, two digits each: /binary 00 ff 0a")
            }
            Self::Code(code) => write!(
                f,
                "{code} is no close code that may be sent: take 1000, 1001, 1003, 1007 to 1014, or 3000 to 4999"
            ),
            Self::Reason => f.write_str("the reason is longer than 123 bytes"),
            Self::Excess(word) => write!(f, "nothing follows /{word}"),
        }
    }
}

impl core::error::Error for CommandError {}

impl Command {
    /// Reads a line; `None`: there is nothing on it.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, CommandError> {
        let Some(command) = line.strip_prefix('/') else {
            return Ok((!line.is_empty()).then(|| Self::Send(line.into())));
        };
        if command.starts_with('/') {
            return Ok(Some(Self::Send(command.into())));
        }
        let (word, rest) = match command.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim()),
            None => (command, ""),
        };
        let alone = |word: &'static str, command| match rest {
            "" => Ok(Some(command)),
            _ => Err(CommandError::Excess(word)),
        };
        match word {
            "binary" => bytes(rest).map(|data| Some(Self::Send(data.into()))),
            "ping" => alone("ping", Self::Ping),
            "close" => close(rest).map(Some),
            "quit" => alone("quit", Self::Close(CloseCode::NORMAL, String::new())),
            "help" => alone("help", Self::Help),
            word => Err(CommandError::Unknown(word.to_owned())),
        }
    }
}

/// A code and a reason, or either alone.
fn close(rest: &str) -> Result<Command, CommandError> {
    let (first, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let is_code = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    let (code, reason) = if is_code {
        let code = first.parse().map(CloseCode).ok();
        let code = code.filter(|code| code.is_sendable());
        let code = code.ok_or_else(|| CommandError::Code(first.to_owned()))?;
        (code, behind.trim())
    } else {
        (CloseCode::NORMAL, rest)
    };
    if reason.len() > 123 {
        return Err(CommandError::Reason);
    }
    Ok(Command::Close(code, reason.to_owned()))
}

/// Bytes from hexadecimal digits, between which there may be spaces.
fn bytes(hex: &str) -> Result<Vec<u8>, CommandError> {
    let digits = hex.chars().filter(|c| !c.is_whitespace());
    let digits: Option<Vec<u32>> = digits.map(|c| c.to_digit(16)).collect();
    let digits = digits.ok_or(CommandError::Hex)?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return Err(CommandError::Hex);
    };
    // Two digits of four bits each.
    Ok(pairs
        .iter()
        .map(|[high, low]| (high * 16 + low) as u8)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u16, reason: &str) -> Command {
        Command::Close(CloseCode(code), reason.to_owned())
    }

    #[test]
    fn lines_are_messages_and_commands() {
        for (line, command) in [
            ("hello", Command::Send("hello".into())),
            (" /ping", Command::Send(" /ping".into())),
            ("//ping", Command::Send("/ping".into())),
            ("///", Command::Send("//".into())),
            ("/binary 00 ff0A", Command::Send(vec![0, 255, 10].into())),
            ("/binary", Command::Send(Vec::new().into())),
            ("/ping ", Command::Ping),
            ("/help", Command::Help),
            ("/quit", close(1000, "")),
            ("/close", close(1000, "")),
            ("/close 4001", close(4001, "")),
            ("/close  3000  see  you ", close(3000, "see  you")),
            ("/close good bye", close(1000, "good bye")),
        ] {
            assert_eq!(Command::parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(Command::parse(""), Ok(None));
    }

    #[test]
    fn mistakes_are_told_and_nothing_is_sent() {
        for (line, error) in [
            ("/pong", CommandError::Unknown("pong".to_owned())),
            ("/", CommandError::Unknown(String::new())),
            ("/binary 0", CommandError::Hex),
            ("/binary 0g", CommandError::Hex),
            ("/close 1005", CommandError::Code("1005".to_owned())),
            ("/close 99999", CommandError::Code("99999".to_owned())),
            ("/ping 1", CommandError::Excess("ping")),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{line}");
        }
        let long = format!("/close 1000 {}", "x".repeat(124));
        assert_eq!(Command::parse(&long), Err(CommandError::Reason));
    }
}
