//! [`History`]: the lines that were typed, in a file of the user's, for the editor. It is a convenience: a disk that is full
//! or a folder that cannot be made shall not end a conversation.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, process};

/// The most lines that are remembered.
pub(crate) const REMEMBERED: usize = 1000;

#[derive(Debug)]
pub(crate) struct History(PathBuf);

impl History {
    /// That of this user; the folder is made, for them alone.
    pub(crate) fn of_user() -> Option<Self> {
        let folder = |name| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let state = if cfg!(windows) {
            folder("LOCALAPPDATA")?
        } else {
            folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?
        };
        let ours = state.join("wirefan");
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&ours).ok()?;
        Some(Self(ours.join("connect_history")))
    }

    /// The lines, the oldest first. A file that has grown too long is cut.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read(&self.0).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        let kept = &all[all.len().saturating_sub(REMEMBERED)..];
        if all.len() > 2 * REMEMBERED {
            let _ = self.replace(kept);
        }
        kept.iter().map(|line| unescaped(line)).collect()
    }

    /// Adds a line.
    pub(crate) fn add(&self, line: &str) -> io::Result<()> {
        // In one write, so that two that type at once do not mix.
        let line = format!("{}\n", escaped(line));
        open(&self.0)?.write_all(line.as_bytes())
    }

    fn replace(&self, lines: &[&str]) -> io::Result<()> {
        let new = self.0.with_extension(format!("{}", process::id()));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        open(&new)?.write_all(text.as_bytes())?;
        fs::rename(new, &self.0)
    }
}

/// To be written at the end of, and read by its owner alone.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Several lines that were pasted are one in the file.
fn escaped(line: &str) -> String {
    line.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn unescaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Temporary(History);

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0.0);
        }
    }

    fn temporary(name: &str) -> Temporary {
        let name = format!("wirefan-{name}-{}", process::id());
        let temporary = Temporary(History(env::temp_dir().join(name)));
        let _ = fs::remove_file(&temporary.0.0);
        temporary
    }

    #[test]
    fn lines_come_back_as_they_were() {
        let Temporary(history) = &temporary("lines");
        assert!(history.lines().is_empty());
        let lines = ["one", "a\nb\r\n", r"\n \\ \", "grün"];
        for line in lines {
            history.add(line).unwrap();
        }
        assert_eq!(history.lines(), lines);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&history.0).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[test]
    fn a_long_file_is_cut() {
        let Temporary(history) = &temporary("long");
        let text: String = (0..2 * REMEMBERED + 1).map(|n| format!("{n}\n")).collect();
        fs::write(&history.0, text).unwrap();
        let lines = history.lines();
        assert_eq!((lines.len(), &*lines[0]), (REMEMBERED, "1001"));
        assert_eq!(
            fs::read_to_string(&history.0).unwrap().lines().count(),
            REMEMBERED
        );
        assert_eq!(history.lines(), lines);
    }
}
