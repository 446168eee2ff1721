//! Header lines on the command line.

/// Reads one: `Name: value`.
pub(crate) fn line(text: &str) -> Result<(String, String), &'static str> {
    const MISTAKE: &str = "write a header as 'Name: value'";
    let (name, value) = text.split_once(':').ok_or(MISTAKE)?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name || value.chars().any(char::is_control) {
        return Err(MISTAKE);
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(line("X-A: b: c "), pair("X-A", "b: c"));
        assert_eq!(line("X-A:"), pair("X-A", ""));
        for text in ["X-A", ": b", "X A: b", "X: a\r\nY: b"] {
            assert!(line(text).is_err(), "{text:?}");
        }
    }
}
