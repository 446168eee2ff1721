//! This test binary in another process: a test starts itself again, with a role to play.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::PATIENCE;

const ROLE: &str = "WIREFAN_TEST_ROLE";

/// The role that this process was started for.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Another process that runs a test of this binary. It is gone when this is dropped.
pub(crate) struct Child {
    process: process::Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Child {
    /// Starts `test` again, in a process where [`role`] is `role`.
    pub(crate) fn start(test: &str, role: &str) -> Self {
        let this = std::env::current_exe().expect("this binary");
        let mut process = Command::new(this)
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let input = process.stdin.take().expect("its input");
        let output = process.stdout.take().expect("its output");
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            // Between the lines are those of the test harness.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("> ") {
                    let _ = tell.send(line.to_owned());
                }
            }
        });
        Self {
            process,
            input,
            lines,
        }
    }

    /// What the process says next, waited for.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("the process says nothing more")
    }

    /// Has the process do something, and returns what it says.
    pub(crate) fn ask(&mut self, what: &str) -> String {
        writeln!(self.input, "{what}").expect("the process listens");
        self.line()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells the process that started this one.
pub(crate) fn say(line: &str) {
    let mut output = io::stdout().lock();
    let told = write!(output, "\n> {line}\n").and_then(|()| output.flush());
    told.expect("the process that started this one listens");
}

/// Answers the process that started this one, until that one is gone.
pub(crate) fn obey(mut answer: impl FnMut(&str) -> String) {
    for line in io::stdin().lines().map_while(Result::ok) {
        say(&answer(&line));
    }
}

/// Lets this process have as many open files as it may: a thousand clients and their server need more than the usual.
pub(crate) fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, limit).expect("the limit that is allowed");
    }
}
