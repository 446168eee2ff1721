//! The terminal: lines are edited and remembered by rustyline on a thread of its own, and [`Printer`] shows what comes
//! meanwhile without tearing the line that is being typed.

use std::io::{self, Write};
use std::sync::mpsc::Sender;
use std::{env, thread};

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{ColorMode, Config, Editor};
use wirefan_protocol::CloseCode;

use super::command::Command;
use super::history::{History, REMEMBERED};
use super::news::News;
use super::prompt::{PROMPT, Prompt};

/// Shows lines at the terminal.
pub(crate) struct Printer {
    prompt: Prompt,
    before: Mode,
}

type LineEditor = Editor<Prompt, MemHistory>;

/// Starts reading lines.
pub(crate) fn start(news: Sender<News>, remember: bool) -> Result<Printer, ReadlineError> {
    let before = Mode::now();
    let config = Config::builder()
        .history_ignore_space(true)
        .max_history_size(REMEMBERED)?
        // What is highlighted is nothing; but only so does the editor tell what it draws.
        .color_mode(ColorMode::Forced)
        .build();
    let memory = MemHistory::with_config(&config);
    let mut editor = LineEditor::with_history(config, memory)?;
    let prompt = Prompt::default();
    editor.set_helper(Some(prompt.clone()));
    let history = remember.then(History::of_user).flatten();
    for line in history.iter().flat_map(History::lines) {
        editor.add_history_entry(line)?;
    }
    thread::Builder::new()
        .name("editor".into())
        .spawn(move || read(editor, &news, history.as_ref()))?;
    Ok(Printer { prompt, before })
}

fn read(mut editor: LineEditor, news: &Sender<News>, history: Option<&History>) {
    loop {
        let prompt = editor.helper().cloned().unwrap_or_default();
        prompt.set_shown(has_cursor());
        let line = editor.readline(PROMPT);
        prompt.set_shown(false);
        let event = match line {
            Ok(line) => {
                let is_new = editor.add_history_entry(&*line).unwrap_or(false);
                if let Some(history) = history.filter(|_| is_new) {
                    let _ = history.add(&line);
                }
                match Command::parse(&line) {
                    Ok(None) => continue,
                    Ok(Some(command)) => News::Command(command),
                    Err(mistake) => News::Mistake(mistake),
                }
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => {
                let close = Command::Close(CloseCode::NORMAL, String::new());
                let _ = news.send(News::Command(close));
                return;
            }
            // The window has another size.
            Err(ReadlineError::Signal(_)) => continue,
            Err(error) => {
                let _ = news.send(News::InputEnded(Some(error.to_string())));
                return;
            }
        };
        let is_last = matches!(event, News::Command(Command::Close(..)));
        if news.send(event).is_err() || is_last {
            return;
        }
    }
}

impl Printer {
    /// Shows a line, or several.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        self.prompt.write_above(text, columns())
    }

    /// Leaves the terminal as it was found.
    pub(crate) fn finish(&self) {
        self.before.restore();
    }
}

/// Whether the terminal can move its cursor; rustyline asks the same.
fn has_cursor() -> bool {
    let term = env::var("TERM").unwrap_or_default();
    !["dumb", "cons25", "emacs"].contains(&&*term.to_ascii_lowercase())
}

/// How wide the terminal is.
fn columns() -> usize {
    let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    columns.filter(|columns| *columns > 0).unwrap_or(80)
}

/// How the terminal was. The editor cannot be told to stop, so that it cannot put things back itself.
struct Mode {
    #[cfg(unix)]
    termios: Option<nix::sys::termios::Termios>,
}

impl Mode {
    fn now() -> Self {
        Self {
            #[cfg(unix)]
            termios: nix::sys::termios::tcgetattr(io::stdin()).ok(),
        }
    }

    fn restore(&self) {
        let mut stdout = io::stdout();
        if has_cursor() {
            // The prompt goes, and pasted text is no longer in brackets (xterm's private mode 2004).
            let _ = stdout.write_all(b"\r\x1b[J\x1b[?2004l");
        }
        let _ = stdout.flush();
        #[cfg(unix)]
        if let Some(termios) = &self.termios {
            use nix::sys::termios::{SetArg, tcsetattr};
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, termios);
        }
    }
}
