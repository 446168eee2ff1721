//! The dashboard's page: one file, with a policy that allows it its own script and style and nothing else.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use wirefan_protocol::handshake::Reply;

/// HTML, script and style in one file. Nothing that anybody sent ever becomes part of it.
const DASHBOARD: &str = include_str!("dashboard.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [script, style] = ["script", "style"].map(|tag| hash(inside(tag)));
    format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The page.
pub(super) fn dashboard() -> Reply<'static> {
    Reply::new(200)
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Content-Security-Policy", &**POLICY)
        .header("Referrer-Policy", "no-referrer")
        .header("Cache-Control", "no-cache")
        .header("X-Content-Type-Options", "nosniff")
        .body(DASHBOARD.as_bytes())
}

/// What stands in the only element of this kind.
fn inside(tag: &str) -> &'static str {
    let (_, rest) = DASHBOARD
        .split_once(&format!("<{tag}>"))
        .unwrap_or_default();
    rest.split_once(&format!("</{tag}>")).unwrap_or_default().0
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_keeps_to_its_own_policy() {
        for tag in ["script", "style"] {
            assert_eq!(DASHBOARD.matches(&format!("<{tag}")).count(), 1);
            assert!(inside(tag).len() > 1000, "{tag}");
        }
        for forbidden in [
            " style=",
            " onclick=",
            " onload=",
            "javascript:",
            "innerHTML",
            "http://",
            "https://",
            "eval(",
        ] {
            let own = DASHBOARD.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(forbidden), "{forbidden}");
        }
    }
}
