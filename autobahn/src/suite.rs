//! Gets the Autobahn TestSuite (once, into `target/autobahn/`) and makes the commands that run it.
//! A Python 2.7 of the machine comes first, then Debian's, then docker.

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cases::Case;
use crate::error::Error;
use crate::job::{Bound, Job};
use crate::python::Python;

/// Pins all of its own dependencies; older ones no longer install.
const SUITE: &str = "autobahntestsuite==25.10.1";

/// The last that makes environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.21.1";

const IMAGE: &str = "crossbario/autobahn-testsuite";

/// For all steps of getting the suite together.
const SETUP_LIMIT: Duration = Duration::from_secs(900);

/// Runs the suite with its server on the loopback only; by itself it listens on every interface.
const RUN: &str = "import functools, autobahntestsuite.wstest as w
w.fuzzing.listenWS = functools.partial(w.fuzzing.listenWS, interface='127.0.0.1')
w.run()";

/// Which peer the suite plays.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode<'a> {
    /// It connects to the server at this URL.
    FuzzingClient { url: &'a str },
    /// It waits for clients on this port.
    FuzzingServer { port: u16 },
}

/// A TestSuite that can be run.
#[derive(Debug)]
pub(crate) enum Suite {
    /// In a virtual environment, which has this Python.
    Installed(PathBuf),
    /// In a container, which sees `home` (at the same path).
    Docker { home: PathBuf },
}

impl Suite {
    /// Finds the suite below `home`, or gets it. `python` is the only Python 2.7 to try, if given.
    pub(crate) fn obtain(
        home: &Path,
        python: Option<&Path>,
        bound: Bound<'_>,
    ) -> Result<Self, Error> {
        let logs = &home.join("logs");
        let bound = bound.part(SETUP_LIMIT);
        if let Some(suite) = Self::installed_before(home, python, logs, bound)? {
            return Ok(suite);
        }
        let found = match python {
            Some(program) => Some(Python::given(program, logs, bound)?),
            None => Python::installed(logs, bound)?,
        };
        if let Some(python) = found {
            return Self::install(&python, home, logs, bound);
        }
        eprintln!("no Python 2.7 here that runs: trying Debian's");
        match Python::from_debian(&home.join("debian"), logs, bound) {
            Ok(python) => return Self::install(&python, home, logs, bound),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => eprintln!("none from Debian either: trying docker; {error}"),
        }
        // Fetches the image if need be.
        let mut docker = Command::new("docker");
        docker.args(["run", "--rm", IMAGE, "wstest", "--autobahnversion"]);
        match Job::run("docker", docker, &logs.join("docker.log"), bound) {
            Ok(()) => Ok(Self::Docker { home: home.into() }),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(_) => Err(Error::NoSuite(format!(
                "the TestSuite needs Python 2.7 (`pyenv install 2.7.18`, or name one with \
                 --python) or a running docker; what was tried is in {}",
                logs.display()
            ))),
        }
    }

    /// The command that runs the suite with `spec`, and one to run when it is to end early.
    pub(crate) fn command(&self, mode: Mode<'_>, spec: &Path) -> (Command, Option<Command>) {
        let name = match mode {
            Mode::FuzzingClient { .. } => "fuzzingclient",
            Mode::FuzzingServer { .. } => "fuzzingserver",
        };
        let (mut command, at_end) = match self {
            Self::Installed(python) => {
                let mut command = Command::new(python);
                command.env("PYTHONUNBUFFERED", "1").args(["-c", RUN]);
                (command, None)
            }
            Self::Docker { home } => {
                let container = format!("wirefan-{name}-{}", std::process::id());
                let mut remove = Command::new("docker");
                remove.args(["rm", "--force", &container]);
                let mut command = Command::new("docker");
                command.args([
                    "run",
                    "--rm",
                    "--name",
                    &container,
                    "--env",
                    "PYTHONUNBUFFERED=1",
                ]);
                match mode {
                    // A server that listens on the loopback is reached from there only.
                    Mode::FuzzingClient { .. } => command.args(["--network", "host"]),
                    Mode::FuzzingServer { port } => {
                        command.args(["--publish", &format!("127.0.0.1:{port}:{port}")])
                    }
                };
                if let Some(owner) = owner(home) {
                    command.args(["--user", &owner]);
                }
                command
                    .arg("--volume")
                    .arg(format!("{0}:{0}", home.display()));
                command.args([IMAGE, "wstest"]);
                (command, Some(remove))
            }
        };
        command
            .args(["--mode", name, "--webport", "0", "--spec"])
            .arg(spec);
        (command, at_end)
    }

