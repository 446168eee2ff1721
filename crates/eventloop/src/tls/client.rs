//! [`ClientTls`]: whom a dialled connection trusts, and who we are. Made by applications, used in each handshake.

use core::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::builder::{ALPN, chain, private_key, read};
use super::{PemSource, TlsError};

/// Whom dialled connections trust, and what they show. Clones share what is kept for resuming sessions.
///
/// A [`Dial`](crate::Dial) to `wss://` without one trusts whom the system trusts.
///
/// ```no_run
/// use wirefan_eventloop::{ClientTls, Dial};
///
/// let tls = ClientTls::builder().server_ca_file("our-ca.pem")?.build()?;
/// let dial = Dial::new("wss://chat.internal.example/")?.tls(&tls);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// From a configuration of one's own, with any crypto provider. Offer `http/1.1` by ALPN or nothing at all. Early
    /// data is switched off: it could be replayed.
    pub fn new(config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        config.enable_early_data = false;
        Self {
            config: Arc::new(config),
        }
    }

    /// A configuration to be: own authorities, a certificate of one's own.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// What is trusted where nothing else is said; made once in a process, which may take a while.
    pub(crate) fn of_system() -> Result<Self, Box<str>> {
        static SYSTEM: OnceLock<Result<ClientTls, Box<str>>> = OnceLock::new();
        let make = || {
            Self::builder()
                .build()
                .map_err(|why| why.to_string().into())
        };
        SYSTEM.get_or_init(make).clone()
    }

    /// The configuration of rustls: for connections that something else makes, or to begin one of one's own with.
    ///
    /// ```no_run
    /// use wirefan_eventloop::{ClientTls, rustls::client::Resumption};
    ///
    /// let tls = ClientTls::builder().server_ca_file("our-ca.pem")?.build()?;
    /// let mut config = (*tls.config()).clone();
    /// config.resumption = Resumption::disabled();
    /// let tls = ClientTls::new(config);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// A configuration to be: TLS 1.2 and 1.3 with rustls's choice of cipher suites from *ring*, `http/1.1` by ALPN. Names of
/// hosts are verified, and addresses too.
#[derive(Debug)]
pub struct ClientTlsBuilder {
    provider: Arc<CryptoProvider>,
    authorities: Vec<CertificateDer<'static>>,
    with_system: bool,
    anyone: bool,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Default for ClientTlsBuilder {
    fn default() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            authorities: Vec::new(),
            with_system: false,
            anyone: false,
            identity: None,
        }
    }
}

impl ClientTlsBuilder {
    /// Trusts the authorities in a PEM file, and no longer those of the system.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no certificate.
    pub fn server_ca_file(mut self, path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = path.as_ref();
        let more = chain(&read(path)?, &PemSource::of(path))?;
        self.authorities.extend(more);
        Ok(self)
    }

    /// The same from PEM in memory.
    ///
    /// # Errors
    ///
    /// As [`server_ca_file`](Self::server_ca_file).
    pub fn server_ca_pem(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        self.authorities.extend(chain(pem, &PemSource::Memory)?);
        Ok(self)
    }

    /// Trusts those of the system too. Not on Android, where they cannot be had together with others.
    #[cfg(not(target_os = "android"))]
    #[must_use]
    pub fn and_system_authorities(mut self) -> Self {
        self.with_system = true;
        self
    }

    /// Shows a certificate of our own to servers that ask for one: its chain, and its private key (PKCS #8, PKCS #1 or
    /// SEC 1), from PEM files.
    ///
    /// # Errors
    ///
    /// A file cannot be read or does not hold what it should.
    pub fn identity_files(
        mut self,
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (certificates, key) = (certificates.as_ref(), key.as_ref());
        let chain = chain(&read(certificates)?, &PemSource::of(certificates))?;
        self.identity = Some((chain, private_key(&read(key)?, &PemSource::of(key))?));
        Ok(self)
    }

    /// The same from PEM in memory.
    ///
    /// # Errors
    ///
    /// As [`identity_files`](Self::identity_files).
    pub fn identity_pem(mut self, certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = chain(certificates, &PemSource::Memory)?;
        self.identity = Some((chain, private_key(key, &PemSource::Memory)?));
        Ok(self)
    }

    /// Takes any certificate for any name: whoever sits on the way can read and change everything. For tests alone.
    #[must_use]
    pub fn dangerously_accept_any_certificate(mut self) -> Self {
        self.anyone = true;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// The authorities cannot be used or the system's not be had, or the key is not that of the certificate.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        let provider = self.provider;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Config)?;
        let verifier: Arc<dyn ServerCertVerifier> = if self.anyone {
            Arc::new(Anyone(provider))
        } else if self.authorities.is_empty() {
            Arc::new(Verifier::new(provider).map_err(TlsError::Config)?)
        } else if self.with_system {
            with_system(self.authorities, provider)?
        } else {
            let mut roots = RootCertStore::empty();
            for authority in self.authorities {
                let added = roots.add(authority);
                added.map_err(|error| TlsError::Identity(PemSource::Memory, error))?;
            }
            WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(TlsError::ServerCa)?
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsError::Identity(PemSource::Memory, error))?,
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(ClientTls::new(config))
    }
}

#[cfg(not(target_os = "android"))]
fn with_system(
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let verifier = Verifier::new_with_extra_roots(authorities, provider);
    Ok(Arc::new(verifier.map_err(TlsError::Config)?))
}

#[cfg(target_os = "android")]
fn with_system(
    _: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    Ok(Arc::new(Verifier::new(provider).map_err(TlsError::Config)?))
}

/// Believes whoever answers.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
