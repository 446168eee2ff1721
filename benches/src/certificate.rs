//! [`Certificate`]: the one that all programs of a comparison have in rows over TLS, so that each signs with a key of the
//! same kind. Made anew for each run.

use std::fs;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::error::Error;

/// The files, as words of a command line.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Certificate {
    /// One for command lines that are only shown.
    pub(crate) fn shown() -> Self {
        Self {
            chain: "certificate.pem".to_owned(),
            key: "key.pem".to_owned(),
        }
    }

    /// Makes one for 127.0.0.1, ECDSA on P-256, and puts it into this folder.
    pub(crate) fn make(folder: &Path) -> Result<Self, Error> {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)
            .map_err(|error| Error::Missing(format!("a certificate: {error}")))?;
        fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
        let put = |name: &str, pem: String| {
            let path = folder.join(name);
            fs::write(&path, pem).map_err(Error::io(path.display().to_string()))?;
            Ok(path.display().to_string())
        };
        Ok(Self {
            chain: put("certificate.pem", cert.pem())?,
            key: put("key.pem", signing_key.serialize_pem())?,
        })
    }
}
