//! The programs that are compared, and how each is started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    pub(crate) settings: &'static str,
}

impl Peer {
    /// Whether the row says something about it.
    pub(crate) fn takes(&self, row: &Row) -> bool {
        (self.broadcasts || !row.is_broadcast()) && (self.compresses || !row.compressed)
    }
}

/// All of them, in the order of the table.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "wirefan",
        make: Make::Wirefan,
        broadcasts: true,
        compresses: true,
        settings: "one worker; compression off, or `shared` in compressed rows; logs warnings",
    },
    Peer {
        name: "limit",
        make: Make::Rust(None),
        broadcasts: true,
        compresses: false,
        settings: "no WebSocket: raw bytes on mio, one read of up to 512 KiB a wake-up, one write",
    },
    Peer {
        name: "fastwebsockets",
        make: Make::Rust(Some("fastwebsockets")),
        broadcasts: false,
        compresses: false,
        settings: "its echo example (hyper upgrade); one write a frame, for it has no batching",
    },
    Peer {
        name: "tokio-websockets",
        make: Make::Rust(Some("tokio-websockets")),
        broadcasts: true,
        compresses: false,
        settings: "tokio `current_thread`; all messages at hand collected, then `feed`, one `flush`",
    },
    Peer {
        name: "sockudo-ws",
        make: Make::Rust(Some("sockudo-ws")),
        broadcasts: true,
        compresses: true,
        settings: "as tokio-websockets; compressed: no context takeover, level 3",
    },
    Peer {
        name: "yawc",
        make: Make::Rust(Some("yawc")),
        broadcasts: true,
        compresses: true,
        settings: "as tokio-websockets; UTF-8 checked, 128 KiB read buffer; compressed: no context takeover, level 3",
    },
    Peer {
        name: "tokio-tungstenite",
        make: Make::Rust(Some("tokio-tungstenite")),
        broadcasts: true,
        compresses: false,
        settings: "as tokio-websockets; default settings (it clears a read buffer of 128 KiB before each read)",
    },
    Peer {
        name: "bun",
        make: Make::Bun,
        broadcasts: true,
        compresses: true,
        settings: "`Bun.serve` (uWebSockets inside), `publish` for broadcast; compressed: `shared` both ways",
    },
    Peer {
        name: "ws",
        make: Make::Node("ws"),
        broadcasts: true,
        compresses: true,
        settings: "with bufferutil and utf-8-validate; compressed: no context takeover, level 3",
    },
    Peer {
        name: "picows",
        make: Make::Python("picows"),
        broadcasts: true,
        compresses: false,
        settings: "uvloop",
    },
    Peer {
        name: "websockets",
        make: Make::Python("websockets"),
        broadcasts: true,
        compresses: true,
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
    pub(crate) fn url(&self, port: u16) -> String {
        let scheme = if self.peer.name == "limit" {
            "tcp"
        } else {
            "ws"
        };
        format!("{scheme}://127.0.0.1:{port}/")
    }

    /// What follows the program on its command line.
    pub(crate) fn args(&self, row: &Row, port: u16, workers: usize) -> Vec<String> {
        let mode = match row.load {
            Load::Broadcast { .. } => "broadcast",
            Load::Echo { .. } | Load::Connect { .. } | Load::Idle { .. } => "echo",
        };
        if self.peer.make != Make::Wirefan {
            let mut args = vec![mode.to_owned(), port.to_string()];
            args.extend(row.compressed.then(|| "compressed".to_owned()));
            return args;
        }
        let compression = if row.compressed { "shared" } else { "off" };
        [
            mode,
            "--listen",
            &format!("127.0.0.1:{port}"),
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
        .to_vec()
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
        assert_eq!(
            installed("bun").args(row, 7, 1).join(" "),
            "broadcast 7 compressed"
        );
        let args = installed("wirefan").args(row, 7, 2).join(" ");
        assert!(
            args.starts_with("broadcast --listen 127.0.0.1:7 --workers 2 --compression shared"),
            "{args}"
        );
        assert_eq!(installed("limit").url(7), "tcp://127.0.0.1:7/");
    }
}
