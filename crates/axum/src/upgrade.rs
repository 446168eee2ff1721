//! [`WebSocketUpgrade`]: the extractor, and the answer that upgrades.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum_core::Error;
use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::Response;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use wirefan_protocol::handshake::{accept_key, negotiate, parse_key};
use wirefan_tokio::{Config, DeflateConfig, Role, WebSocketStream};

use crate::WebSocket;
use crate::rejection::{
    ConnectionNotUpgradable, InvalidConnectionHeader, InvalidProtocolPseudoheader,
    InvalidUpgradeHeader, InvalidWebSocketExtensionsHeader, InvalidWebSocketKeyHeader,
    InvalidWebSocketVersionHeader, MethodNotConnect, MethodNotGet, WebSocketKeyHeaderMissing,
    WebSocketUpgradeRejection,
};

/// Extracts what a WebSocket needs from a request; return what [`on_upgrade`](Self::on_upgrade) gives.
///
/// HTTP/1.1 asks with GET, HTTP/2 with CONNECT (RFC 8441, with the feature `http2` and a server that enables it):
/// `routing::any` takes both.
#[must_use = "the response of `on_upgrade` is to be returned"]
pub struct WebSocketUpgrade<F = DefaultOnFailedUpgrade> {
    config: Config,
    protocol: Option<HeaderValue>,
    /// `None` with HTTP/2.
    key: Option<HeaderValue>,
    extensions: Vec<HeaderValue>,
    requested_protocols: BTreeSet<HeaderValue>,
    on_upgrade: OnUpgrade,
    on_failed_upgrade: F,
}

impl<F> WebSocketUpgrade<F> {
    /// Sets the longest message in bytes, over all of its fragments. Default: 1 MiB.
    pub fn max_message_size(mut self, max: usize) -> Self {
        self.config.max_message = max;
        self
    }

    /// Agrees on permessage-deflate (RFC 7692) with clients that offer it. Default: no.
    ///
    /// ```
    /// use axum::response::Response;
    /// use wirefan_axum::{DeflateConfig, WebSocketUpgrade};
    ///
    /// async fn handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.compression(DeflateConfig::default()).on_upgrade(|socket| async {
    ///         // ...
    /// #       let _ = socket;
    ///     })
    /// }
    /// # let _ = axum::Router::<()>::new().route("/ws", axum::routing::any(handler));
    /// ```
    pub fn compression(mut self, deflate: DeflateConfig) -> Self {
        self.config.deflate = Some(deflate);
        self
    }

