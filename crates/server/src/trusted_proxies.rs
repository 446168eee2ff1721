//! `--trusted-proxy`: whose word about a client's address counts. Read by whatever listens.

use clap::Args;
use wirefan_eventloop::admission::Networks;

/// The options about proxies in front.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Behind a proxy")]
pub(crate) struct TrustedProxyOptions {
    /// Network of proxies in front, whose word about a client's address counts; give it again for more
    ///
    /// 10.0.0.0/8, fd00::/8, one address, loopback or private. Their own addresses are not counted by the limits for
    /// each client.
    #[arg(long, value_name = "NET")]
    trusted_proxy: Vec<Networks>,
}

impl TrustedProxyOptions {
    /// The networks that are trusted.
    pub(crate) fn networks(&self) -> Networks {
        let networks = self.trusted_proxy.iter().flat_map(Networks::iter);
        networks.copied().collect()
    }
}
