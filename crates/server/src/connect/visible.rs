//! What a peer has said, made fit for a terminal: nothing in it can move the cursor, colour the screen or turn the reading
//! direction. Called by whatever is shown to people.

use core::fmt::Write;

/// Text with everything escaped that a terminal would obey. Lines stay lines, those behind the first with this in front.
pub(crate) fn text(text: &str, indent: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => {
                out.push('\n');
                out.push_str(indent);
            }
            '\t' => out.push('\t'),
            c if is_harmful(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// The same as one line: for reasons, header lines and errors.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters (C0, DEL, C1), line separators, and those that turn or hide text (Unicode's bidirectional controls
/// and invisible ones).
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The most bytes that a dump shows.
const DUMPED: usize = 1024;

/// Bytes as a hex dump, sixteen a line, each line behind the first with this in front.
pub(crate) fn dump(data: &[u8], indent: &str) -> String {
    let mut out = format!("binary, {} bytes", data.len());
    for (number, row) in data[..data.len().min(DUMPED)].chunks(16).enumerate() {
        let _ = write!(out, "\n{indent}{:08x} ", number * 16);
        for place in 0..16 {
            if place == 8 {
                out.push(' ');
            }
            let _ = match row.get(place) {
                Some(byte) => write!(out, " {byte:02x}"),
                None => write!(out, "   "),
            };
        }
        out.push_str("  |");
        out.extend(row.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        }));
        out.push('|');
    }
    if data.len() > DUMPED {
        let _ = write!(out, "\n{indent}… {} bytes more", data.len() - DUMPED);
    }
    out
}

/// JSON on several lines, every token as it came: numbers keep their digits and objects their order. `None`: it is none.
pub(crate) fn pretty(json: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(json).ok()?;
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    let next_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(core::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    next_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                next_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                next_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        let hostile = "a\x1b[2J\x07\r\u{9b}31m\u{7f}\u{202e}b\u{0}\u{200b}";
        assert_eq!(
            line(hostile),
            "a\\u{1b}[2J\\u{7}\\r\\u{9b}31m\\u{7f}\\u{202e}b\\u{0}\\u{200b}"
        );
        assert_eq!(text(hostile, ""), line(hostile));
        assert_eq!(line("one\ntwo\tthree"), "one\\ntwo\\tthree");
        assert_eq!(text("one\ntwo\tthree", "  "), "one\n  two\tthree");
        for c in ('\0'..='\u{ffff}').filter(|c| c.is_control()) {
            assert!(!line(&c.to_string()).contains(c));
        }
        let harmless = "grün 漢字 🦀 \\ \"'";
        assert_eq!(text(harmless, "  "), harmless);
    }

    #[test]
    fn a_dump_has_places_bytes_and_letters() {
        assert_eq!(dump(&[], "  "), "binary, 0 bytes");
        assert_eq!(
            dump(b"0123456789abcdef\x1b\xff", "  "),
            "binary, 18 bytes\
             \n  00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\
             \n  00000010  1b ff                                             |..|"
        );
        let long = dump(&[0; 1025], "");
        assert_eq!(long.lines().count(), 1 + 64 + 1);
        assert!(long.ends_with("\n… 1 bytes more"));
    }

    #[test]
    fn json_is_spread_out_and_otherwise_left_alone() {
        for (json, shown) in [
            (
                r#"{"b":1.10,"a":[true,{}, [ ],-1e400]}"#,
                "{\n  \"b\": 1.10,\n  \"a\": [\n    true,\n    {},\n    [],\n    -1e400\n  ]\n}",
            ),
            (
                r#"["a,b:{}\"[\\",  "\\"]"#,
                "[\n  \"a,b:{}\\\"[\\\\\",\n  \"\\\\\"\n]",
            ),
            (" 12 ", "12"),
        ] {
            assert_eq!(pretty(json).as_deref(), Some(shown), "{json}");
        }
        for text in ["", "hello", "{", "[1,]", "{} {}"] {
            assert_eq!(pretty(text), None, "{text}");
        }
    }
}
