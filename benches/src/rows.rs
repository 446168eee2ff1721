//! The rows of the comparison: what load each one is, and what wirefan promises in it.

/// How a row loads the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Load {
    /// Every message comes back.
    Echo {
        connections: u32,
        size: u32,
        payload: Payload,
        in_flight: u32,
    },
    /// One publisher for each room, and this many who receive, spread over the rooms. `None`: one room for all, and
    /// nothing else that a program would have to know of rooms.
    Broadcast {
        subscribers: u32,
        size: u32,
        in_flight: u32,
        rooms: Option<u32>,
    },
    /// Connections are opened and closed, this many at a time.
    Connect { connections: u32 },
    /// Connections are held.
    Idle { connections: u32 },
}

/// What a message carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Payload {
    Ascii,
    Utf8,
    Binary,
}

impl Payload {
    /// As the load generator calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Utf8 => "utf8",
            Self::Binary => "binary",
        }
    }
}

/// What wirefan has to reach in a row: the ratio to `limit` in messages for each CPU second of the server, or in the
/// row about memory the bytes for each connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Promise {
    pub(crate) bar: f64,
    pub(crate) goal: f64,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    pub(crate) compressed: bool,
    pub(crate) tls: bool,
    pub(crate) promise: Option<Promise>,
    /// What fastwebsockets and Bun reach of `limit` when `limit` is what it should be; see `ruler.rs`. Not
    /// fastwebsockets where many messages are in flight: it writes each by itself, and that is all that it would show.
    pub(crate) known: &'static [(&'static str, f64)],
}

impl Row {
    /// Whether a smaller figure is the better one.
    pub(crate) fn is_about_memory(&self) -> bool {
        matches!(self.load, Load::Idle { .. })
    }

    pub(crate) fn is_broadcast(&self) -> bool {
        matches!(self.load, Load::Broadcast { .. })
    }

    /// Whether the path of the URL has to be a room.
    pub(crate) fn has_rooms(&self) -> bool {
        matches!(self.load, Load::Broadcast { rooms: Some(_), .. })
    }
}

const fn echo(connections: u32, size: u32, in_flight: u32) -> Load {
    Load::Echo {
        connections,
        size,
        payload: Payload::Ascii,
        in_flight,
    }
}

const fn broadcast(size: u32, in_flight: u32) -> Load {
    Load::Broadcast {
        subscribers: 1000,
        size,
        in_flight,
        rooms: None,
    }
}

const fn row(name: &'static str, title: &'static str, load: Load) -> Row {
    Row {
        name,
        title,
        load,
        compressed: false,
        tls: false,
        promise: None,
        known: &[],
    }
}

impl Row {
    const fn promises(mut self, bar: f64, goal: f64) -> Self {
        self.promise = Some(Promise { bar, goal });
        self
    }

    const fn known(mut self, known: &'static [(&'static str, f64)]) -> Self {
        self.known = known;
        self
    }

    const fn compressed(mut self) -> Self {
        self.compressed = true;
        self
    }

    const fn over_tls(mut self) -> Self {
        self.tls = true;
        self
    }
}

