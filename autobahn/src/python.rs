//! Finds a Python 2.7 that really runs: the suite is written in it, and most machines no longer
//! have it. Debian's bullseye still does, and `apt-get` fetches and unpacks it into a folder
//! without any rights.

use core::time::Duration;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::job::{Bound, Job};

/// What Debian's Python needs of Debian, with the headers for what pip compiles. All of it is in
/// `bullseye main`.
const PACKAGES: [&str; 7] = [
    "python2.7",
    "python2.7-minimal",
    "libpython2.7-minimal",
    "libpython2.7-stdlib",
    "libpython2.7-dev",
    "libffi7",
    "libssl1.1",
];

/// Where bullseye is when the machine's own mirror no longer has it.
const MIRRORS: [&str; 2] = [
    "http://deb.debian.org/debian",
    "http://archive.debian.org/debian",
];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A Python 2.7.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    program: PathBuf,
    /// The folder that stands for `/usr`, if the system does not look there.
    usr: Option<PathBuf>,
}

impl Python {
    /// One that is given by name; it is tried as well.
    pub(crate) fn given(program: &Path, logs: &Path, bound: Bound<'_>) -> Result<Self, Error> {
        let python = Self {
            program: program.into(),
            usr: None,
        };
        python.try_out(logs, bound)?;
        Ok(python)
    }

    /// The first of the machine's own that runs: `python2.7` on the PATH, then pyenv's.
    pub(crate) fn installed(logs: &Path, bound: Bound<'_>) -> Result<Option<Self>, Error> {
        let mut candidates = vec![PathBuf::from("python2.7")];
        let mut pyenv = Command::new("pyenv");
        pyenv.arg("root");
        if let Ok(root) = Job::output("pyenv root", pyenv, &logs.join("pyenv.log"), bound) {
            let versions = fs::read_dir(Path::new(root.trim()).join("versions"));
            let folders = versions
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path());
            candidates.extend(folders.map(|folder| folder.join("bin/python2.7")));
        }
        for program in candidates {
            // A shim of that name may lie there and lead nowhere, so only trying tells.
            match Self::given(&program, logs, bound) {
                Ok(python) => return Ok(Some(python)),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Debian's, fetched into `folder` with an apt configuration of its own.
    pub(crate) fn from_debian(folder: &Path, logs: &Path, bound: Bound<'_>) -> Result<Self, Error> {
        let mut why = None;
        for mirror in mirrors(logs, bound) {
            match fetch(&mirror, folder, logs, bound) {
                Ok(()) => {
                    let usr = folder.join("root/usr");
                    let python = Self {
                        program: usr.join("bin/python2.7"),
                        usr: Some(usr),
                    };
                    python.try_out(logs, bound)?;
                    return Ok(python);
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                // The machine's own mirror comes first and tells most.
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| Error::NoSuite("there is no Debian mirror".into())))
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// A command in whose environment this Python, and what is made from it, finds its libraries
    /// and headers.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some(usr) = &self.usr {
            let include = usr.join("include");
            let headers = [
                include.join("python2.7").into_os_string(),
                include.into_os_string(),
            ];
            command.env("LD_LIBRARY_PATH", libraries(&usr.join("lib")));
            command
                .env("CPATH", headers.join(":".as_ref()))
                .env("CC", "cc");
        }
        command
    }

    fn try_out(&self, logs: &Path, bound: Bound<'_>) -> Result<(), Error> {
        let mut command = self.command(&self.program);
        command.args([
            "-c",
            "import sys, ssl; sys.exit(sys.version_info[:2] != (2, 7))",
        ]);
        let what = format!("{} as Python 2.7", self.program.display());
        Job::run(
            &what,
            command,
            &logs.join("python.log"),
            bound.part(Duration::from_secs(20)),
        )
    }
}

/// The machine's own Debian mirror, if it is a Debian, then the ones that everybody has.
fn mirrors(logs: &Path, bound: Bound<'_>) -> Vec<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)"]);
    let own = Job::output("apt-get", command, &logs.join("mirrors.log"), bound).unwrap_or_default();
    let mut mirrors: Vec<String> = own
        .lines()
        .map(|uri| uri.trim_end_matches('/').to_string())
        .find(|uri| uri.ends_with("/debian"))
        .into_iter()
        .collect();
    for mirror in MIRRORS.map(String::from) {
        if !mirrors.contains(&mirror) {
            mirrors.push(mirror);
        }
    }
    mirrors
}

/// Downloads and unpacks the packages, afresh.
fn fetch(mirror: &str, folder: &Path, logs: &Path, bound: Bound<'_>) -> Result<(), Error> {
    let making = || Error::io(folder.display().to_string());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(making())?;
    }
    for part in [
        "lists/partial",
        "cache/archives/partial",
        "packages",
        "root",
    ] {
        fs::create_dir_all(folder.join(part)).map_err(making())?;
    }
    let signed_by = match Path::new(KEYRING).exists() {
        true => format!("[signed-by={KEYRING}] "),
        false => String::new(),
    };
    let sources = folder.join("sources.list");
    fs::write(&sources, format!("deb {signed_by}{mirror} bullseye main\n")).map_err(making())?;

    let apt_get = |arguments: &[&str], log: &str| {
        let mut command = Command::new("apt-get");
        for (option, value) in [
            ("Dir::State::lists", folder.join("lists").as_os_str()),
            ("Dir::Cache", folder.join("cache").as_os_str()),
            ("Dir::Etc::sourcelist", sources.as_os_str()),
            ("Dir::Etc::sourceparts", "/dev/null".as_ref()),
            // Downloads stay the user's own, root or not.
            ("APT::Sandbox::User", "".as_ref()),
            ("Acquire::Languages", "none".as_ref()),
        ] {
            let mut setting = OsString::from(format!("{option}="));
            setting.push(value);
            command.arg("-o").arg(setting);
        }
        command.args(arguments).current_dir(folder.join("packages"));
        Job::run("apt-get", command, &logs.join(log), bound)
    };
    apt_get(&["update"], "apt-update.log")?;
    apt_get(&[&["download"], &PACKAGES[..]].concat(), "apt-download.log")?;

    for package in fs::read_dir(folder.join("packages")).map_err(making())? {
        let package = package.map_err(making())?.path();
        let mut command = Command::new("dpkg");
        command.arg("-x").arg(package).arg(folder.join("root"));
        Job::run("dpkg -x", command, &logs.join("dpkg.log"), bound)?;
    }
    Ok(())
}

/// The folders in `lib` that hold shared libraries: `x86_64-linux-gnu` and its like.
fn libraries(lib: &Path) -> OsString {
    let folders = fs::read_dir(lib)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let folders = folders.filter(|folder| folder.to_string_lossy().ends_with("-linux-gnu"));
    let folders: Vec<OsString> = folders.map(PathBuf::into_os_string).collect();
    folders.join(":".as_ref())
}
