//! [`Listen`]: an address to listen on, and what is spoken there.

use core::fmt;

/// One value of `--listen`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listen {
    /// `HOST:PORT`.
    pub(crate) addr: String,
    pub(crate) tls: bool,
}

impl Listen {
    /// What is listened on without being told.
    pub(crate) fn by_default(tls: bool) -> Self {
        let addr = "127.0.0.1:9001".to_owned();
        Self { addr, tls }
    }

    /// Checks what can be checked of an address without asking for the name.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (tls, addr) = match text.split_once("://") {
            None | Some(("ws", _)) => (false, text.trim_start_matches("ws://")),
            Some(("wss", addr)) => (true, addr),
            Some(_) => return Err("write HOST:PORT, ws://HOST:PORT or wss://HOST:PORT"),
        };
        match addr.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty()
                    && (host.starts_with('[') || !host.contains(':'))
                    && port.parse::<u16>().is_ok() =>
            {
                let addr = addr.to_owned();
                Ok(Self { addr, tls })
            }
            _ => Err("write HOST:PORT, as 127.0.0.1:9001, localhost:9001 or wss://[::]:9001"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss://" } else { "" };
        write!(f, "{scheme}{}", self.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [
            "127.0.0.1:0",
            "localhost:9001",
            "[::]:80",
            "example.com:65535",
            "wss://127.0.0.1:443",
            "wss://[::]:443",
        ] {
            assert_eq!(Listen::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Listen::parse("ws://a:1"), Listen::parse("a:1"));
        for text in [
            "",
            "9001",
            ":9001",
            "localhost",
            "a:65536",
            "a:-1",
            "::1:80",
            "a:",
            "https://a:1",
            "wss://",
            "wss://a",
            "wss://a:1/",
        ] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
