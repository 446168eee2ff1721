//! The flags of the admin listener. Flattened into those of both servers.

use std::path::PathBuf;

use clap::Args;

use crate::listen::Listen;

/// Where the server can be watched and acted on, and by whom.
#[derive(Args, Debug)]
#[command(next_help_heading = "Admin")]
pub(crate) struct AdminOptions {
    /// Address for metrics, health checks, the API and the dashboard [default: none]
    ///
    /// Plain HTTP, apart from --listen: http://HOST:PORT/dashboard in a browser, /metrics for Prometheus, /health and
    /// /ready for whoever asks whether it lives and wants clients, /api for the rest. Other than a loopback address it
    /// takes --admin-token-file. Port 0 takes a free one and logs it.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) admin: Option<String>,

    /// File with the token for the admin listener, on its first line
    ///
    /// Everything but /health and /ready then wants `Authorization: Bearer TOKEN`. Without it, which only a loopback
    /// address may be, everyone on this machine can look, and nobody can publish or close connections.
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// Let everyone who reaches the admin listener read /metrics, without the token
    #[arg(long, requires = "admin")]
    pub(crate) admin_open_metrics: bool,
}

fn address(text: &str) -> Result<String, &'static str> {
    match Listen::parse(text)? {
        Listen { tls: true, .. } => Err("the admin listener speaks no TLS: write HOST:PORT"),
        Listen { addr, .. } => Ok(addr),
    }
}
