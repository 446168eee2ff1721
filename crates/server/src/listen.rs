//! [`Listen`]: an address to listen on, and what is spoken there.

use core::fmt;

/// One value of `--listen`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listen {
    /// `HOST:PORT`, or the path of a Unix socket.
    pub(crate) addr: String,
    pub(crate) tls: bool,
    /// The permissions of a Unix socket's file, if it is one.
    pub(crate) unix: Option<u32>,
}

/// Its own user and group may connect, as a proxy in that group does.
const MODE: u32 = 0o660;

impl Listen {
    /// What is listened on without being told.
    pub(crate) fn by_default(tls: bool) -> Self {
        let addr = "127.0.0.1:9001".to_owned();
        let unix = None;
        Self { addr, tls, unix }
    }

    /// Checks what can be checked of an address without asking for the name.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        #[cfg(unix)]
        if let Some(rest) = text.strip_prefix("unix:") {
            return Self::parse_unix(rest);
        }
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
                let (addr, unix) = (addr.to_owned(), None);
                Ok(Self { addr, tls, unix })
            }
            _ => Err("write HOST:PORT, as 127.0.0.1:9001, localhost:9001 or wss://[::]:9001"),
        }
    }
}

#[cfg(unix)]
impl Listen {
    /// `PATH`, and perhaps the permissions behind it; `?mode=` is for lists with commas between their values.
    fn parse_unix(text: &str) -> Result<Self, &'static str> {
        let option = text
            .rsplit_once(",mode=")
            .or_else(|| text.rsplit_once("?mode="));
        let (path, mode) = match option {
            Some((path, digits)) => match u32::from_str_radix(digits, 8) {
                Ok(mode @ ..=0o777) if !digits.starts_with('+') => (path, mode),
                _ => return Err("write the mode in octal, as unix:/run/wirefan.sock,mode=0660"),
            },
            None => (text, MODE),
        };
        if path.is_empty() {
            return Err("write a path behind unix:, as unix:/run/wirefan.sock,mode=0660");
        }
        Ok(Self {
            addr: path.to_owned(),
            tls: false,
            unix: Some(mode),
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mode) = self.unix {
            return write!(f, "unix:{},mode={mode:04o}", self.addr);
        }
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
        #[cfg(unix)]
        for (text, mode) in [
            ("unix:/run/a.sock", 0o660),
            ("unix:a,b,mode=0600", 0o600),
            ("unix:a?mode=666", 0o666),
        ] {
            let listen = Listen::parse(text).unwrap();
            assert_eq!(listen.unix, Some(mode), "{text}");
            assert_eq!(Listen::parse(&listen.to_string()), Ok(listen));
        }
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
            "unix:",
            "unix:,mode=0600",
            "unix:a,mode=",
            "unix:a,mode=+7",
            "unix:a,mode=1777",
            "unix:a,mode=8",
        ] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
