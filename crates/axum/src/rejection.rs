//! Why a request was not upgraded. Each is its own answer, by the names, statuses and texts of axum's.

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use std::{error, fmt};

macro_rules! rejections {
    ($( $(#[$doc:meta])* $name:ident, $status:ident, $text:literal; )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default)]
            #[non_exhaustive]
            pub struct $name;

            impl $name {
                /// The body of the answer.
                pub fn body_text(&self) -> String {
                    $text.into()
                }

                /// The status of the answer.
                pub fn status(&self) -> StatusCode {
                    StatusCode::$status
                }
            }

            impl IntoResponse for $name {
                fn into_response(self) -> Response {
                    (self.status(), $text).into_response()
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str($text)
                }
            }

            impl error::Error for $name {}

            impl From<$name> for WebSocketUpgradeRejection {
                fn from(inner: $name) -> Self {
                    Self::$name(inner)
                }
            }
        )*

        /// Any of them.
        #[derive(Debug)]
        #[non_exhaustive]
        pub enum WebSocketUpgradeRejection {
            $(
                $(#[$doc])*
                $name($name),
            )*
        }

        impl WebSocketUpgradeRejection {
            /// The body of the answer.
            pub fn body_text(&self) -> String {
                match self {
                    $( Self::$name(inner) => inner.body_text(), )*
                }
            }

            /// The status of the answer.
            pub fn status(&self) -> StatusCode {
                match self {
                    $( Self::$name(inner) => inner.status(), )*
                }
            }
        }

        impl IntoResponse for WebSocketUpgradeRejection {
            fn into_response(self) -> Response {
                match self {
                    $( Self::$name(inner) => inner.into_response(), )*
                }
            }
        }

        impl fmt::Display for WebSocketUpgradeRejection {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $( Self::$name(inner) => inner.fmt(f), )*
                }
            }
        }
    };
}

rejections! {
    /// HTTP/1.1 upgrades with GET.
    MethodNotGet, METHOD_NOT_ALLOWED, "Request method must be `GET`";
    /// HTTP/2 opens WebSockets with CONNECT (RFC 8441).
    MethodNotConnect, METHOD_NOT_ALLOWED, "Request method must be `CONNECT`";
    /// `Connection` does not name `upgrade`.
    InvalidConnectionHeader, BAD_REQUEST, "Connection header did not include 'upgrade'";
    /// `Upgrade` is not `websocket`.
    InvalidUpgradeHeader, BAD_REQUEST, "`Upgrade` header did not include 'websocket'";
    /// `:protocol` is not `websocket` (RFC 8441).
    InvalidProtocolPseudoheader, BAD_REQUEST, "`:protocol` pseudo-header did not include 'websocket'";
    /// `Sec-WebSocket-Version` is not 13.
    InvalidWebSocketVersionHeader, BAD_REQUEST, "`Sec-WebSocket-Version` header did not include '13'";
    /// No `Sec-WebSocket-Key`.
    WebSocketKeyHeaderMissing, BAD_REQUEST, "`Sec-WebSocket-Key` header missing";
    /// `Sec-WebSocket-Key` is not the base64 of 16 bytes (RFC 6455 §4.2.1). Not one of axum's, which takes any.
    InvalidWebSocketKeyHeader, BAD_REQUEST, "`Sec-WebSocket-Key` header is not the base64 of 16 bytes";
    /// `Sec-WebSocket-Extensions` is not a list of extensions (RFC 6455 §9.1). Not one of axum's, which has none.
    InvalidWebSocketExtensionsHeader, BAD_REQUEST, "`Sec-WebSocket-Extensions` header is not a list of extensions";
    /// The connection cannot be upgraded, as with HTTP/1.0.
    ConnectionNotUpgradable, UPGRADE_REQUIRED, "WebSocket request couldn't be upgraded since no upgrade state was present";
}

impl error::Error for WebSocketUpgradeRejection {}
