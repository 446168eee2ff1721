//! [`File`]: one file in memory, and its answers.

use core::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use wirefan_protocol::handshake::Reply;

#[derive(Debug)]
pub(super) struct File {
    content: Vec<u8>,
    content_type: String,
    /// Strong (RFC 9110 §8.8.3): the same bytes, the same tag.
    tag: String,
}

impl File {
    /// `name` tells what it is.
    pub(super) fn new(name: &str, content: Vec<u8>) -> Self {
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        let charset = match kind.type_() {
            mime_guess::mime::TEXT => "; charset=utf-8",
            _ => "",
        };
        let hash = Sha256::digest(&content);
        let tag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&hash[..16]));
        Self {
            content,
            content_type: format!("{kind}{charset}"),
            tag,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether its tag is in the values of If-None-Match, where weak ones count too (RFC 9110 §13.1.2).
    pub(super) fn is_among<'a>(&self, tags: impl Iterator<Item = &'a [u8]>) -> bool {
        let is_it = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes()
        };
        tags.flat_map(|tags| tags.split(|byte| *byte == b','))
            .any(is_it)
    }

    pub(super) fn not_modified(&self) -> Reply<'static> {
        self.with_tag(304)
    }

    /// With its body, which is left out for HEAD by whoever writes the answer.
    pub(super) fn whole(&self) -> Reply<'static> {
        self.with_tag(200)
            .header("Content-Type", self.content_type.clone())
            .header("X-Content-Type-Options", "nosniff")
            .body(self.content.clone())
    }

    fn with_tag(&self, status: u16) -> Reply<'static> {
        // To be kept, and asked for each time whether it is still the same.
        Reply::new(status)
            .header("ETag", self.tag.clone())
            .header("Cache-Control", "no-cache")
    }
}

/// A decoded path as it stands in a URL (RFC 3986 §3.3).
pub(super) fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_names() {
        for (name, kind) in [
            ("/index.html", "text/html; charset=utf-8"),
            ("/a/style.css", "text/css; charset=utf-8"),
            ("/app.js", "text/javascript; charset=utf-8"),
            ("/app.mjs", "application/javascript"),
            ("/data.json", "application/json"),
            ("/app.wasm", "application/wasm"),
            ("/logo.svg", "image/svg+xml"),
            ("/font.woff2", "font/woff2"),
            ("/LICENSE", "application/octet-stream"),
            ("/a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(File::new(name, Vec::new()).content_type, kind, "{name}");
        }
    }

    #[test]
    fn rfc_9110_section_13_1_2_tags_are_compared_weakly() {
        let file = File::new("/a", b"content".to_vec());
        let tag = file.tag.clone();
        for (values, is_among) in [
            (vec![tag.clone()], true),
            (vec![format!("W/{tag}")], true),
            (vec![format!("\"x\" , {tag}")], true),
            (vec!["\"x\"".to_owned(), tag.clone()], true),
            (vec!["*".to_owned()], true),
            (vec!["\"x\"".to_owned()], false),
            (vec![tag.replace('"', "")], false),
            (vec![String::new()], false),
            (vec![], false),
        ] {
            let found = file.is_among(values.iter().map(String::as_bytes));
            assert_eq!(found, is_among, "{values:?}");
        }
        assert_ne!(tag, File::new("/a", b"other".to_vec()).tag);
    }

    #[test]
    fn paths_are_escaped_so_that_a_header_can_hold_them() {
        assert_eq!(escaped("/a b/grün\r\n"), "/a%20b/gr%C3%BCn%0D%0A");
    }
}
