//! Flags, environment and file: who goes over whom, what mistakes are called, what is written, what SIGHUP changes.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Received, Wirefan, command, run};
use wirefan_protocol::CloseCode;

/// A file of its own for each test. It is gone when this is dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{name}.toml"));
        let file = Self(path);
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        // At once, as a good editor does it.
        let new = self.0.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.0).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// What `wirefan config` says of an option: where it comes from, and its line.
fn effective(output: &Output, name: &str) -> (String, String) {
    assert!(output.status.success(), "{}", stderr(output));
    let lines: Vec<&str> = stdout(output).lines().collect();
    let found = lines.iter().position(|line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(" ="))
    });
    let found = found.unwrap_or_else(|| panic!("no {name} in {}", stdout(output)));
    (lines[found - 1].to_owned(), lines[found].to_owned())
}

#[test]
fn a_flag_goes_over_the_environment_and_that_over_the_file() {
    let file = File::new(
        "order",
        "max-message = \"1k\"\nworkers = 3\nsubprotocol = [\"a\", \"b\"]\nto-sender = true\n\
         [broadcast]\nworkers = 4\n[echo]\nlog = \"debug\"\n",
    );
    let asked = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = command(&[&["config"], args, &["--config", file.path()]].concat());
        command.envs(environment.iter().copied()).output().unwrap()
    };
    let says = |output: &Output, name: &str, source: &str, line: &str| {
        let found = effective(output, name);
        assert_eq!((found.0.as_str(), found.1.as_str()), (source, line));
    };
    let from_file = |line: usize| format!("# [from {}:{line}]", file.path());

    let output = asked(&[], &[]);
    says(
        &output,
        "max-message",
        &from_file(1),
        "max-message = \"1k\"",
    );
    says(&output, "workers", &from_file(6), "workers = 4");
    says(
        &output,
        "subprotocol",
        &from_file(3),
        "subprotocol = [\"a\", \"b\"]",
    );
    says(&output, "to-sender", &from_file(4), "to-sender = true");
    says(&output, "log", "# [the default]", "# log = \"info\"");
    says(
        &output,
        "max-connections",
        "# [not set]",
        "# max-connections =",
    );

    // What only `broadcast` has is no mistake at the top, where `echo` reads too.
    let output = asked(&["echo"], &[]);
    says(&output, "workers", &from_file(2), "workers = 3");
    says(&output, "log", &from_file(8), "log = \"debug\"");

    let environment = [
        ("WIREFAN_MAX_MESSAGE", "2k"),
        ("WIREFAN_SUBPROTOCOL", "c, d"),
        ("WIREFAN_TO_SENDER", "off"),
        ("WIREFAN_WORKERS", ""),
    ];
    let output = asked(&[], &environment);
    let source = "# [from the environment: WIREFAN_MAX_MESSAGE]";
    says(&output, "max-message", source, "max-message = \"2k\"");
    let source = "# [from the environment: WIREFAN_SUBPROTOCOL]";
    says(
        &output,
        "subprotocol",
        source,
        "subprotocol = [\"c\", \"d\"]",
    );
    let source = "# [from the environment: WIREFAN_TO_SENDER]";
    says(&output, "to-sender", source, "to-sender = false");
    says(&output, "workers", &from_file(6), "workers = 4");

    let flags = [
        "--max-message",
        "3k",
        "--subprotocol=e",
        "--to-sender=false",
    ];
    let output = asked(&[&["broadcast"], &flags[..]].concat(), &environment);
    let source = "# [from the command line]";
    says(&output, "max-message", source, "max-message = \"3k\"");
    says(&output, "subprotocol", source, "subprotocol = [\"e\"]");
    assert_eq!(effective(&output, "to-sender").1, "# to-sender = false");
}

