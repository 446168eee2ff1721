//! [`Prompt`]: the line that is being typed, as rustyline last drew it, so that others can write above it. Shared by the
//! editor's thread and the session.
//!
//! rustyline's own printer for this leaves keys that came in one read lying until another one comes.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use unicode_width::UnicodeWidthChar;

/// What stands before the line.
pub(crate) const PROMPT: &str = "> ";

/// The line, and where the cursor is in it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// `None`: no line is being typed.
    line: Option<String>,
    cursor: usize,
}

impl Prompt {
    /// A line begins, or has ended.
    pub(crate) fn set_shown(&self, shown: bool) {
        let line = shown.then(String::new);
        self.set(line, 0);
    }

    /// Writes text above the line, and the line again.
    pub(crate) fn write_above(&self, text: &str, columns: usize) -> io::Result<()> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let out = match &state.line {
            Some(line) => above(text, line, state.cursor, columns),
            None => format!("{text}\n"),
        };
        // At once, so that what the editor writes meanwhile is before or behind it.
        let mut stdout = io::stdout().lock();
        stdout.write_all(out.as_bytes())?;
        stdout.flush()
    }

    fn set(&self, line: Option<String>, cursor: usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { line, cursor };
    }
}

/// What has text appear above the line and leaves the cursor where the editor believes it to be (ECMA-48: CUU, CUF, ED).
fn above(text: &str, line: &str, cursor: usize, columns: usize) -> String {
    let before = line.get(..cursor).unwrap_or(line);
    let (row, column) = place(before, columns);
    let (last_row, last_column) = place(line, columns);
    let up = |rows: usize| match rows {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    };
    let right = match column {
        0 => String::new(),
        column => format!("\x1b[{column}C"),
    };
    // A terminal goes to the next row with the next character only, and the editor at once.
    let fold = if last_column == 0 && last_row > 0 && !line.ends_with('\n') {
        "\n"
    } else {
        ""
    };
    format!(
        "{}\r\x1b[J{text}\n{PROMPT}{line}{fold}{}\r{right}",
        up(row),
        up(last_row - row)
    )
}

/// The row and the column behind the prompt and this text.
fn place(text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, PROMPT.len());
    for c in text.chars() {
        if c == '\n' {
            (row, column) = (row + 1, 0);
            continue;
        }
        let width = c.width().unwrap_or(0);
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    if column >= columns {
        (row + 1, 0)
    } else {
        (row, column)
    }
}

/// The editor tells of each change before it draws it.
impl Highlighter for Prompt {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        self.set(Some(line.to_owned()), pos);
        Cow::Borrowed(line)
    }

    /// Has the editor draw, and tell of, every change.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Completer for Prompt {
    type Candidate = String;
}

impl Hinter for Prompt {
    type Hint = String;

    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        None
    }
}

impl Validator for Prompt {}

impl Helper for Prompt {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_a_terminal_that_folds() {
        for (text, place_of_it) in [
            ("", (0, 2)),
            ("1234567", (0, 9)),
            ("12345678", (1, 0)),
            ("123456789", (1, 1)),
            ("1234567漢", (1, 2)),
            ("a\nbc", (1, 2)),
            ("a\n", (1, 0)),
        ] {
            assert_eq!(place(text, 10), place_of_it, "{text}");
        }
    }

    #[test]
    fn text_goes_above_and_the_line_stays() {
        assert_eq!(
            above("news", "hello", 5, 80),
            "\r\x1b[Jnews\n> hello\r\x1b[7C"
        );
        assert_eq!(
            above("news", "hello", 0, 80),
            "\r\x1b[Jnews\n> hello\r\x1b[2C"
        );
        // Two rows, the cursor in the second, the third, and the first.
        assert_eq!(
            above("n", "123456789", 9, 10),
            "\x1b[1A\r\x1b[Jn\n> 123456789\r\x1b[1C"
        );
        assert_eq!(
            above("n", "12345678", 8, 10),
            "\x1b[1A\r\x1b[Jn\n> 12345678\n\r"
        );
        assert_eq!(
            above("n", "123456789", 1, 10),
            "\r\x1b[Jn\n> 123456789\x1b[1A\r\x1b[3C"
        );
    }
}
