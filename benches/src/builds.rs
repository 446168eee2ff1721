//! Builds and installs what is compared, below `target/compare`: Rust by cargo, Node by npm, Python by venv and pip.

use core::cell::OnceCell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::peers::{Installed, Make, Peer};

/// The flags that everything is built with, wirefan too.
pub(crate) const RUSTFLAGS: &str = "-C target-cpu=native";

/// The folders of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The workspace of wirefan.
    pub(crate) root: PathBuf,
    /// Where everything is made.
    pub(crate) dir: PathBuf,
    wirefan: OnceCell<PathBuf>,
}

impl Home {
    /// Below the target folder that cargo uses for this workspace.
    pub(crate) fn find() -> Result<Self, Error> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .ok_or_else(|| Error::Missing("the workspace of this package".to_owned()))?
            .to_path_buf();
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let dir = std::path::absolute(target)
            .map_err(Error::io("the target folder"))?
            .join("compare");
        fs::create_dir_all(dir.join("logs")).map_err(Error::io(dir.display().to_string()))?;
        Ok(Self {
            root,
            dir,
            wirefan: OnceCell::new(),
        })
    }

    fn peers(&self) -> PathBuf {
        self.root.join("benches/peers")
    }

    /// Builds `wirefan`, which is a peer and the load generator.
    pub(crate) fn wirefan(&self) -> Result<PathBuf, Error> {
        if let Some(built) = self.wirefan.get() {
            return Ok(built.clone());
        }
        let target = self.dir.join("wirefan");
        let mut cargo = self.cargo("Cargo.toml", &target);
        cargo.args(["-p", "wirefan"]);
        self.run("wirefan", cargo)?;
        Ok(self
            .wirefan
            .get_or_init(|| target.join("release/wirefan"))
            .clone())
    }

    /// Builds or installs a peer.
    pub(crate) fn install(&self, peer: &'static Peer) -> Result<Installed, Error> {
        let (version, program) = match peer.make {
            Make::Wirefan => (self.revision(), vec![self.wirefan()?.into()]),
            Make::Rust(shown) => self.rust(peer.name, shown)?,
            Make::Node(shown) => self.node(shown)?,
            Make::Bun => self.bun()?,
            Make::Python(shown) => self.python(shown)?,
        };
        Ok(Installed {
            peer,
            label: peer.name.to_owned(),
            version,
            program,
        })
    }

    fn cargo(&self, manifest: &str, target: &Path) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(self.root.join(manifest))
            .arg("--target-dir")
            .arg(target)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", RUSTFLAGS);
        cargo
    }

    fn rust(&self, name: &str, shown: Option<&str>) -> Result<(String, Vec<OsString>), Error> {
        let target = self.dir.join("peers");
        let package = format!("peer-{name}");
        let mut cargo = self.cargo("benches/peers/Cargo.toml", &target);
        cargo.args(["-p", &package]);
        self.run(name, cargo)?;
        let lock = read(&self.peers().join("Cargo.lock"))?;
        let version =
            |crate_name: &str| locked(&lock, crate_name).unwrap_or_else(|| "unknown".to_owned());
        let version = match shown {
            Some(shown) => format!("{}, tokio {}", version(shown), version("tokio")),
            None => format!("mio {}", version("mio")),
        };
        Ok((version, vec![target.join("release").join(package).into()]))
    }

    /// Installs the packages for Node and Bun, once.
    fn npm(&self) -> Result<PathBuf, Error> {
        let (from, to) = (self.peers().join("node"), self.dir.join("node"));
        let lock = from.join("package-lock.json");
        let installed = to.join("installed");
        if read(&installed).is_ok_and(|installed| read(&lock).is_ok_and(|lock| lock == installed)) {
            copy(&from, &to, &["ws.js", "bun.js"])?;
            return Ok(to);
        }
        copy(
            &from,
            &to,
            &["package.json", "package-lock.json", "ws.js", "bun.js"],
        )?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&to);
        self.run("npm", npm)?;
        // The one install script that is needed: it puts Bun's binary for this machine in its place.
        let mut script = Command::new("node");
        script.arg("node_modules/bun/install.js").current_dir(&to);
        self.run("bun", script)?;
        fs::copy(&lock, &installed).map_err(Error::io("what npm has installed"))?;
        Ok(to)
    }

    fn node(&self, shown: &str) -> Result<(String, Vec<OsString>), Error> {
        let home = self.npm()?;
        let script = home.join(format!("{shown}.js"));
        let version = format!(
            "{}, Node {}",
            self.npm_version(shown)?,
            said("node", "--version")
        );
        Ok((version, vec!["node".into(), script.into()]))
    }

    fn bun(&self) -> Result<(String, Vec<OsString>), Error> {
        let home = self.npm()?;
        let bun = home.join("node_modules/bun/bin/bun.exe");
        if !bun.exists() {
            return Err(Error::Missing(
                "npm has installed no Bun for this machine".to_owned(),
            ));
        }
        Ok((
            self.npm_version("bun")?,
            vec![bun.into(), home.join("bun.js").into()],
        ))
    }

    fn npm_version(&self, package: &str) -> Result<String, Error> {
        let lock = read(&self.peers().join("node/package-lock.json"))?;
        let lock: serde_json::Value = serde_json::from_str(&lock)
            .map_err(|error| Error::Missing(format!("package-lock.json: {error}")))?;
        let version = &lock["packages"][format!("node_modules/{package}")]["version"];
        Ok(version.as_str().unwrap_or("unknown").to_owned())
    }

    fn python(&self, shown: &str) -> Result<(String, Vec<OsString>), Error> {
        let (from, to) = (self.peers().join("python"), self.dir.join("python"));
        let wanted = from.join("requirements.txt");
        let requirements = read(&wanted)?;
        let (installed, python) = (to.join("installed"), to.join("bin/python"));
        if !read(&installed).is_ok_and(|installed| installed == requirements) {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&to);
            self.run("python-venv", venv)?;
            let mut pip = Command::new(&python);
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(&wanted);
            self.run("python-pip", pip)?;
            fs::copy(&wanted, &installed).map_err(Error::io("what pip has installed"))?;
        }
        let version = |package: &str| {
            let pinned = requirements
                .lines()
                .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
            pinned.unwrap_or("unknown").to_owned()
        };
        let version = format!(
            "{}, uvloop {}, {}",
            version(shown),
            version("uvloop"),
            said(&python.display().to_string(), "--version")
        );
        let script = from.join(format!("{shown}_peer.py"));
        Ok((version, vec![python.into(), script.into()]))
    }

    /// The state of the sources, as git calls it.
    fn revision(&self) -> String {
        let output = Command::new("git")
            .args(["describe", "--always", "--dirty"])
            .current_dir(&self.root)
            .output();
        let revision = output.ok().filter(|output| output.status.success());
        let revision =
            revision.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let revision = revision.map(|revision| format!(" ({revision})"));
        format!(
            "{}{}",
            env!("CARGO_PKG_VERSION"),
            revision.unwrap_or_default()
        )
    }

    /// Runs a command to its end, with its output in a log.
    fn run(&self, name: &str, mut command: Command) -> Result<(), Error> {
        eprintln!("building {name}");
        let log = self.dir.join("logs").join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::io(log.display().to_string()))?;
        let copy = file.try_clone().map_err(Error::io("a log"))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let status = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .status()
            .map_err(Error::io(&program))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Command(program, log))
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io(path.display().to_string()))
}

fn copy(from: &Path, to: &Path, names: &[&str]) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::io(to.display().to_string()))?;
    for name in names {
        fs::copy(from.join(name), to.join(name)).map_err(Error::io(*name))?;
    }
    Ok(())
}

/// The last word that a program says of itself, which is its version.
fn said(program: &str, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}

/// The newest version of a crate in a lock file.
fn locked(lock: &str, crate_name: &str) -> Option<String> {
    let start = format!("name = \"{crate_name}\"\nversion = \"");
    let rest = lock.rsplit_once(&start)?.1;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_lock_files() {
        let lock = "[[package]]\nname = \"mio\"\nversion = \"1.2.0\"\n\n[[package]]\nname = \"tokio\"\nversion = \"1.50.1\"\n";
        assert_eq!(locked(lock, "tokio").unwrap(), "1.50.1");
        assert_eq!(locked(lock, "mio").unwrap(), "1.2.0");
        assert_eq!(locked(lock, "io"), None);
    }
}