/// Whatever the option is: a value that it takes is the same in all three forms, and one that it does not take is refused
/// with the same words.
#[test]
fn every_option_works_in_all_three_forms() {
    let mut names = 0;
    let shown = run(&["config"]);
    for line in stdout(&shown).lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((name, value)) = line.split_once(" =") else {
            continue;
        };
        if name.contains(' ') {
            continue;
        }
        names += 1;
        let switch = matches!(value, " true" | " false");
        let (value, flag) = match switch {
            true => ("true", format!("--{name}")),
            // Few take this, and nothing takes it for anything but a text.
            false => ("\"\\u0001\"", format!("--{name}=\u{1}")),
        };
        let file = File::new(&format!("every-{name}"), &format!("{name} = {value}\n"));
        let variable = format!("WIREFAN_{}", name.to_uppercase().replace('-', "_"));
        let typed = run(&["config", &flag]);
        let value = if switch { "true" } else { "\u{1}" };
        let from_environment = command(&["config"]).env(&variable, value).output().unwrap();
        let from_file = run(&["config", "--config", file.path()]);
        for (output, source) in [(&from_environment, &*variable), (&from_file, file.path())] {
            assert_eq!(
                output.status.code(),
                typed.status.code(),
                "{name}: {}",
                stderr(output)
            );
            if typed.status.success() {
                let (found, expected) = (effective(output, name), effective(&typed, name));
                assert_eq!(found.1, expected.1);
                assert!(found.0.contains(source), "{name} {}", found.0);
            } else {
                let said = stderr(&typed).strip_prefix("wirefan: ").unwrap();
                let said = said
                    .trim_end()
                    .trim_end_matches("(wirefan --help tells more)")
                    .trim_end();
                assert!(stderr(output).contains(said), "{said} {}", stderr(output));
                assert!(
                    stderr(output).contains(source),
                    "{name}: {}",
                    stderr(output)
                );
            }
        }
    }
    assert!(names > 25, "{}", stdout(&shown));
}

