//! The terminal: lines are edited and remembered by rustyline on a thread of its own, and [`Printer`] shows what comes
//! meanwhile without tearing the line that is being typed.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::{env, fs, thread};

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{ColorMode, Config, Editor};
use wirefan_protocol::CloseCode;

use super::command::Command;
use super::news::News;
use super::prompt::{PROMPT, Prompt};

/// The most lines that are remembered.
const REMEMBERED: usize = 1000;

/// Shows lines at the terminal.
pub(crate) struct Printer {
    prompt: Prompt,
    before: Mode,
}

type LineEditor = Editor<Prompt, FileHistory>;

/// Starts reading lines.
pub(crate) fn start(news: Sender<News>, remember: bool) -> Result<Printer, ReadlineError> {
    let before = Mode::now();
    let config = Config::builder()
        .auto_add_history(true)
        .history_ignore_space(true)
        .max_history_size(REMEMBERED)?
        // What is highlighted is nothing; but only so does the editor tell what it draws.
        .color_mode(ColorMode::Forced)
        .build();
    let mut editor = LineEditor::with_config(config)?;
    let prompt = Prompt::default();
    editor.set_helper(Some(prompt.clone()));
    let history = remember.then(history).flatten();
    if let Some(path) = &history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    thread::Builder::new()
        .name("editor".into())
        .spawn(move || read(editor, &news, history.as_ref()))?;
    Ok(Printer { prompt, before })
}

fn read(mut editor: LineEditor, news: &Sender<News>, history: Option<&PathBuf>) {
    loop {
        let prompt = editor.helper().cloned().unwrap_or_default();
        prompt.set_shown(has_cursor());
        let line = editor.readline(PROMPT);
        prompt.set_shown(false);
        let event = match line {
            Ok(line) => {
                if let Some(path) = history {
                    // A convenience: a disk that is full shall not end a conversation.
                    let _ = editor.append_history(path);
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

/// Where lines are remembered; the folder is made, for this user alone.
fn history() -> Option<PathBuf> {
    let folder = |name| {
        env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let state = if cfg!(windows) {
        folder("LOCALAPPDATA")?
    } else {
        folder("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| Some(folder("HOME")?.join(".local/state")))?
    };
    let ours = state.join("wirefan");
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&ours).ok()?;
    Some(ours.join("connect_history"))
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
