//! `wirefan config`: the options in effect, as a file that may be used again, each with its help and where it comes from.

use core::fmt::Write;
use std::ffi::OsString;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::ConfigFile;
use super::invocation::{Effective, Resolved, Source};
use super::setting::{self, Kind, Setting};
use crate::options::{Broadcast, Serve};
use crate::usage;

/// The options of `config`.
#[derive(Args, Debug)]
#[command(disable_help_subcommand = true)]
#[command(override_usage = "wirefan config [echo|broadcast] [OPTIONS]")]
pub(crate) struct PrintConfig {
    #[command(subcommand)]
    pub(crate) of: Of,
}

/// The command whose options are asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Of {
    /// What `wirefan echo` would run with
    Echo(Serve),
    /// What `wirefan broadcast` would run with
    Broadcast(Broadcast),
}

impl PrintConfig {
    pub(crate) fn serve(&self) -> &Serve {
        match &self.of {
            Of::Echo(serve) => serve,
            Of::Broadcast(broadcast) => &broadcast.serve,
        }
    }

    pub(crate) fn file_mut(&mut self) -> &mut ConfigFile {
        match &mut self.of {
            Of::Echo(serve) => &mut serve.config,
            Of::Broadcast(broadcast) => &mut broadcast.serve.config,
        }
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let root = usage::command();
        let resolved: Option<&Arc<Resolved>> = self.serve().config.resolved.as_ref();
        let Some(resolved) = resolved else {
            return String::new();
        };
        let mut command = &root;
        for name in &resolved.command {
            command = command.find_subcommand(name).unwrap_or(command);
        }
        let mut text = format!("# What `wirefan {}` runs with.\n", command.get_name());
        for note in &resolved.suspicious {
            let _ = writeln!(text, "# Mind: {note}");
        }
        // In the order of the help: by heading, those without one first.
        let mut headings: Vec<Option<&str>> = vec![None];
        for setting in setting::settings(command) {
            let heading = setting.arg.get_help_heading();
            if !headings.contains(&heading) {
                headings.push(heading);
            }
        }
        for heading in headings {
            if let Some(heading) = heading {
                let _ = write!(text, "\n\n#### {heading}\n");
            }
            let under = |setting: &Setting<'_>| setting.arg.get_help_heading() == heading;
            for setting in setting::settings(command).filter(under) {
                if let Some(effective) = resolved.effective.get(setting.name) {
                    one(&mut text, setting, effective);
                }
            }
        }
        text
    }
}

/// Puts in the command that goes without saying: behind `config`, whatever is no word and asks for no help.
pub(crate) fn with_command(mut args: Vec<OsString>) -> Vec<OsString> {
    let first = args.get(1).and_then(|arg| arg.to_str()).unwrap_or_default();
    let place = match first {
        "--log" => 3,
        _ if first.starts_with("--log=") => 2,
        _ => 1,
    };
    let goes_on = args.get(place + 1).is_some_and(|next| {
        ["--help", "-h"].iter().any(|help| next == help)
            || next.as_encoded_bytes().iter().all(u8::is_ascii_alphabetic)
    });
    if !goes_on && args.get(place).is_some_and(|arg| arg == "config") {
        args.insert(place + 1, "broadcast".into());
    }
    args
}

/// An option: its help, its possible values, where it comes from, and itself.
fn one(text: &mut String, setting: Setting<'_>, effective: &Effective) {
    let Effective { values, source } = effective;
    text.push('\n');
    let arg = setting.arg;
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for paragraph in help.split("\n\n") {
        let words = paragraph.split_whitespace();
        wrap(text, words);
    }
    for value in arg
        .get_possible_values()
        .iter()
        .filter(|value| setting.kind() != Kind::Switch && !value.is_hide_set())
    {
        let help = value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let first = format!("  {}:", value.get_name());
        wrap(text, [&*first].into_iter().chain(help.split_whitespace()));
    }
    let _ = writeln!(text, "# [{source}]");
    let name = setting.name;
    let written: Vec<String> = values
        .iter()
        .map(|value| literal(setting, &without_password(&value.to_string_lossy())))
        .collect();
    // A default that is written down would stay when a later version has a better one, and some may not be given alone.
    let mark = if *source == Source::Default { "# " } else { "" };
    let _ = match (setting.kind(), &*written) {
        (_, []) => writeln!(text, "# {name} ="),
        _ if setting.is_secret() => writeln!(text, "# {name} = (set, and not shown)"),
        (Kind::Many, several) => writeln!(text, "{mark}{name} = [{}]", several.join(", ")),
        (_, [one, ..]) => writeln!(text, "{mark}{name} = {one}"),
    };
}