    /// The suite of an earlier run, if it is the right one and still works.
    fn installed_before(
        home: &Path,
        python: Option<&Path>,
        logs: &Path,
        bound: Bound<'_>,
    ) -> Result<Option<Self>, Error> {
        let mark = fs::read_to_string(home.join("wstest/installed")).unwrap_or_default();
        let right = match python {
            Some(program) => mark == self::mark(program),
            None => mark.starts_with(SUITE),
        };
        if !right {
            return Ok(None);
        }
        let python = home.join("wstest/bin/python");
        let mut command = Command::new(&python);
        command.args(["-c", "import autobahntestsuite.wstest"]);
        match Job::run(
            "the suite of an earlier run",
            command,
            &logs.join("probe.log"),
            bound,
        ) {
            Ok(()) => Ok(Some(Self::Installed(python))),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(_) => Ok(None),
        }
    }

    /// Makes a virtual environment of `python` with the suite in it.
    fn install(python: &Python, home: &Path, logs: &Path, bound: Bound<'_>) -> Result<Self, Error> {
        let program = python.program();
        eprintln!(
            "installing {SUITE} with {} (half a minute, once)",
            program.display()
        );
        let (tool, wstest) = (home.join("tool"), home.join("wstest"));
        for folder in [&tool, &wstest] {
            if folder.exists() {
                fs::remove_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
            }
        }
        let run = |what: &str, mut command: Command, arguments: &[&str], path: Option<&Path>| {
            command
                .args(arguments)
                .args(path)
                .env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
            Job::run(what, command, &logs.join("install.log"), bound)
        };
        run(
            "python3 -m venv",
            Command::new("python3"),
            &["-m", "venv"],
            Some(&tool),
        )?;
        let tool = tool.join("bin/python");
        run(
            "pip",
            Command::new(&tool),
            &["-m", "pip", "install", "--quiet", VIRTUALENV],
            None,
        )?;
        let mut virtualenv = python.command(tool);
        virtualenv
            .args(["-m", "virtualenv", "--quiet", "--python"])
            .arg(program);
        run("virtualenv", virtualenv, &[], Some(&wstest))?;
        let pip = python.command(wstest.join("bin/python"));
        run(
            "pip",
            pip,
            &["-m", "pip", "install", "--quiet", SUITE],
            None,
        )?;

        // Written last, so that an interrupted installation is not taken for one.
        let mark_file = wstest.join("installed");
        fs::write(&mark_file, mark(program)).map_err(Error::io(mark_file.display().to_string()))?;
        Ok(Self::Installed(wstest.join("bin/python")))
    }
}

/// The suite's specification of a run: exactly these cases, reports into `reports`.
pub(crate) fn spec(mode: Mode<'_>, agent: &str, cases: &[Case], reports: &Path) -> String {
    let cases: Vec<String> = cases.iter().map(ToString::to_string).collect();
    let mut spec = json!({
        "outdir": reports,
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    match mode {
        Mode::FuzzingClient { url } => spec["servers"] = json!([{"agent": agent, "url": url}]),
        Mode::FuzzingServer { port } => spec["url"] = json!(format!("ws://127.0.0.1:{port}")),
    }
    spec.to_string()
}

fn mark(program: &Path) -> String {
    format!("{SUITE} {}", program.display())
}

/// The owner of `folder` as docker's `--user` wants it, so that reports do not belong to root.
#[cfg(unix)]
fn owner(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(folder).ok()?;
    Some(format!("{}:{}", metadata.uid(), metadata.gid()))
}

#[cfg(not(unix))]
fn owner(_folder: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::select;

    #[test]
    fn a_spec_names_its_cases_one_by_one() {
        let cases = select(&["6.1".into(), "5.19".into()]).unwrap();
        let spec = |mode| -> serde_json::Value {
            serde_json::from_str(&spec(mode, "wirefan", &cases, Path::new("/r"))).unwrap()
        };
        let client = spec(Mode::FuzzingClient { url: "ws://host/" });
        assert_eq!(client["cases"], json!(["5.19", "6.1.1", "6.1.2", "6.1.3"]));
        assert_eq!(
            client["servers"],
            json!([{"agent": "wirefan", "url": "ws://host/"}])
        );
        assert_eq!(
            (&client["outdir"], &client["exclude-cases"]),
            (&json!("/r"), &json!([]))
        );
        let server = spec(Mode::FuzzingServer { port: 7 });
        assert_eq!(
            (&server["url"], &server["servers"]),
            (&json!("ws://127.0.0.1:7"), &json!(null))
        );
    }
}
