//! `--tls-…`: which certificates there are, whom of the clients they let in, and the configuration that follows.

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use clap::{Args, ValueEnum};
use wirefan_eventloop::rustls::ServerConfig;
use wirefan_eventloop::{ClientAuth, Tls, TlsError};

/// The options about TLS.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsOptions {
    /// Certificate chain in a PEM file, the server's own first; give it again, with its key, for more
    ///
    /// The name that a client asks for (SNI) chooses among several, wildcards included; the first is for all other
    /// names. The files are read again on SIGHUP and when they change, and no connection is lost over that.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Vec<PathBuf>,

    /// Private key of the certificate, in a PEM file; one for each --tls-cert, in their order
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Vec<PathBuf>,

    /// Let in only clients with a certificate that an authority in this PEM file has signed
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// Whether clients must have a certificate
    #[arg(
        long,
        value_name = "WHETHER",
        value_enum,
        default_value_t,
        requires = "tls_client_ca"
    )]
    tls_client_auth: Whether,

    /// Make a certificate for this machine in memory, for development
    ///
    /// It is for localhost and for the addresses that are listened on, and ends with the server. How to trust it is
    /// logged at the start.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key", "tls_client_ca"])]
    pub(crate) tls_self_signed: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Whether {
    /// Without one the handshake fails
    #[default]
    Required,
    /// Without one a client comes in too, with one that is not trusted it does not
    Optional,
}

impl TlsOptions {
    /// Whether there is a certificate.
    pub(crate) fn is_on(&self) -> bool {
        self.tls_self_signed || !self.tls_cert.is_empty()
    }

    /// The files, if there are any.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        let identities = self.tls_cert.iter().cloned();
        let files = Named {
            identities: identities.zip(self.tls_key.iter().cloned()).collect(),
            client_ca: self.tls_client_ca.clone(),
            client_auth: match self.tls_client_auth {
                Whether::Required => ClientAuth::Required,
                Whether::Optional => ClientAuth::Optional,
            },
        };
        (!files.identities.is_empty()).then(|| TlsFiles(Arc::new(RwLock::new(files))))
    }
}

/// The files that a configuration is made from; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles(Arc<RwLock<Named>>);

#[derive(Clone, Debug)]
struct Named {
    identities: Vec<(PathBuf, PathBuf)>,
    client_ca: Option<PathBuf>,
    client_auth: ClientAuth,
}

/// What is in the files, to see whether it changes.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Contents(Vec<Result<Vec<u8>, io::ErrorKind>>);

impl Contents {
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let read = |path: &Path| fs::read(path).map_err(|error| error.kind());
        Self(paths.map(read).collect())
    }
}

impl TlsFiles {
    fn named(&self) -> Named {
        let named = self.0.read().unwrap_or_else(PoisonError::into_inner);
        named.clone()
    }

    /// Takes others in their place.
    pub(crate) fn replace(&self, others: &Self) {
        let others = others.named();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let named = self.named();
        let mut builder = Tls::builder();
        for (certificates, key) in &named.identities {
            builder = builder.identity_files(certificates, key)?;
        }
        if let Some(path) = &named.client_ca {
            builder = builder.client_ca_file(path, named.client_auth)?;
        }
        builder.build()
    }

    pub(crate) fn contents(&self) -> Contents {
        Contents::of(self.named().paths())
    }
}

impl Named {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.identities.iter();
        pairs
            .flat_map(|(certificates, key)| [certificates, key])
            .chain(&self.client_ca)
            .map(PathBuf::as_path)
    }
}

impl fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, path) in self.named().paths().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{}", path.display())?;
        }
        Ok(())
    }
}
