//! [`Asked`]: what the handshakes of a load ask for beside the path, for servers that do not let everybody in.
#![allow(rustdoc::bare_urls, reason = "this is the text of --help")]

use std::sync::Arc;

use clap::Args;
use wirefan_protocol::Config;
use wirefan_protocol::handshake::{ClientHandshake, ClientRequest, InvalidRequest};

use crate::{header, subprotocol};

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Header line of each request, as 'Authorization: Bearer TOKEN'; give it again for more
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header::line)]
    header: Vec<(String, String)>,

    /// Subprotocol to offer, the best first; give it again for more
    #[arg(long, value_name = "NAME", value_parser = subprotocol::name)]
    subprotocol: Vec<String>,

    /// Origin to name, as a browser would: https://example.org
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
}

impl Asked {
    /// Whether it is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.header.is_empty() && self.subprotocol.is_empty() && self.origin.is_none()
    }

    /// What is wrong with it, or with where it is to go.
    pub(crate) fn mistake(&self, host: &str, path: &str) -> Option<InvalidRequest> {
        let config = Arc::default();
        self.start(&config, host, path, [0; 32], &mut Vec::new())
            .err()
    }

    /// Writes a request for a path.
    pub(crate) fn start(
        &self,
        config: &Arc<Config>,
        host: &str,
        path: &str,
        seed: [u8; 32],
        request: &mut Vec<u8>,
    ) -> Result<ClientHandshake, InvalidRequest> {
        let pairs = self.header.iter();
        let headers: Vec<(&str, &str)> = pairs.map(|(name, value)| (&**name, &**value)).collect();
        let protocols: Vec<&str> = self.subprotocol.iter().map(String::as_str).collect();
        let mut asked = ClientRequest::new(host, path);
        asked.headers = &headers;
        asked.protocols = &protocols;
        asked.origin = self.origin.as_deref();
        ClientHandshake::start(Arc::clone(config), asked, seed, request)
    }
}
