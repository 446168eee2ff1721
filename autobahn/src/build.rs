//! Builds what is to be tested, with the cargo and the target folder of this program.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::job::{Bound, Job};

const LIMIT: Duration = Duration::from_secs(1800);

/// The binary `wirefan`.
pub(crate) fn wirefan(target: &Path, bound: Bound<'_>) -> Result<PathBuf, Error> {
    build(
        "wirefan",
        &["--package", "wirefan"],
        "wirefan",
        target,
        bound,
    )
}

/// The echo server of wirefan-tokio.
pub(crate) fn tokio_server(target: &Path, bound: Bound<'_>) -> Result<PathBuf, Error> {
    let what = ["--package", "wirefan-tokio", "--example", "echo_server"];
    build(
        "the server on tokio",
        &what,
        "examples/echo_server",
        target,
        bound,
    )
}

/// The echo client of wirefan-tokio.
pub(crate) fn tokio_client(target: &Path, bound: Bound<'_>) -> Result<PathBuf, Error> {
    let what = ["--package", "wirefan-tokio", "--example", "echo_client"];
    build(
        "the client on tokio",
        &what,
        "examples/echo_client",
        target,
        bound,
    )
}

/// Builds it in `target` and returns its path.
fn build(
    name: &str,
    what: &[&str],
    program: &str,
    target: &Path,
    bound: Bound<'_>,
) -> Result<PathBuf, Error> {
    // Under `cargo run` this is the cargo that started us.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    command.args(what).arg("--target-dir").arg(target);
    eprintln!("building {name}");
    let log = target.join("autobahn/logs/build.log");
    Job::run("cargo build", command, &log, bound.part(LIMIT))?;
    Ok(target
        .join("release")
        .join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
}
