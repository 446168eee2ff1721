//! [`Tls`]: what a listener's handshakes are made with, and may be replaced while it listens.

use core::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::stream::note_server_name;
use super::{TlsBuilder, TlsError};

/// The certificates and rules of a TLS listener. Clones are the same one, on all workers and listeners.
///
/// ```no_run
/// use wirefan_eventloop::{Server, Tls};
///
/// let tls = Tls::from_files("cert.pem", "key.pem")?;
/// let builder = Server::builder().listen("0.0.0.0:80")?.listen_tls("0.0.0.0:443", &tls)?;
/// // Later, with new files: handshakes from now on see them, open connections go on.
/// let renewed = Tls::builder().identity_files("cert.pem", "key.pem")?.build()?;
/// tls.replace(renewed);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// From a configuration of one's own, with any crypto provider. To have browsers connect, offer `http/1.1` by ALPN or
    /// nothing at all, as [`Tls::builder`] does. Early data is switched off: it could be replayed.
    pub fn new(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self {
            config: Arc::new(RwLock::new(witnessed(config.into()))),
        }
    }

    /// From one certificate chain and its private key, in PEM files.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not hold what it should.
    pub fn from_files(
        certificates: impl AsRef<std::path::Path>,
        key: impl AsRef<std::path::Path>,
    ) -> Result<Self, TlsError> {
        let builder = Self::builder().identity_files(certificates, key)?;
        Ok(Self::new(builder.build()?))
    }

    /// A configuration to be: several certificates, clients that have their own.
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    /// Puts another configuration in the place of this one, for all handshakes that begin from now on; no connection is
    /// touched. Sessions are not resumed across it if it has keys of its own for tickets, as one of [`Tls::builder`] has:
    /// a client whose certificate is no longer trusted does not come in by an old ticket.
    pub fn replace(&self, config: impl Into<Arc<ServerConfig>>) {
        let config = witnessed(config.into());
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What a handshake that begins now is made with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The same configuration without early data, whose choice of a certificate also tells us which server was asked for.
fn witnessed(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.cert_resolver = Arc::new(Witness(config.cert_resolver));
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// rustls keeps the server's name to itself where it keeps no buffers: it is seen when the certificate is chosen, which
/// happens in every handshake, resumed ones included.
#[derive(Debug)]
struct Witness(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        note_server_name(hello.server_name());
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}
