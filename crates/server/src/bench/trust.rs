//! Which certificates a load takes, for `wss://`: those of `--tls-ca`, or any.

use core::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use wirefan_eventloop::rustls::ClientConfig;
use wirefan_eventloop::rustls::client::Resumption;
use wirefan_eventloop::{ClientTls, TlsError};

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Trust {
    /// wss://: take a server's certificate if one of these has signed it, or is it (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// wss://: take any certificate, unseen
    #[arg(long, conflicts_with = "tls_ca")]
    insecure: bool,
}

/// Why there is no TLS.
#[derive(Debug)]
pub(crate) enum TrustError {
    /// Neither option was given.
    Nobody,
    /// The file holds no certificates, or TLS cannot be set up.
    Tls(TlsError),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str(
                "whose certificate is to be trusted? give --tls-ca FILE, or --insecure for any",
            ),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl Trust {
    /// A client that makes a whole handshake each time, so that each costs the same, and offers nothing by ALPN: whatever
    /// server it measures need not know of it.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let builder = ClientTls::builder();
        let builder = match &self.tls_ca {
            Some(path) => builder.server_ca_file(path).map_err(TrustError::Tls)?,
            None if self.insecure => builder.dangerously_accept_any_certificate(),
            None => return Err(TrustError::Nobody),
        };
        let tls = builder.build().map_err(TrustError::Tls)?;
        let mut config = Arc::unwrap_or_clone(tls.config());
        config.alpn_protocols.clear();
        config.resumption = Resumption::disabled();
        Ok(config.into())
    }
}
