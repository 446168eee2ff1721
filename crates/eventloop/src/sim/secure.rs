//! TLS in the simulated network: rustls's own client on the client's end of a line, and what a server needs. Keys and
//! signatures have a fixed length, so that a run with a seed is always the same in what it depends on: how long things are.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

use super::net::Line;
use crate::Tls;

/// A certificate and its key, the same for all runs of this process.
fn identity() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static IDENTITY: OnceLock<(CertificateDer<'static>, Vec<u8>)> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let params = CertificateParams::new(vec!["sim".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.der().clone(), key.serialize_der())
    })
}

/// What a listener has.
pub(super) fn server() -> Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    let make = || {
        let (certificate, key) = identity();
        let key = PrivateKeyDer::try_from(key.clone()).unwrap();
        let config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key);
        Tls::new(config.unwrap())
    };
    TLS.get_or_init(make).clone()
}

/// A client's TLS, and its bytes on their way to the line.
pub(super) struct Secure {
    connection: ClientConnection,
    wire: Vec<u8>,
}

impl Secure {
    pub(super) fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(identity().0.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from("sim").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        connection.set_buffer_limit(None);
        Self {
            connection,
            wire: Vec::new(),
        }
    }

    /// Whether there is something to send, `out` being what the client has to say.
    pub(super) fn has_some(&self, out: &[u8]) -> bool {
        let may_seal = !self.connection.is_handshaking();
        !self.wire.is_empty() || self.connection.wants_write() || (may_seal && !out.is_empty())
    }

    /// Whether nothing of the client's is left here.
    pub(super) fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// Seals what the client has to say, and sends what there is room for.
    pub(super) fn send(&mut self, out: &mut Vec<u8>, line: &Line) {
        if !self.connection.is_handshaking() {
            self.connection.writer().write_all(out).unwrap();
            out.clear();
        }
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.wire).unwrap();
        }
        let sent = line.send(&self.wire);
        self.wire.drain(..sent);
    }

    /// Opens what has come.
    pub(super) fn open(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).unwrap();
            self.connection
                .process_new_packets()
                .expect("records that can be opened");
            let _ = self.connection.reader().read_to_end(&mut plain);
        }
        plain
    }
}
