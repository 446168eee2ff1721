//! Where the foreign clients come from: npm and PyPI, once, into the target folder; whatever cannot be had is a reason
//! to skip a test, and under `CI=true` to fail it.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than a script runs.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same for an installation, which waits for other machines.
const DOWNLOAD: Duration = Duration::from_secs(300);

const PACKAGES: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The reason why something cannot be had.
pub(crate) type Missing = String;

/// Where the scripts are.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/foreign")
        .join(name)
}

/// What there is, or the word that it is missing: on stderr where everyone sees it, as a failure where all is to be there.
pub(crate) fn or_skip<T>(found: Result<T, Missing>) -> Option<T> {
    found
        .inspect_err(|why| {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "under CI nothing is skipped: {why}"
            );
            // Past the harness, which shows what passing tests print to nobody.
            let _ = writeln!(io::stderr(), "SKIPPED: {why}");
        })
        .ok()
}

/// Node, with the packages within its reach.
pub(crate) fn node() -> Result<Command, Missing> {
    let version = output("node", ["--version"])?;
    let major = version.trim_start_matches('v').split('.').next();
    if major
        .and_then(|major| major.parse().ok())
        .is_none_or(|major: u32| major < 20)
    {
        return Err(format!("Node 20 is needed, this is {}", version.trim()));
    }
    let folder = installed("node", &[PACKAGES, LOCK], |folder| {
        fs::write(folder.join("package.json"), PACKAGES).map_err(|error| error.to_string())?;
        fs::write(folder.join("package-lock.json"), LOCK).map_err(|error| error.to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--prefix")
            .arg(folder);
        run(npm, DOWNLOAD).map(drop)
    })?;
    let mut node = Command::new("node");
    node.env("NODE_PATH", folder.join("node_modules"));
    Ok(node)
}

/// Python, with the packages within its reach.
pub(crate) fn python() -> Result<Command, Missing> {
    let check = "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 is needed')";
    output("python3", ["-c", check])?;
    let folder = installed("python", &[REQUIREMENTS], |folder| {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder);
        run(venv, DOWNLOAD)?;
        let mut pip = Command::new(interpreter(folder));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(REQUIREMENTS.split_whitespace());
        run(pip, DOWNLOAD).map(drop)
    })?;
    Ok(Command::new(interpreter(&folder)))
}

fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin").join("python")
}

/// The browser.
pub(crate) fn chromium() -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| {
            ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name))
        })
        .find(|file| file.is_file())
        .ok_or_else(|| "there is no chromium (on Debian: apt-get install chromium)".to_owned())
}

/// A folder under the target folder in which `install` has been done for this `content`. It gets its name when all is
/// there: whoever comes meanwhile in another process does the same, and takes what was first.
fn installed(
    name: &str,
    content: &[&str],
    install: impl FnOnce(&Path) -> Result<(), Missing>,
) -> Result<PathBuf, Missing> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    let folder = all.join(format!("{name}-{:016x}", hasher.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    let new = all.join(format!("{name}-new-{}", process::id()));
    fs::create_dir_all(&new).map_err(|error| format!("{}: {error}", new.display()))?;
    let named =
        install(&new).and_then(|()| fs::rename(&new, &folder).map_err(|error| error.to_string()));
    if named.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    if folder.is_dir() {
        Ok(folder)
    } else {
        named.map(|()| folder)
    }
}

fn output(program: &str, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<String, Missing> {
    let mut command = Command::new(program);
    command.args(args);
    run(command, PATIENCE)
}

/// Runs a script to its end, which is to be a good one.
pub(crate) fn succeeds(command: Command) {
    match run(command, PATIENCE) {
        Ok(said) => println!("{said}"),
        Err(why) => panic!("{why}"),
    }
}

/// Runs a program to its end and returns what it said.
fn run(mut command: Command, patience: Duration) -> Result<String, String> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    let outputs = (child.stdout.take(), child.stderr.take());
    let said = thread::spawn(move || text(outputs.0));
    let complained = thread::spawn(move || text(outputs.1));
    let begin = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if begin.elapsed() < patience => thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                break Err(format!("{name} was not done after {patience:?}"));
            }
            Err(error) => break Err(format!("{name}: {error}")),
        }
    };
    let (said, complained) = (
        said.join().unwrap_or_default(),
        complained.join().unwrap_or_default(),
    );
    match status {
        Ok(status) if status.success() => Ok(said),
        Ok(status) => Err(format!("{name}: {status}\n{said}{complained}")),
        Err(why) => Err(format!("{why}\n{said}{complained}")),
    }
}

fn text(output: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        let _ = output.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
