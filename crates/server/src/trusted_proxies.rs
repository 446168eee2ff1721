//! `--trusted-proxy`: whose word about a client's address counts. Read by whatever listens, and by the door.

use clap::{Args, ValueEnum};
use wirefan_admission::{ForwardedHeader, Networks, TrustedProxies};

/// The options about proxies in front.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Behind a proxy")]
pub(crate) struct TrustedProxyOptions {
    /// Network of proxies in front, whose word about a client's address counts; give it again for more
    ///
    /// 10.0.0.0/8, fd00::/8, one address, loopback or private. What these say is in the log, in limits, and told to
    /// --auth-url; what anybody else says is not read. Name only proxies that set the header themselves.
    #[arg(long, value_name = "NET")]
    trusted_proxy: Vec<Networks>,

    /// Where proxies put the address of a client
    #[arg(
        long,
        value_name = "HEADER",
        value_enum,
        default_value_t,
        requires = "trusted_proxy"
    )]
    forwarded_header: Header,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Header {
    /// X-Forwarded-For, with X-Forwarded-Proto and X-Forwarded-Host
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

impl TrustedProxyOptions {
    /// The networks that are trusted.
    pub(crate) fn networks(&self) -> Networks {
        let networks = self.trusted_proxy.iter().flat_map(Networks::iter);
        networks.copied().collect()
    }

    /// Whether they tell the host that was asked in `X-Forwarded-Host`.
    pub(crate) fn forwarded_host(&self) -> bool {
        self.forwarded_header == Header::XForwardedFor
    }

    /// What tells the client's address behind them.
    pub(crate) fn proxies(&self) -> TrustedProxies {
        let header = match self.forwarded_header {
            Header::XForwardedFor => ForwardedHeader::XForwardedFor,
            Header::Forwarded => ForwardedHeader::Forwarded,
        };
        TrustedProxies::new(self.networks(), header)
    }
}