/// A value as TOML has it: bare where it is a number or a switch that comes back as the same text.
fn literal(setting: Setting<'_>, value: &str) -> String {
    let number = value
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == value);
    if setting.kind() == Kind::Switch || number {
        value.to_owned()
    } else {
        toml::Value::from(value).to_string()
    }
}

/// A URL without the password in it.
fn without_password(value: &str) -> String {
    let inside = || {
        let (scheme, rest) = value.split_once("://")?;
        let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:***{}", &rest[user.len()..]))
    };
    inside().unwrap_or_else(|| value.to_owned())
}

/// Words as comments of up to 100 columns.
fn wrap<'a>(text: &mut String, words: impl Iterator<Item = &'a str>) {
    let mut width = 0;
    for word in words {
        if width > 0 && width + 1 + word.chars().count() > 100 {
            width = 0;
            text.push('\n');
        }
        text.push_str(if width == 0 { "# " } else { " " });
        text.push_str(word);
        width += word.chars().count() + if width == 0 { 2 } else { 1 };
    }
    if width > 0 {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    #[test]
    fn passwords_in_urls_are_not_shown() {
        for (value, shown) in [
            ("http://a:1/b", "http://a:1/b"),
            ("http://u:p@a:1/b", "http://u:***@a:1/b"),
            ("http://u:p@x@a/b", "http://u:***@a/b"),
            ("http://u@a/", "http://u@a/"),
            ("http://a/b:c@d", "http://a/b:c@d"),
            ("127.0.0.1:9001", "127.0.0.1:9001"),
        ] {
            assert_eq!(without_password(value), shown);
        }
    }

    #[test]
    fn secrets_are_not_shown_and_all_else_is() {
        let command = Command::new("test")
            .arg(Arg::new("a").long("admin-token"))
            .arg(Arg::new("b").long("name").help("What it is called"));
        let effective = Effective {
            values: vec!["geheim \"x\"".into()],
            source: Source::Flag,
        };
        let mut text = String::new();
        for setting in setting::settings(&command) {
            one(&mut text, setting, &effective);
        }
        let (secret, shown) = text.split_once("\n\n").unwrap();
        assert!(
            secret.contains("# admin-token = (set, and not shown)"),
            "{secret}"
        );
        assert!(!secret.contains("geheim"), "{secret}");
        assert!(shown.contains("# What it is called\n"), "{shown}");
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["name"].as_str(), Some("geheim \"x\""));
    }

    #[test]
    fn without_a_command_it_is_broadcast() {
        for (args, with) in [
            ("wirefan config", "wirefan config broadcast"),
            (
                "wirefan --log off config --workers 1",
                "wirefan --log off config broadcast --workers 1",
            ),
            (
                "wirefan --log=off config",
                "wirefan --log=off config broadcast",
            ),
            ("wirefan config echo", "wirefan config echo"),
            ("wirefan config --help", "wirefan config --help"),
            ("wirefan check-config config", "wirefan check-config config"),
            ("wirefan", "wirefan"),
        ] {
            let args = with_command(args.split(' ').map(OsString::from).collect());
            assert_eq!(args.join(" ".as_ref()), with);
        }
    }

    #[test]
    fn comments_stay_narrow() {
        let mut text = String::new();
        wrap(&mut text, ["word"; 60].into_iter());
        assert!(
            text.lines()
                .all(|line| line.starts_with("# word") && line.len() <= 100)
        );
        assert_eq!(text.matches("word").count(), 60);
    }
}