    /// Sets all limits, and compression, at once.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Chooses the first of these subprotocols that the client offers.
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let mut values = protocols
            .into_iter()
            .filter_map(|protocol| HeaderValue::from_str(&protocol.into()).ok());
        self.protocol = values.find(|protocol| self.requested_protocols.contains(protocol));
        self
    }

    /// The subprotocols that the client offers.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.requested_protocols.iter()
    }

    /// Chooses a subprotocol. It should be one that was offered: clients fail connections with others.
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.protocol = Some(protocol);
    }

    /// The subprotocol that was chosen, if any.
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    /// Has `callback` called if the connection cannot be upgraded after all, which is silent by default.
    pub fn on_failed_upgrade<C: OnFailedUpgrade>(self, callback: C) -> WebSocketUpgrade<C> {
        WebSocketUpgrade {
            config: self.config,
            protocol: self.protocol,
            key: self.key,
            extensions: self.extensions,
            requested_protocols: self.requested_protocols,
            on_upgrade: self.on_upgrade,
            on_failed_upgrade: callback,
        }
    }

    /// Answers the request, and calls `callback` with the open connection, in a task of its own.
    #[must_use = "to set up the WebSocket connection, this response must be returned"]
    pub fn on_upgrade<C, Fut>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: OnFailedUpgrade,
    {
        let offers = self.extensions.iter().map(HeaderValue::as_bytes);
        // Lists that are none have been rejected.
        let (agreed, extension) = negotiate(offers, &self.config).unwrap_or_default();
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if let Some(value) = extension.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, value);
        }
        if let Some(protocol) = self.protocol.clone() {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        // With HTTP/2 a 200 is all (RFC 8441 §5).
        if let Some(key) = &self.key {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            if let Ok(accept) = HeaderValue::from_bytes(&accept_key(key.as_bytes())) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }

        let (config, protocol) = (Arc::new(self.config), self.protocol);
        let (on_upgrade, on_failed_upgrade) = (self.on_upgrade, self.on_failed_upgrade);
        tokio::spawn(async move {
            let upgraded = match on_upgrade.await {
                Ok(upgraded) => TokioIo::new(upgraded),
                Err(error) => return on_failed_upgrade.call(Error::new(error)),
            };
            match WebSocketStream::from_upgraded(upgraded, Role::Server, config, agreed, []) {
                Ok(inner) => callback(WebSocket { inner, protocol }).await,
                Err(error) => on_failed_upgrade.call(Error::new(error)),
            }
        });
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let headers = &parts.headers;
        let key = if parts.version <= Version::HTTP_11 {
            if parts.method != Method::GET {
                return Err(MethodNotGet.into());
            }
            if !has_element(headers, header::CONNECTION, "upgrade") {
                return Err(InvalidConnectionHeader.into());
            }
            if !has_element(headers, header::UPGRADE, "websocket") {
                return Err(InvalidUpgradeHeader.into());
            }
            let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).into_iter();
            let key = keys.next().ok_or(WebSocketKeyHeaderMissing)?;
            // RFC 6455 §11.3.1: it does not come twice.
            if parse_key(key.as_bytes()).is_none() || keys.next().is_some() {
                return Err(InvalidWebSocketKeyHeader.into());
            }
            Some(key.clone())
        } else {
            if parts.method != Method::CONNECT {
                return Err(MethodNotConnect.into());
            }
            if !names_websocket(parts) {
                return Err(InvalidProtocolPseudoheader.into());
            }
            None
        };
        if headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version != "13")
        {
            return Err(InvalidWebSocketVersionHeader.into());
        }
        let extensions = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
        let extensions: Vec<HeaderValue> = extensions.iter().cloned().collect();
        let offers = extensions.iter().map(HeaderValue::as_bytes);
        if negotiate(offers, &Config::default()).is_err() {
            return Err(InvalidWebSocketExtensionsHeader.into());
        }
        let requested_protocols = elements(headers, header::SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|protocol| HeaderValue::from_bytes(protocol).ok())
            .collect();
        let on_upgrade = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or(ConnectionNotUpgradable)?;
        Ok(Self {
            config: Config::default(),
            protocol: None,
            key,
            extensions,
            requested_protocols,
            on_upgrade,
            on_failed_upgrade: DefaultOnFailedUpgrade,
        })
    }
}

#[cfg(feature = "http2")]
fn names_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Without the feature no such request gets through.
#[cfg(not(feature = "http2"))]
fn names_websocket(_: &Parts) -> bool {
    false
}

/// The elements of a list, over all lines with this name.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| {
        line.as_bytes()
            .split(|&byte| byte == b',')
            .map(<[u8]>::trim_ascii)
    })
}

fn has_element(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(wanted.as_bytes()))
}

impl<F> fmt::Debug for WebSocketUpgrade<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("config", &self.config)
            .field("protocol", &self.protocol)
            .field("requested_protocols", &self.requested_protocols)
            .finish_non_exhaustive()
    }
}

/// What to do when a connection cannot be upgraded. A closure that takes the error will do.
pub trait OnFailedUpgrade: Send + 'static {
    /// Does it.
    fn call(self, error: Error);
}

impl<F: FnOnce(Error) + Send + 'static> OnFailedUpgrade for F {
    fn call(self, error: Error) {
        self(error);
    }
}

/// Ignores the error.
#[derive(Debug)]
#[non_exhaustive]
pub struct DefaultOnFailedUpgrade;

impl OnFailedUpgrade for DefaultOnFailedUpgrade {
    fn call(self, _: Error) {}
}
