//! `--tls-self-signed`: a certificate that is made in memory, and how to trust it. The key is never written anywhere.

use core::fmt;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io, process};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use sha2::{Digest, Sha256};
use wirefan_eventloop::rustls::ServerConfig;
use wirefan_eventloop::{Tls, TlsError};

/// A certificate of this process, and its key.
#[derive(Debug)]
pub(crate) struct SelfSigned {
    der: Vec<u8>,
    key: KeyPair,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum SelfSignedError {
    Make(rcgen::Error),
    Use(TlsError),
    Write(PathBuf, io::Error),
}

impl fmt::Display for SelfSignedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(error) => write!(f, "cannot make a certificate: {error}"),
            Self::Use(error) => write!(f, "cannot use the certificate that was made: {error}"),
            Self::Write(path, error) => write!(
                f,
                "cannot write the certificate to {}: {error}; TMPDIR chooses another folder",
                path.display()
            ),
        }
    }
}

impl SelfSigned {
    /// One for localhost and these addresses.
    pub(crate) fn make(addrs: &[SocketAddr]) -> Result<Self, SelfSignedError> {
        let here = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ];
        let listened = addrs.iter().map(SocketAddr::ip);
        let ips: BTreeSet<IpAddr> = here
            .into_iter()
            .chain(listened)
            .filter(|ip| !ip.is_unspecified())
            .collect();
        let names = ips.iter().map(IpAddr::to_string);
        let names: Vec<String> = [String::from("localhost")]
            .into_iter()
            .chain(names)
            .collect();
        let make = || {
            let mut params = CertificateParams::new(names)?;
            let name = &mut params.distinguished_name;
            name.push(DnType::CommonName, "wirefan, self-signed");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate()?;
            let der = params.self_signed(&key)?.der().to_vec();
            Ok(Self { der, key })
        };
        make().map_err(SelfSignedError::Make)
    }

    /// The configuration that has it.
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, SelfSignedError> {
        let key = pem("PRIVATE KEY", &self.key.serialize_der());
        Tls::builder()
            .identity_pem(self.pem().as_bytes(), key.as_bytes())
            .and_then(|builder| builder.build())
            .map_err(SelfSignedError::Use)
    }

    /// Writes the certificate, without its key, below `folder`, for clients that are to trust it; returns where it is.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, SelfSignedError> {
        // Its own folder for each process: nobody else's link or file is in the way of the name.
        let own = folder.join(format!("wirefan-{}-{}", process::id(), &self.hex()[..8]));
        let path = own.join("cert.pem");
        fs::create_dir(&own)
            .and_then(|()| fs::write(&path, self.pem()))
            .map_err(|error| SelfSignedError::Write(path.clone(), error))?;
        Ok(path)
    }

    /// SHA-256 of the certificate, as browsers show it.
    pub(crate) fn fingerprint(&self) -> String {
        let hex = self.hex();
        let pairs: Vec<&str> = (0..hex.len())
            .step_by(2)
            .map(|at| &hex[at..at + 2])
            .collect();
        pairs.join(":")
    }

    fn hex(&self) -> String {
        let digest = Sha256::digest(&self.der);
        digest.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }
}

/// RFC 7468 §3.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_this_machine_and_can_be_used() {
        let addrs = ["0.0.0.0:1", "192.0.2.7:1", "[::1]:1"].map(|addr| addr.parse().unwrap());
        let made = SelfSigned::make(&addrs).unwrap();
        made.config().unwrap();
        assert!(made.pem().lines().all(|line| line.len() <= 64));
        assert_eq!(made.fingerprint().len(), 32 * 3 - 1);
        assert_ne!(
            made.fingerprint(),
            SelfSigned::make(&addrs).unwrap().fingerprint()
        );
    }
}
