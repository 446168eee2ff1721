//! TLS below the peers that can speak WebSocket on any stream: rustls with ring, as wirefan has it.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// As [`serve`](crate::serve), over TLS with the certificate and key of these files.
pub fn serve_tls<C, F>(port: u16, (certificate, key): &(String, String), connection: C)
where
    C: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let chain = CertificateDer::pem_file_iter(certificate)
        .expect("a certificate")
        .collect::<Result<_, _>>()
        .expect("certificates");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    crate::serve(port, move |stream| {
        let (acceptor, connection) = (acceptor.clone(), connection.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                connection(stream).await;
            }
        }
    });
}
