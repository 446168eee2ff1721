//! The terminal: lines are edited and remembered by rustyline on a thread of its own, and [`Printer`] shows what comes
//! meanwhile without tearing the line that is being typed.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::{env, fs, thread};

use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use wirefan_protocol::CloseCode;

use super::command::Command;
use super::news::News;

const PROMPT: &str = "> ";
/// The most lines that are remembered.
const REMEMBERED: usize = 1000;
/// Up a line and down again: nothing is seen of it.
const NOTHING: &str = "\x1b[A\n";

/// Shows lines at the terminal.
pub(crate) struct Printer {
    /// `None`: this terminal cannot move its cursor.
    around_line: Option<Box<dyn ExternalPrinter + Send>>,
    before: Mode,
}

/// Starts reading lines.
pub(crate) fn start(news: Sender<News>, remember: bool) -> Result<Printer, ReadlineError> {
    let before = Mode::now();
    let config = Config::builder()
        .auto_add_history(true)
        .history_ignore_space(true)
        .max_history_size(REMEMBERED)?
        .build();
    let mut editor = DefaultEditor::with_config(config)?;
    let around_line = (editor.create_external_printer().ok())
        .map(|printer| Box::new(printer) as Box<dyn ExternalPrinter + Send>);
    let history = remember.then(history).flatten();
    if let Some(path) = &history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    thread::Builder::new()
        .name("editor".into())
        .spawn(move || read(editor, &news, history.as_ref()))?;
    Ok(Printer {
        around_line,
        before,
    })
}

fn read(mut editor: DefaultEditor, news: &Sender<News>, history: Option<&PathBuf>) {
    loop {
        let event = match editor.readline(PROMPT) {
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
        if news.send(event).is_err() {
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
    pub(crate) fn print(&mut self, mut text: String) -> io::Result<()> {
        text.push('\n');
        match &mut self.around_line {
            Some(printer) => printer.print(text).map_err(io::Error::other),
            None => io::stdout().write_all(text.as_bytes()),
        }
    }

    /// Leaves the terminal as it was found.
    pub(crate) fn finish(mut self) {
        if let Some(printer) = &mut self.around_line {
            // One line at a time is on its way to the editor: when it has taken the second of these, it has shown all
            // that came before. Where it reads no more, they go straight to the terminal.
            for _ in 0..2 {
                let _ = printer.print(NOTHING.to_owned());
            }
            self.before.restore();
        }
    }
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
        // The prompt goes, and pasted text is no longer in brackets (xterm's private mode 2004).
        let mut stdout = io::stdout();
        let _ = stdout.write_all(b"\r\x1b[K\x1b[?2004l");
        let _ = stdout.flush();
        #[cfg(unix)]
        if let Some(termios) = &self.termios {
            use nix::sys::termios::{SetArg, tcsetattr};
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, termios);
        }
    }
}
