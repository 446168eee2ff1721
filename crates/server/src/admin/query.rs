//! The query of a request to the admin listener: names and values, decoded.

use crate::room;

/// The value of `name` in a query; empty where it stands alone. `None`: it is not there, or decoded it would be no name of
/// a room without the slash: it is too long, for instance.
pub(super) fn value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query.unwrap_or_default().split('&');
    let value = pairs.find_map(|pair| match pair.split_once('=') {
        Some((known, value)) => (known == name).then_some(value),
        None => (pair == name).then_some(""),
    })?;
    // As forms and curl --data-urlencode write them.
    let path = format!("/{}", value.replace('+', " "));
    let decoded = room::of(&path).ok()?;
    decoded.strip_prefix('/').map(str::to_owned)
}

/// Whether `name` is in a query, with whatever value.
pub(super) fn has(query: Option<&str>, name: &str) -> bool {
    value(query, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_decoded() {
        let query = Some("limit=5&binary&after=0-1-2&reason=too%20much+of%2Bit&empty=");
        for (name, expected) in [
            ("limit", Some("5")),
            ("binary", Some("")),
            ("after", Some("0-1-2")),
            ("reason", Some("too much of+it")),
            ("empty", Some("")),
            ("lim", None),
        ] {
            assert_eq!(value(query, name).as_deref(), expected, "{name}");
        }
        assert_eq!(value(Some("a=%zz"), "a"), None);
        assert!(!has(None, "a") && !has(Some(""), "a"));
    }
}
