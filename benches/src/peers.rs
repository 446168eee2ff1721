//! The programs that are compared, and how each is started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::certificate::Certificate;
use crate::rows::{Load, Row};

/// What a program is made of, which decides how it is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Make {
    /// The binary of this workspace.
    Wirefan,
    /// A package of `benches/peers`, by the crate that it shows (none: only itself).
    Rust(Option<&'static str>),
    /// A script for Node, by the package that it shows.
    Node(&'static str),
    /// A script for Bun.
    Bun,
    /// A script for Python, by the package that it shows.
    Python(&'static str),
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) make: Make,
    pub(crate) broadcasts: bool,
    pub(crate) compresses: bool,
    pub(crate) tls: bool,
    /// The path of the URL is the room, in broadcasts.
    pub(crate) rooms: bool,
    pub(crate) settings: &'static str,
}

impl Peer {
    /// Whether the row says something about it.
    pub(crate) fn takes(&self, row: &Row) -> bool {
        (self.broadcasts || !row.is_broadcast())
            && (self.compresses || !row.compressed)
            && (self.tls || !row.tls)
            && (self.rooms || !row.has_rooms())
    }
}

/// All of them, in the order of the table.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "wirefan",
        make: Make::Wirefan,
        broadcasts: true,
        compresses: true,
        tls: true,
        rooms: true,
        settings: "one worker; compression off, or `shared` in compressed rows; logs warnings",
    },
    Peer {
        name: "limit",
        make: Make::Rust(None),
        broadcasts: true,
        compresses: false,
        tls: false,
        rooms: false,
        settings: "no WebSocket: raw bytes on mio, one read of up to 512 KiB a wake-up, one write",
    },
    Peer {
        name: "trial",
        make: Make::Rust(None),
        broadcasts: false,
        compresses: false,
        tls: false,
        rooms: false,
        settings: "the bare design of wirefan: no limits, fragments, timers or counts",
    },
    Peer {
        name: "wirefan-tokio",
        make: Make::Rust(Some("wirefan-tokio")),
        broadcasts: true,
        compresses: true,
        tls: true,
        rooms: false,
        settings: "wirefan on tokio `current_thread`: `read_with`, in broadcasts as tokio-websockets; compressed: no context takeover, level 3",
    },
    Peer {
        name: "fastwebsockets",
        make: Make::Rust(Some("fastwebsockets")),
        broadcasts: false,
        compresses: false,
        tls: false,
        rooms: false,
        settings: "its echo example (hyper upgrade); one write a frame, for it has no batching",
    },
    Peer {
        name: "tokio-websockets",
        make: Make::Rust(Some("tokio-websockets")),
        broadcasts: true,
        compresses: false,
        tls: true,
        rooms: false,
        settings: "tokio `current_thread`; all messages at hand collected, then `feed`, one `flush`",
    },
    Peer {
        name: "sockudo-ws",
        make: Make::Rust(Some("sockudo-ws")),
        broadcasts: true,
        compresses: true,
        tls: false,
        rooms: false,
        settings: "as tokio-websockets; compressed: no context takeover, level 3",
    },
    Peer {
        name: "yawc",
        make: Make::Rust(Some("yawc")),
        broadcasts: true,
        compresses: true,
        tls: false,
        rooms: false,
        settings: "as tokio-websockets; UTF-8 checked, 128 KiB read buffer; compressed: no context takeover, level 3",
    },
    Peer {
        name: "tokio-tungstenite",
        make: Make::Rust(Some("tokio-tungstenite")),
        broadcasts: true,
        compresses: false,
        tls: true,
        rooms: false,
        settings: "as tokio-websockets; default settings (it clears a read buffer of 128 KiB before each read)",
    },
    Peer {
        name: "bun",
        make: Make::Bun,
        broadcasts: true,
        compresses: true,
        tls: true,
        rooms: true,
        settings: "`Bun.serve` (uWebSockets inside), `publish` for broadcast; compressed: `shared` both ways",
    },
    Peer {
        name: "ws",
        make: Make::Node("ws"),
        broadcasts: true,
        compresses: true,
        tls: true,
        rooms: false,
        settings: "with bufferutil and utf-8-validate; compressed: no context takeover, level 3",
    },
    Peer {
        name: "picows",
        make: Make::Python("picows"),
        broadcasts: true,
        compresses: false,
        tls: false,
        rooms: false,
        settings: "uvloop",
    },
    Peer {
        name: "websockets",
        make: Make::Python("websockets"),
        broadcasts: true,
        compresses: true,
        tls: true,
        rooms: false,
        settings: "uvloop; `broadcast()`; compressed: no context takeover, level 3",
    },
];

