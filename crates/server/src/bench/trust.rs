//! Which certificates a load takes, for `wss://`: those of `--tls-ca`, or any.

use core::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use wirefan_eventloop::rustls::client::Resumption;
use wirefan_eventloop::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use wirefan_eventloop::rustls::crypto::{CryptoProvider, ring};
use wirefan_eventloop::rustls::pki_types::pem::{self, PemObject};
use wirefan_eventloop::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use wirefan_eventloop::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

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
    /// The file holds no certificates.
    Ca(PathBuf, pem::Error),
    /// A certificate is none, or TLS cannot be set up.
    Tls(rustls::Error),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str(
                "whose certificate is to be trusted? give --tls-ca FILE, or --insecure for any",
            ),
            Self::Ca(path, error) => write!(f, "no certificate in {}: {error}", path.display()),
            Self::Tls(error) => write!(f, "cannot use TLS: {error}"),
        }
    }
}

impl Trust {
    /// A client that makes a whole handshake each time, so that each costs the same.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Tls)?;
        let builder = match &self.tls_ca {
            Some(path) => {
                let wrong = |error| TrustError::Ca(path.clone(), error);
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_file_iter(path).map_err(wrong)? {
                    roots
                        .add(certificate.map_err(wrong)?)
                        .map_err(TrustError::Tls)?;
                }
                if roots.is_empty() {
                    return Err(wrong(pem::Error::NoItemsFound));
                }
                builder.with_root_certificates(roots)
            }
            None if self.insecure => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider))),
            None => return Err(TrustError::Nobody),
        };
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Takes any certificate, and looks whether the server has its key: that is part of the work of a handshake.
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
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