#[test]
fn mistakes_in_a_file_have_a_place_and_a_way_out() {
    for (name, text, said) in [
        (
            "name",
            "\nlisen = []\n",
            "2:1: unknown name 'lisen': did you mean 'listen'?",
        ),
        (
            "underscore",
            "max_message = 1",
            "1:1: unknown name 'max_message': did you mean 'max-message'?",
        ),
        ("far", "colour = 1", "1:1: unknown name 'colour'"),
        (
            "value",
            "workers = 0",
            "1:11: invalid value '0' for '--workers <N>': 0 is not in 1..=1024",
        ),
        (
            "item",
            "listen = [\"a:1\",\n  \"b\"]",
            "2:3: invalid value 'b' for '--listen",
        ),
        ("array", "workers = [1]", "1:11: 'workers' takes one value"),
        ("switch", "to-sender = 1", "1:13: 'to-sender' is on or off"),
        (
            "date",
            "max-message = 2001-01-01",
            "1:15: 'max-message': a date",
        ),
        ("table", "[listen]\na = 1", "1:2: 'listen' is an option"),
        (
            "section",
            "[ecko]\na = 1",
            "1:2: there is no section 'ecko'",
        ),
        (
            "owner",
            "[echo]\nto-sender = true",
            "2:1: 'to-sender' is an option of broadcast",
        ),
        (
            "file",
            "config = \"b\"",
            "1:1: a configuration file cannot name another",
        ),
        ("twice", "workers = 1\nworkers = 2", "2:1: duplicate key"),
        ("syntax", "workers = \n", "1:11: "),
        (
            "marks",
            "# Low:\nbacklog-low = \"9m\"",
            "2:1: --backlog-low is above --backlog-high",
        ),
        (
            "needs",
            "# Here:\ntls-cert = \"a\"",
            "2:1: the following required arguments were not provided: --tls-key",
        ),
        (
            "against",
            "tls-self-signed = true\ntls-cert = \"a\"\ntls-key = \"b\"",
            "2:1: the argument '--tls-cert <FILE>' cannot be used",
        ),
    ] {
        let file = File::new(&format!("mistake-{name}"), text);
        let output = run(&["check-config", file.path()]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let expected = format!("{}:", file.path());
        let complaint = stderr(&output);
        assert!(
            complaint.starts_with(&expected) && complaint.contains(said),
            "{name}: {complaint}"
        );
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        // A server says so too, and does not start.
        let output = run(&["broadcast", "--config", file.path()]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let said = said.split_once("1: ").map_or(said, |(_, said)| said);
        assert!(
            stderr(&output).contains(said),
            "{name}: {}",
            stderr(&output)
        );
    }
    let output = run(&["check-config", "/nowhere/wirefan.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("/nowhere/wirefan.toml: cannot be read: "));
}

#[test]
fn all_mistakes_are_told_in_their_order_and_none_in_a_good_file() {
    let file = File::new("all", "workers = 0\nlisen = 1\nmax-message = \"x\"\n");
    let output = run(&["check-config", file.path()]);
    let places = [":1:11: ", ":2:1: ", ":3:15: "];
    let lines: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(lines.len(), places.len(), "{lines:?}");
    for (line, place) in lines.iter().zip(places) {
        assert!(line.contains(place), "{line}");
    }
    file.write("workers = 1\nlisten = \"127.0.0.1:0\"\n");
    let output = run(&["check-config", file.path()]);
    assert!(output.status.success());
    assert_eq!(
        stdout(&output),
        format!("{}: 2 options, no mistakes\n", file.path())
    );
}

#[test]
fn options_that_do_not_fit_together_are_told_with_where_they_come_from() {
    let file = File::new("clash", "\ntls-self-signed = true\n");
    let output = command(&["echo", "--config", file.path(), "--tls-key", "b"])
        .env("WIREFAN_TLS_CERT", "a")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = stderr(&output);
    assert!(
        line.contains(&format!("--tls-self-signed is from {}:2", file.path())),
        "{line}"
    );
    assert!(
        line.contains("--tls-cert is from the environment: WIREFAN_TLS_CERT"),
        "{line}"
    );
}

#[test]
fn what_is_written_may_be_used_again() {
    let file = File::new(
        "again-1",
        "max-message = \"1k\"\nlisten = \"127.0.0.1:0\"\nto-sender = true\n",
    );
    let first = run(&["config", "--config", file.path(), "--workers", "2"]);
    let copy = File::new("again-2", stdout(&first));
    assert!(run(&["check-config", copy.path()]).status.success());
    let second = run(&["config", "--config", copy.path()]);
    let values = |output: &Output| -> Vec<String> {
        let set = stdout(output)
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        set.map(str::to_owned).collect()
    };
    assert_eq!(values(&first), values(&second));
    assert_eq!(values(&first).len(), 4);
}

#[test]
fn a_file_reaches_the_server_and_a_mistyped_variable_is_told() {
    let file = File::new("server", "max-message = 10\n");
    let server = Wirefan::start_with(|command| {
        command
            .args(["echo", "--config", file.path(), "--listen", "127.0.0.1:0"])
            .env("WIREFAN_LISEN", "a:1");
    });
    // Before it listens.
    assert!(
        server
            .early
            .iter()
            .any(|line| line.contains("did you mean WIREFAN_LISTEN?"))
    );
    let mut client = server.connect("/");
    client.send_binary(&[7; 11]);
    assert_eq!(client.next(), Received::Close(Some(CloseCode::TOO_BIG)));
}

#[cfg(unix)]
#[test]
fn sighup_tells_what_waits_for_the_next_start_and_a_broken_file_changes_nothing() {
    let file = File::new("hangup", "max-message = 10\nworkers = 1\n");
    let mut server = Wirefan::start(&["echo", "--config", file.path()]);
    let mut client = server.connect("/");

    server.signal("HUP");
    server.line_with("read again");
    file.write("max-message = 20\nworkers = 2\n");
    server.signal("HUP");
    let line = server.line_with("SIGHUP");
    assert!(
        line.contains("WARN") && line.contains("max-message, workers"),
        "{line}"
    );

    file.write("max-message = \"what\"\nlisen = 1\n");
    server.signal("HUP");
    let line = server.line_with("SIGHUP");
    assert!(
        line.contains("ERROR") && line.contains(":1:15: invalid value 'what'"),
        "{line}"
    );
    assert!(server.line_with("SIGHUP").contains(":2:1: unknown name"));
    assert!(server.line_with("SIGHUP").contains("stays in use"));
    fs::remove_file(&file.0).unwrap();
    server.signal("HUP");
    assert!(server.line_with("SIGHUP").contains("cannot be read"));

    // The connection of before, and the limit of before.
    client.send_binary(&[7; 10]);
    assert_eq!(client.next(), Received::Binary(vec![7; 10]));
    client.send_binary(&[7; 11]);
    assert_eq!(client.next(), Received::Close(Some(CloseCode::TOO_BIG)));
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn help_is_there_whatever_the_environment_and_the_file_say() {
    let asked = |args: &[&str]| {
        let mut command = command(args);
        command
            .env("WIREFAN_LOG", "debug")
            .env("WIREFAN_CONFIG", "/nowhere");
        command.output().unwrap()
    };
    for args in [
        &["--help"][..],
        &["help", "broadcast"],
        &["broadcast", "-h"],
        &["--version"],
    ] {
        let output = asked(args);
        assert!(
            output.status.success() && !stdout(&output).is_empty(),
            "{args:?}"
        );
    }
    let output = asked(&[]);
    assert!(stderr(&output).contains("Usage:"), "{}", stderr(&output));
    // Elsewhere the log's filter counts, and the file does not.
    assert!(asked(&["completions", "bash"]).status.success());
    let output = command(&["completions", "bash"])
        .env("WIREFAN_LOG", "loud")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("WIREFAN_LOG: invalid value 'loud'"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    for (shell, check) in [
        ("bash", &["bash", "-n"][..]),
        ("zsh", &["zsh", "-n"]),
        ("fish", &["fish", "-n"]),
        ("powershell", &[]),
        ("elvish", &[]),
    ] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        for word in ["broadcast", "max-message", "check-config"] {
            assert!(stdout(&output).contains(word), "{shell}: {word}");
        }
        let [program, args @ ..] = check else {
            continue;
        };
        let file = File::new(&format!("completions-{shell}"), stdout(&output));
        match Command::new(program).args(args).arg(file.path()).output() {
            Ok(checked) => assert!(checked.status.success(), "{}", stderr(&checked)),
            Err(_) => eprintln!("SKIPPED: there is no {program}"),
        }
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn the_manual_has_a_page_for_each_command_that_is_typeset_without_complaint() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config-man");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    assert!(
        run(&["man", "--dir", folder.to_str().unwrap()])
            .status
            .success()
    );
    for page in [
        "wirefan.1",
        "wirefan-broadcast.1",
        "wirefan-echo.1",
        "wirefan-bench.1",
        "wirefan-config.1",
    ] {
        let page = folder.join(page);
        assert!(page.is_file(), "{}", page.display());
        match Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(&page)
            .output()
        {
            Ok(typeset) => assert_eq!(stderr(&typeset), ""),
            Err(_) => eprintln!("SKIPPED: there is no groff"),
        }
    }
    let text = fs::read_to_string(folder.join("wirefan-broadcast.1")).unwrap();
    assert!(
        text.contains("to\\-sender") && text.contains("max\\-message"),
        "{text}"
    );
    let page = run(&["man", "broadcast"]);
    assert!(stdout(&page).contains("to\\-sender"));
    assert!(stdout(&run(&["man"])).contains("SUBCOMMANDS"));
    fs::remove_dir_all(folder).unwrap();
}
