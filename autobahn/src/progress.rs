//! Shows how far the runs are: one line that is rewritten on a terminal, plain lines now and then
//! elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where there is no terminal, a line comes with each so many cases.
const STEP: usize = 50;

/// What goes on side by side, shown on stderr.
#[derive(Debug, Default)]
pub(crate) struct Board {
    lines: Mutex<Vec<Line>>,
}

/// One run's place on the board.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    board: &'a Board,
    place: usize,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    total: usize,
    text: String,
    /// How many times `STEP` cases were done when it was last written plainly.
    steps: Option<usize>,
}

impl Board {
    /// Makes place for a run of `total` cases.
    pub(crate) fn place(&self, name: &'static str, total: usize) -> Progress<'_> {
        let mut lines = self.lines();
        lines.push(Line {
            name,
            total,
            text: String::new(),
            steps: None,
        });
        Progress {
            board: self,
            place: lines.len() - 1,
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if io::stderr().is_terminal() {
            rewrite("");
        }
    }
}

impl Progress<'_> {
    /// Shows that `case` has begun, after `done` others.
    pub(crate) fn show(&self, done: usize, case: &str) {
        let mut lines = self.board.lines();
        let Some(line) = lines.get_mut(self.place) else {
            return;
        };
        let text = format!("{}: {done} of {} done, now {case}", line.name, line.total);
        if line.text == text {
            return;
        }
        line.text = text;
        if io::stderr().is_terminal() {
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            rewrite(&texts.join("    "));
        } else if line.steps.replace(done / STEP) != Some(done / STEP) {
            eprintln!("{}", line.text);
        }
    }
}

/// Replaces the terminal's line.
fn rewrite(text: &str) {
    let mut stderr = io::stderr().lock();
    // Nothing depends on it.
    let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}
