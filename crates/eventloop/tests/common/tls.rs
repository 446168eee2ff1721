//! Certificates made for a test, servers that have them, and rustls's own client.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use wirefan_eventloop::rustls::crypto::ring::default_provider;
use wirefan_eventloop::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use wirefan_eventloop::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use wirefan_eventloop::{ClientAuth, ServerBuilder, Tls, TlsBuilder};

use super::client::{Client, dial};

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// An authority that signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name for each: the same would be taken for the same authority.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Identity {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }
}

impl Identity {
    /// The certificate and the key.
    pub(crate) fn pem(&self) -> (String, String) {
        (
            pem("CERTIFICATE", &self.certificate),
            pem("PRIVATE KEY", &self.key),
        )
    }

    pub(crate) fn add_to(&self, builder: TlsBuilder) -> TlsBuilder {
        let (certificate, key) = self.pem();
        builder
            .identity_pem(certificate.as_bytes(), key.as_bytes())
            .expect("an identity")
    }

    pub(crate) fn tls(&self) -> Tls {
        Tls::new(
            self.add_to(Tls::builder())
                .build()
                .expect("a configuration"),
        )
    }
}

/// RFC 7468, as far as a test needs it: one long line.
fn pem(label: &str, der: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for three in der.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| {
            bits << 8 | u32::from(*three.get(i).unwrap_or(&0))
        });
        for i in 0..4 {
            let digit = digits[(bits >> (18 - 6 * i)) as usize & 63];
            base64.push(if i > three.len() { '=' } else { digit.into() });
        }
    }
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

/// A configuration of a client that trusts an authority.
pub(crate) struct Trust<'a> {
    pub(crate) authority: &'a CertificateDer<'static>,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) alpn: &'a [&'a str],
}

impl<'a> Trust<'a> {
    pub(crate) fn of(authority: &'a Authority) -> Self {
        Self {
            authority: &authority.certificate,
            identity: None,
            versions: wirefan_eventloop::rustls::ALL_VERSIONS,
            alpn: &[],
        }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::try_from(identity.key.clone()).expect("a key");
                builder
                    .with_client_auth_cert(vec![identity.certificate.clone()], key)
                    .expect("an identity")
            }
        };
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config.into()
    }
}

/// TLS on a connected socket, the handshake not begun.
pub(crate) fn begin(config: &Arc<ClientConfig>, name: &str, socket: TcpStream) -> TlsStream {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let client = ClientConnection::new(Arc::clone(config), name).expect("a client");
    StreamOwned::new(client, socket)
}

/// TLS to a server, the handshake done as far as the client is concerned.
pub(crate) fn secure(config: &Arc<ClientConfig>, name: &str, addr: SocketAddr) -> TlsStream {
    let mut stream = begin(config, name, dial(addr));
    stream.flush().expect("a handshake");
    stream
}

pub(crate) fn client(
    config: &Arc<ClientConfig>,
    name: &str,
    addr: SocketAddr,
) -> Client<TlsStream> {
    Client::over(secure(config, name, addr), "/")
}

/// Listens with TLS on a second port.
pub(crate) fn listen_too(tls: &Tls) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    let tls = tls.clone();
    move |builder| builder.listen_tls("127.0.0.1:0", &tls).expect("an address")
}

/// A builder that asks for certificates of this authority's clients.
pub(crate) fn asks(identity: &Identity, authority: &Authority, auth: ClientAuth) -> Tls {
    let builder = identity.add_to(Tls::builder());
    let builder = builder.client_ca_pem(authority.pem().as_bytes(), auth);
    Tls::new(builder.expect("a CA").build().expect("a configuration"))
}
