//! The subprotocols that the server knows, and the choice among a client's offers.

use std::sync::Arc;

/// What is known; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Subprotocols(Arc<[String]>);

impl Subprotocols {
    pub(crate) fn new(known: &[String]) -> Self {
        Self(known.into())
    }

    /// The first of the client's offers that is known.
    pub(crate) fn choose<'a>(&self, offers: impl IntoIterator<Item = &'a str>) -> Option<String> {
        offers
            .into_iter()
            .find(|offer| self.0.iter().any(|known| known == offer))
            .map(str::to_owned)
    }
}

/// Reads the name of one: a token (RFC 6455 §4.1, RFC 9110 §5.6.2).
pub(crate) fn name(text: &str) -> Result<String, &'static str> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(in_token) {
        Ok(text.to_owned())
    } else {
        Err("it has to be a token: letters, digits and !#$%&'*+-.^_`|~")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens() {
        for text in ["chat", "v1.json", "graphql-transport-ws"] {
            assert_eq!(name(text).as_deref(), Ok(text));
        }
        for text in ["", "a b", "a,b", "\"a\"", "ä", "a\n"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