/// The peer of this name.
pub(crate) fn find(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

/// A peer that is there and can be started.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) peer: &'static Peer,
    /// What it is called in tables: its name, or the path of another wirefan.
    pub(crate) label: String,
    pub(crate) version: String,
    /// The program, and the script for those that need one.
    pub(crate) program: Vec<OsString>,
}

impl Installed {
    /// A binary of wirefan that was built elsewhere.
    pub(crate) fn wirefan_at(path: &Path) -> Option<Self> {
        let peer = find("wirefan")?;
        Some(Self {
            peer,
            label: path.display().to_string(),
            version: "as built".to_owned(),
            program: vec![PathBuf::from(path).into_os_string()],
        })
    }

    /// The URL of its server.
    pub(crate) fn url(&self, row: &Row, port: u16) -> String {
        let scheme = match self.peer.name {
            "limit" => "tcp",
            _ if row.tls => "wss",
            _ => "ws",
        };
        format!("{scheme}://127.0.0.1:{port}/")
    }

    /// What follows the program on its command line.
    pub(crate) fn args(
        &self,
        row: &Row,
        port: u16,
        workers: usize,
        certificate: &Certificate,
    ) -> Vec<String> {
        let mode = match row.load {
            Load::Broadcast { .. } => "broadcast",
            Load::Echo { .. } | Load::Connect { .. } | Load::Idle { .. } => "echo",
        };
        if self.peer.make != Make::Wirefan {
            let mut args = vec![mode.to_owned(), port.to_string()];
            args.extend(row.compressed.then(|| "compressed".to_owned()));
            if row.tls {
                let Certificate { chain, key } = certificate;
                args.extend(["tls", chain, key].map(str::to_owned));
            }
            return args;
        }
        let compression = if row.compressed { "shared" } else { "off" };
        let scheme = if row.tls { "wss://" } else { "" };
        let mut args = [
            mode,
            "--listen",
            &format!("{scheme}127.0.0.1:{port}"),
            "--workers",
            &workers.to_string(),
            "--compression",
            compression,
            "--max-message",
            "16m",
            "--log",
            "warn",
        ]
        .map(str::to_owned)
        .to_vec();
        if row.tls {
            let Certificate { chain, key } = certificate;
            args.extend(["--tls-cert", chain, "--tls-key", key].map(str::to_owned));
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn who_cannot_do_a_row_is_not_asked() {
        let takes = |peer, row| find(peer).unwrap().takes(rows::find(row).unwrap());
        assert!(takes("wirefan", "bc1kz") && takes("bun", "bc1kz"));
        assert!(!takes("fastwebsockets", "bc16") && takes("fastwebsockets", "churn"));
        assert!(!takes("limit", "e1kz") && takes("limit", "bc16"));
        assert!(takes("ws", "bc16t") && !takes("limit", "e16t"));
        let mut row = *rows::find("bc16").unwrap();
        row.load = Load::Broadcast {
            subscribers: 10,
            size: 16,
            in_flight: 1,
            rooms: Some(2),
        };
        let takes = |peer| find(peer).unwrap().takes(&row);
        assert!(takes("wirefan") && takes("bun") && !takes("ws"));
    }

    #[test]
    fn every_program_is_told_the_same() {
        let row = rows::find("bc1kz").unwrap();
        let installed = |name| Installed {
            peer: find(name).unwrap(),
            label: String::new(),
            version: String::new(),
            program: Vec::new(),
        };
        let certificate = Certificate {
            chain: "c.pem".to_owned(),
            key: "k.pem".to_owned(),
        };
        let args = |name, row, workers| {
            installed(name)
                .args(row, 7, workers, &certificate)
                .join(" ")
        };
        assert_eq!(args("bun", row, 1), "broadcast 7 compressed");
        let secure = rows::find("e16t").unwrap();
        assert_eq!(args("bun", secure, 1), "echo 7 tls c.pem k.pem");
        assert!(args("wirefan", secure, 1).ends_with("--tls-cert c.pem --tls-key k.pem"));
        let args = args("wirefan", row, 2);
        assert!(
            args.starts_with("broadcast --listen 127.0.0.1:7 --workers 2 --compression shared"),
            "{args}"
        );
        assert_eq!(installed("limit").url(row, 7), "tcp://127.0.0.1:7/");
        assert_eq!(installed("ws").url(secure, 7), "wss://127.0.0.1:7/");
    }
}
