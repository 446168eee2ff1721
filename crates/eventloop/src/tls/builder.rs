//! [`TlsBuilder`]: from PEM to a configuration that is safe by default. Called by whoever sets up or renews a listener.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::identity::Identities;

/// All that is spoken here. `h2` is not: WebSocket over HTTP/2 is another protocol.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// Whether clients must have a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAuth {
    /// A handshake without one fails.
    Required,
    /// A client without one comes in, one with a certificate that is not trusted does not;
    /// [`TlsSession::peer_certificates`](super::TlsSession::peer_certificates) tells which it was.
    Optional,
}

/// A TLS configuration to be: TLS 1.2 and 1.3 with rustls's choice of cipher suites from *ring*, `http/1.1` by ALPN,
/// stateless session tickets whose keys change every six hours, no early data.
///
/// With several certificates the name that the client asks for (SNI) chooses, wildcards included; the first is for
/// clients that ask for no name or for another one.
///
/// ```no_run
/// use wirefan_eventloop::{ClientAuth, Tls};
///
/// let config = Tls::builder()
///     .identity_files("chat.example.pem", "chat.example.key")?
///     .identity_files("other.example.pem", "other.example.key")?
///     .client_ca_file("clients-ca.pem", ClientAuth::Required)?
///     .build()?;
/// let tls = Tls::new(config);
/// # Ok::<(), wirefan_eventloop::TlsError>(())
/// ```
#[derive(Debug)]
pub struct TlsBuilder {
    provider: Arc<CryptoProvider>,
    identities: Identities,
    client_ca: Option<(RootCertStore, ClientAuth)>,
}

impl Default for TlsBuilder {
    fn default() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            identities: Identities::default(),
            client_ca: None,
        }
    }
}

impl TlsBuilder {
    /// Adds a certificate chain, the server's own first, and its private key (PKCS #8, PKCS #1 or SEC 1), from PEM files.
    ///
    /// # Errors
    ///
    /// A file cannot be read or does not hold what it should, or the key is another certificate's.
    pub fn identity_files(
        self,
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (certificates, key) = (certificates.as_ref(), key.as_ref());
        self.identity(
            &read(certificates)?,
            &read(key)?,
            (&PemSource::of(certificates), &PemSource::of(key)),
        )
    }

    /// The same from PEM in memory.
    ///
    /// # Errors
    ///
    /// As [`identity_files`](Self::identity_files).
    pub fn identity_pem(self, certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        self.identity(certificates, key, (&PemSource::Memory, &PemSource::Memory))
    }

    fn identity(
        mut self,
        certificates: &[u8],
        key: &[u8],
        (from, key_from): (&PemSource, &PemSource),
    ) -> Result<Self, TlsError> {
        let chain = chain(certificates, from)?;
        let key = private_key(key, key_from)?;
        let identity = CertifiedKey::from_der(chain, key, &self.provider)
            .map_err(|error| TlsError::Identity(key_from.clone(), error))?;
        self.identities.push(identity);
        Ok(self)
    }

    /// Asks clients for a certificate that one of these authorities has signed; once more adds to them. All of one
    /// builder are required, or optional, by the last word.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no certificate.
    pub fn client_ca_file(
        self,
        path: impl AsRef<Path>,
        auth: ClientAuth,
    ) -> Result<Self, TlsError> {
        let path = path.as_ref();
        self.client_ca(&read(path)?, auth, &PemSource::of(path))
    }

    /// The same from PEM in memory.
    ///
    /// # Errors
    ///
    /// As [`client_ca_file`](Self::client_ca_file).
    pub fn client_ca_pem(self, pem: &[u8], auth: ClientAuth) -> Result<Self, TlsError> {
        self.client_ca(pem, auth, &PemSource::Memory)
    }

    fn client_ca(
        mut self,
        pem: &[u8],
        auth: ClientAuth,
        from: &PemSource,
    ) -> Result<Self, TlsError> {
        let mut roots = self
            .client_ca
            .take()
            .map_or_else(RootCertStore::empty, |ca| ca.0);
        for certificate in chain(pem, from)? {
            roots
                .add(certificate)
                .map_err(|error| TlsError::Identity(from.clone(), error))?;
        }
        self.client_ca = Some((roots, auth));
        Ok(self)
    }

    /// The configuration, for [`Tls::new`](super::Tls::new) or [`Tls::replace`](super::Tls::replace). It may still be
    /// changed before it gets there.
    ///
    /// # Errors
    ///
    /// There is no certificate.
    pub fn build(self) -> Result<Arc<ServerConfig>, TlsError> {
        if self.identities.is_empty() {
            return Err(TlsError::NoIdentity);
        }
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Config)?;
        let builder = match self.client_ca {
            None => builder.with_no_client_auth(),
            Some((roots, auth)) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), self.provider);
                let verifier = match auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(TlsError::ClientCa)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(self.identities));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Config)?;
        Ok(Arc::new(config))
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read(path.into(), error))
}

pub(super) fn chain(
    pem: &[u8],
    from: &PemSource,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Pem(from.clone(), error.to_string().into()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(from.clone()));
    }
    Ok(chain)
}

pub(super) fn private_key(
    key: &[u8],
    from: &PemSource,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(from.clone()),
        error => TlsError::Pem(from.clone(), error.to_string().into()),
    })
}

/// Where PEM came from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PemSource {
    /// A file.
    File(PathBuf),
    /// The caller.
    Memory,
}

impl PemSource {
    pub(super) fn of(path: &Path) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("the PEM"),
        }
    }
}

/// Why there is no TLS configuration. Said in one line, with the file that it is about.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// What should be PEM is not.
    Pem(PemSource, Box<str>),
    /// There is no certificate in it.
    NoCertificate(PemSource),
    /// There is no private key in it.
    NoKey(PemSource),
    /// The key or the certificate cannot be used, or they do not belong together.
    Identity(PemSource, rustls::Error),
    /// The authorities for clients cannot be used.
    ClientCa(VerifierBuilderError),
    /// The authorities for servers cannot be used.
    #[cfg(feature = "client")]
    ServerCa(VerifierBuilderError),
    /// No certificate was given.
    NoIdentity,
    /// The crypto provider does not do what is needed.
    Config(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Pem(from, why) => write!(f, "{from} is not PEM: {why}"),
            Self::NoCertificate(from) => write!(f, "there is no certificate in {from}"),
            Self::NoKey(from) => write!(f, "there is no private key in {from}"),
            Self::Identity(from, rustls::Error::InconsistentKeys(_)) => {
                write!(f, "the key in {from} is not that of the certificate")
            }
            Self::Identity(from, error) => write!(f, "{from} cannot be used: {error}"),
            Self::ClientCa(error) => write!(f, "the client CA cannot be used: {error}"),
            #[cfg(feature = "client")]
            Self::ServerCa(error) => write!(f, "the server CA cannot be used: {error}"),
            Self::NoIdentity => f.write_str("TLS needs a certificate and its key"),
            Self::Config(error) => write!(f, "TLS cannot be set up: {error}"),
        }
    }
}

impl core::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Read(_, error) => Some(error),
            Self::Identity(_, error) | Self::Config(error) => Some(error),
            Self::ClientCa(error) => Some(error),
            #[cfg(feature = "client")]
            Self::ServerCa(error) => Some(error),
            _ => None,
        }
    }
}