/// What is large is binary.
const LARGE: Load = Load::Echo {
    connections: 4,
    size: 1 << 20,
    payload: Payload::Binary,
    in_flight: 1,
};

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row(
        "e16d1",
        "echo, 16 B, 64 connections, 1 in flight",
        echo(64, 16, 1),
    )
    .promises(0.97, 0.99)
    .known(&[("fastwebsockets", 0.92), ("bun", 0.78)]),
    row(
        "e16d32",
        "echo, 16 B, 64 connections, 32 in flight",
        echo(64, 16, 32),
    )
    .promises(0.92, 0.95)
    .known(&[("bun", 0.39)]),
    row(
        "e125d32",
        "echo, 125 B, 64 connections, 32 in flight",
        echo(64, 125, 32),
    )
    .promises(0.88, 0.93)
    .known(&[("bun", 0.34)]),
    row(
        "e1kd8",
        "echo, 1 KiB, 64 connections, 8 in flight",
        echo(64, 1024, 8),
    )
    .promises(0.94, 0.96)
    .known(&[("bun", 0.42)]),
    row(
        "e16k",
        "echo, 16 KiB ASCII text, 64 connections",
        echo(64, 16 << 10, 1),
    )
    .promises(0.90, 0.94)
    .known(&[("fastwebsockets", 0.80), ("bun", 0.38)]),
    row(
        "e16ku",
        "echo, 16 KiB non-ASCII text, 64 connections",
        Load::Echo {
            connections: 64,
            size: 16 << 10,
            payload: Payload::Utf8,
            in_flight: 1,
        },
    )
    .promises(0.82, 0.90)
    .known(&[("fastwebsockets", 0.73), ("bun", 0.17)]),
    row("e1m", "echo, 1 MiB binary, 4 connections", LARGE)
        .promises(1.05, 1.15)
        .known(&[("fastwebsockets", 0.98), ("bun", 0.50)]),
    row(
        "e16x5000",
        "echo, 16 B, 5,000 connections, 1 in flight",
        echo(5000, 16, 1),
    ),
    row(
        "churn",
        "handshakes, 64 at a time",
        Load::Connect { connections: 64 },
    )
    .promises(0.98, 1.05)
    .known(&[("fastwebsockets", 0.89), ("bun", 0.72)]),
    row(
        "bc16d1",
        "broadcast 1 to 1,000, 16 B, 1 in flight",
        broadcast(16, 1),
    ),
    row(
        "bc16",
        "broadcast 1 to 1,000, 16 B, 16 in flight",
        broadcast(16, 16),
    )
    .promises(0.98, 1.05)
    .known(&[("bun", 0.90)]),
    row(
        "bc1kd1",
        "broadcast 1 to 1,000, 1 KiB, 1 in flight",
        broadcast(1024, 1),
    ),
    row(
        "bc1k",
        "broadcast 1 to 1,000, 1 KiB, 16 in flight",
        broadcast(1024, 16),
    )
    .promises(0.98, 1.02)
    .known(&[("bun", 0.74)]),
    row(
        "e1kz",
        "echo, 1 KiB, 64 connections, 8 in flight, compressed",
        echo(64, 1024, 8),
    )
    .compressed(),
    row(
        "bc1kz",
        "broadcast 1 to 1,000, 1 KiB, 16 in flight, compressed",
        broadcast(1024, 16),
    )
    .compressed(),
    row(
        "e16d1t",
        "echo, 16 B, 64 connections, 1 in flight, TLS",
        echo(64, 16, 1),
    )
    .over_tls(),
    row(
        "e16t",
        "echo, 16 B, 64 connections, 32 in flight, TLS",
        echo(64, 16, 32),
    )
    .over_tls(),
    row(
        "e1kt",
        "echo, 1 KiB, 64 connections, 8 in flight, TLS",
        echo(64, 1024, 8),
    )
    .over_tls(),
    row(
        "e16kt",
        "echo, 16 KiB ASCII text, 64 connections, TLS",
        echo(64, 16 << 10, 1),
    )
    .over_tls(),
    row("e1mt", "echo, 1 MiB binary, 4 connections, TLS", LARGE).over_tls(),
    row(
        "churnt",
        "handshakes, 64 at a time, TLS",
        Load::Connect { connections: 64 },
    )
    .over_tls(),
    row(
        "bc16t",
        "broadcast 1 to 1,000, 16 B, 16 in flight, TLS",
        broadcast(16, 16),
    )
    .over_tls(),
    row(
        "bc1kt",
        "broadcast 1 to 1,000, 1 KiB, 16 in flight, TLS",
        broadcast(1024, 16),
    )
    .over_tls(),
    row(
        "idle",
        "user memory for an idle connection, of 19,500",
        Load::Idle {
            connections: 19_500,
        },
    )
    .promises(256.0, 200.0),
];

/// The row of this name.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_goals_beyond_bars() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..at].iter().all(|other| other.name != row.name));
            let Some(Promise { bar, goal }) = row.promise else {
                continue;
            };
            assert_eq!(goal < bar, row.is_about_memory(), "{}", row.name);
        }
    }
}
