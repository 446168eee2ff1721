//! [`Certificate`]: the one that all programs of a comparison have in rows over TLS, so that each signs with a key of the
//! same kind. Made anew for each run.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
            chain: put("certificate.pem", pem("CERTIFICATE", cert.der()))?,
            key: put("key.pem", pem("PRIVATE KEY", signing_key.serialized_der()))?,
        })
    }
}

/// RFC 7468: lines of 64 characters, which older readers insist on.
fn pem(what: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {what}-----\n");
    // 48 bytes are 64 characters.
    for line in der.chunks(48) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text + &format!("-----END {what}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_has_short_lines() {
        let text = pem("KEY", &[0; 50]);
        let zeros = "A".repeat(64);
        assert_eq!(
            text,
            format!("-----BEGIN KEY-----\n{zeros}\nAAA=\n-----END KEY-----\n")
        );
    }

    #[test]
    fn a_server_can_use_it() {
        let folder = std::env::temp_dir().join(format!("wirefan-benches-{}", std::process::id()));
        let Certificate { chain, key } = Certificate::make(&folder).unwrap();
        let used = wirefan_eventloop::Tls::builder()
            .identity_files(chain, key)
            .and_then(|builder| builder.build());
        fs::remove_dir_all(&folder).unwrap();
        used.unwrap();
    }
}
