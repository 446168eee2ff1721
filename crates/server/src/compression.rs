//! The options of compression: what is agreed with clients, and what it costs.

use clap::{Args, ValueEnum};
use wirefan_protocol::DeflateConfig;

use crate::quantity;

#[derive(Args, Debug)]
#[command(next_help_heading = "Compression")]
pub(crate) struct Compression {
    /// Whether messages are compressed, for clients that offer it (permessage-deflate)
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Shared)]
    compression: Mode,

    /// How hard to try: 1 is fast, 9 is small
    #[arg(long, value_name = "LEVEL", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=9))]
    compression_level: u8,

    /// Shorter messages are sent to a single client as they are
    ///
    /// A short message on its own does not shrink. Those to a whole room may: see --compression-history.
    #[arg(long, value_name = "SIZE", default_value = "128", value_parser = quantity::size)]
    compression_threshold: usize,

    /// Largest window in bits, 9 to 15
    ///
    /// Fewer bits need less memory, at the server (with per-connection) and at the clients, and shrink less.
    #[arg(long, value_name = "BITS", default_value = "15", value_parser = clap::value_parser!(u8).range(9..=15))]
    compression_window: u8,

    /// Messages to a room between two that stand alone; 0: each stands alone
    ///
    /// A message to a room is compressed once for all its members. With a history, it refers to earlier ones, which
    /// makes small similar messages five times smaller, at the price of one compressor of 380 KiB for each room of at
    /// least 8 members, and 64 rooms at most, on each worker. A client that comes late or misses a message gets plain
    /// ones until the next that stands alone. Needs a window of 15 bits.
    #[arg(long, value_name = "N", default_value = "256")]
    compression_history: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Mode {
    /// Never: no time, no memory
    Off,
    /// Each message on its own, or with its room's history. Connections share what is needed: about 400 KiB for each
    /// worker, and nothing for a connection
    Shared,
    /// Each connection with its own history: messages to one client shrink most, at up to 410 KiB for each connection
    PerConnection,
}

impl Compression {
    /// What the protocol is told of it.
    pub(crate) fn config(&self) -> Option<DeflateConfig> {
        if self.compression == Mode::Off {
            return None;
        }
        let mut config = DeflateConfig::default();
        config.takeover = self.compression == Mode::PerConnection;
        config.level = self.compression_level;
        config.min_len = self.compression_threshold;
        config.window_bits = self.compression_window;
        config.shared_history = (self.compression_history > 0).then_some(self.compression_history);
        Some(config)
    }
}
