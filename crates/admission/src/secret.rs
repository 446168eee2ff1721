//! [`Secret`]: a token in memory, which is neither shown nor compared byte by byte. Made by `credentials`, read by
//! whatever checks tokens.

use std::fmt;

use subtle::ConstantTimeEq;

/// A token: it does not show itself, and comparing two takes the same time wherever they differ.
///
/// The time does depend on the length, as it does in every comparison of this kind: let secrets that are compared be of one
/// length, or compare their hashes.
///
/// ```
/// use wirefan_admission::Secret;
///
/// let secret = Secret::new("s3cr3t");
/// assert_eq!(format!("{secret} {secret:?}"), "[secret] [secret]");
/// assert_eq!(secret, Secret::new("s3cr3t"));
/// assert_eq!(secret.expose(), "s3cr3t");
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes `text` as a secret.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself: for whatever checks it, never for a log or a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_shown() {
        let secret = Some(Secret::new("hunter2"));
        for shown in [
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{:>20}", secret.clone().unwrap()),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn equal_means_all_of_it() {
        let secret = Secret::new("abc");
        assert_eq!(secret, Secret::from("abc"));
        for other in ["", "ab", "abd", "abcd", "xbc"] {
            assert_ne!(secret, Secret::from(other.to_owned()), "{other}");
        }
    }
}
