//! [`Identities`]: a server's certificates, and which of them a client gets.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates with their keys and names, the first of them for whoever asks for none of these names.
#[derive(Debug, Default)]
pub(super) struct Identities(Vec<Identity>);

#[derive(Debug)]
struct Identity {
    key: Arc<CertifiedKey>,
    /// In lower case; `*.example.com` stands for one more label.
    names: Vec<Box<str>>,
}

impl Identities {
    pub(super) fn push(&mut self, key: CertifiedKey) {
        let names = key.cert.first().map(names).unwrap_or_default();
        let key = Arc::new(key);
        self.0.push(Identity { key, names });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for this name, the exact ones first; all if there are none.
    fn candidates(&self, name: Option<&str>) -> Vec<&Identity> {
        let name = name.unwrap_or("").to_ascii_lowercase();
        let wild = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let mut found = Vec::new();
        for wanted in [Some(name), wild].iter().flatten() {
            let called =
                |identity: &&Identity| identity.names.iter().any(|name| **name == **wanted);
            found.extend(self.0.iter().filter(called));
        }
        if found.is_empty() {
            found.extend(&self.0);
        }
        found
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // One name may have an RSA and an ECDSA certificate: the client says what it can check.
        let schemes = hello.signature_schemes();
        let candidates = self.candidates(hello.server_name());
        let usable = |identity: &&&Identity| identity.key.key.choose_scheme(schemes).is_some();
        let chosen = candidates
            .iter()
            .find(usable)
            .or_else(|| candidates.first())?;
        Some(Arc::clone(&chosen.key))
    }
}

/// The names that a certificate is for; none if it cannot be read, which the client will tell.
fn names(certificate: &CertificateDer<'_>) -> Vec<Box<str>> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(certificate) => certificate
            .valid_dns_names()
            .map(|name| name.to_ascii_lowercase().into())
            .collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::PrivateKeyDer;

    fn identity(names: &[&str]) -> CertifiedKey {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        CertifiedKey::from_der(vec![made.cert.der().clone()], key, &default_provider()).unwrap()
    }

    #[test]
    fn the_name_that_was_asked_for_chooses_the_certificate() {
        let mut identities = Identities::default();
        for names in [
            &["first.example"][..],
            &["*.chat.example", "chat.example"],
            &["Vip.Chat.Example"],
        ] {
            identities.push(identity(names));
        }
        let chosen = |name| {
            let chosen = identities.candidates(name)[0];
            identities
                .0
                .iter()
                .position(|identity| core::ptr::eq(identity, chosen))
                .unwrap()
        };
        for (name, place) in [
            (None, 0),
            (Some("first.example"), 0),
            (Some("chat.example"), 1),
            (Some("CHAT.example"), 1),
            (Some("tea.chat.example"), 1),
            (Some("vip.chat.example"), 2),
            // A wildcard stands for one label.
            (Some("a.tea.chat.example"), 0),
            (Some("unknown.example"), 0),
            (Some("localhost"), 0),
        ] {
            assert_eq!(chosen(name), place, "{name:?}");
        }
    }
}
