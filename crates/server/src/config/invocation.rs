//! [`Invocation`]: how the program was called, and the options that follow from it when the file is read. What the
//! environment and the file say is put in front of what was typed, as if it had been typed too; so clap checks it all.

use core::fmt;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::iter;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::environment::Environment;
use super::file::File;
use super::mistake::{Mistake, Place};
use super::setting::{self, Kind, Setting};
use super::values;
use crate::usage;

/// Arguments, the program's name first, and environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invocation {
    pub(crate) args: Vec<OsString>,
    pub(crate) environment: Environment,
}

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    Flag,
    /// The variable's name.
    Environment(String),
    File(PathBuf, Place),
    Default,
    /// There is none.
    Unset,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from the command line"),
            Self::Environment(name) => write!(f, "from the environment: {name}"),
            Self::File(path, place) => write!(f, "from {}:{}", path.display(), place.line),
            Self::Default => f.write_str("the default"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// An option as it is in effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Effective {
    pub(crate) values: Vec<OsString>,
    pub(crate) source: Source,
}

/// An invocation with its file: what clap is to read, and what it has read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) invocation: Invocation,
    /// The names of the command, `config broadcast` for instance; empty for one without a configuration.
    pub(crate) command: Vec<String>,
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// What clap is to read.
    pub(crate) args: Vec<OsString>,
    /// By name, once clap has read it.
    pub(crate) effective: BTreeMap<String, Effective>,
    /// Variables that look like a mistake.
    pub(crate) suspicious: Vec<String>,
    /// What was not typed comes from here, and stands in these arguments.
    sources: BTreeMap<String, (Source, Vec<String>)>,
}

impl Invocation {
    /// Reads the file, if one is named.
    pub(crate) fn resolve(self) -> Result<Resolved, Vec<Mistake>> {
        let root = usage::command();
        let (names, command, place) = find_command(&root, &self.args);
        let typed = Typed::of(&self.args, command);
        // Nothing is to stand behind a command that is not there.
        let helps = names.first().is_none_or(|first| first == "help");
        if typed.asks_for_help || helps {
            return Ok(Resolved {
                args: self.args.clone(),
                invocation: self,
                ..Resolved::default()
            });
        }
        let configured = setting::is_configured(command);
        let file = typed
            .file
            .clone()
            .or_else(|| self.environment.get("WIREFAN_CONFIG").map(PathBuf::from))
            .filter(|_| configured);
        let read = file
            .as_deref()
            .map(|path| File::read(path, &root))
            .transpose()?;
        let mut resolved = Resolved {
            command: names,
            file,
            suspicious: suspicious(&self.environment, &root),
            ..Resolved::default()
        };
        let untyped = setting::settings(command)
            .filter(|setting| configured || setting.arg.is_global_set())
            .filter(|setting| !typed.has(setting.name));
        let mut mistakes = Vec::new();
        let mut added: Vec<OsString> = Vec::new();
        for setting in untyped {
            match said(setting, command, &self.environment, read.as_ref()) {
                Ok(None) => {}
                Ok(Some((values, source))) => {
                    let args = setting.arguments(&values);
                    added.extend(args.iter().map(OsString::from));
                    let name = setting.name.to_owned();
                    resolved.sources.insert(name, (source, args));
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        resolved.args = typed.args;
        resolved.args.splice(place..place, added);
        resolved.invocation = self;
        Ok(resolved)
    }
}

impl Resolved {
    /// What a file alone would make of a command, without flags and environment.
    pub(super) fn of_file(file: &File, command: &Command) -> Self {
        let name = command.get_name();
        let mut resolved = Self {
            command: vec![name.to_owned()],
            args: vec!["wirefan".into(), name.into()],
            ..Self::default()
        };
        for setting in setting::settings(command) {
            if let Some(entry) = file.get(name, setting.name) {
                let args = setting.arguments(&entry.values);
                resolved.args.extend(args.iter().map(OsString::from));
                let source = Source::File(file.path.clone(), entry.place);
                let name = setting.name.to_owned();
                resolved.sources.insert(name, (source, args));
            }
        }
        resolved
    }

    /// Keeps what clap has read.
    pub(crate) fn keep(&mut self, root: &Command, matches: &ArgMatches) {
        let (mut command, mut matches) = (root, matches);
        for name in &self.command {
            let Some(inner) = matches
                .subcommand_matches(name)
                .zip(command.find_subcommand(name))
            else {
                return;
            };
            (matches, command) = inner;
        }
        for setting in setting::settings(command) {
            let (id, name) = (setting.arg.get_id().as_str(), setting.name);
            let values = matches
                .get_raw(id)
                .map(|values| values.map(OsString::from).collect());
            let source = match (matches.value_source(id), self.sources.get(name)) {
                (_, Some((source, _))) => source.clone(),
                (Some(ValueSource::CommandLine), None) => Source::Flag,
                (Some(_), None) => Source::Default,
                (None, None) => Source::Unset,
            };
            let values = values.unwrap_or_default();
            self.effective
                .insert(name.to_owned(), Effective { values, source });
        }
    }

    /// Where the options that a text speaks of come from, as far as they were not typed. If it speaks of none: those that
    /// cannot be given alone.
    pub(crate) fn whence<'a>(&'a self, text: &str) -> Vec<(&'a str, &'a Source)> {
        let sources = || self.sources.iter();
        let mut found: Vec<(usize, &str, &Source)> = sources()
            .filter_map(|(name, (source, _))| Some((mentioned(text, name)?, &**name, source)))
            .collect();
        found.sort_by_key(|(place, ..)| *place);
        if found.is_empty() {
            let alone = |args: &[String]| {
                let args = self.command.iter().chain(args).map(OsString::from);
                let resolved = Self {
                    args: iter::once("wirefan".into()).chain(args).collect(),
                    ..Self::default()
                };
                usage::understand(resolved).is_ok()
            };
            let needy = sources().filter(|(_, (_, args))| !alone(args));
            found.extend(needy.map(|(name, (source, _))| (0, &**name, source)));
        }
        let named = |(_, name, source)| (name, source);
        found.into_iter().map(named).collect()
    }
}

/// Where a text speaks of `--name`, and not of a longer one.
fn mentioned(text: &str, name: &str) -> Option<usize> {
    let flag = format!("--{name}");
    text.match_indices(&flag)
        .map(|(place, _)| place)
        .find(|place| {
            let next = text[place + flag.len()..].chars().next();
            !next.is_some_and(|c| c.is_alphanumeric() || c == '-')
        })
}

/// The command that the arguments name, and where its own begin.
fn find_command<'a>(root: &'a Command, args: &[OsString]) -> (Vec<String>, &'a Command, usize) {
    let (mut names, mut command, mut place) = (Vec::new(), root, args.len().min(1));
    let mut at = place;
    while let Some(arg) = args.get(at).and_then(|arg| arg.to_str()) {
        if arg == "--" {
            break;
        } else if let Some(flag) = arg.strip_prefix("--") {
            let takes_value = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(flag) && arg.get_action().takes_values());
            at += 1 + usize::from(takes_value);
        } else if arg.starts_with('-') {
            at += 1;
        } else if let Some(inner) = command.find_subcommand(arg) {
            at += 1;
            names.push(arg.to_owned());
            (command, place) = (inner, at);
        } else {
            break;
        }
    }
    (names, command, place)
}

/// What was typed.
struct Typed {
    /// All of it, without switches that are turned off: clap does not know `--switch=false`.
    args: Vec<OsString>,
    names: Vec<String>,
    file: Option<PathBuf>,
    asks_for_help: bool,
}

impl Typed {
    fn of(args: &[OsString], command: &Command) -> Self {
        let mut typed = Self {
            args: Vec::new(),
            names: Vec::new(),
            file: None,
            asks_for_help: false,
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let text = arg.to_str().unwrap_or_default();
            if text == "--" {
                typed.args.push(arg.clone());
                typed.args.extend(rest.cloned());
                break;
            }
            typed.asks_for_help |= ["--help", "-h", "--version", "-V"].contains(&text);
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let Some(name) = name.strip_prefix("--") else {
                typed.args.push(arg.clone());
                continue;
            };
            typed.names.push(name.to_owned());
            if name == "config" {
                let next = || rest.clone().next().map(PathBuf::from);
                typed.file = value.map(PathBuf::from).or_else(next);
            }
            let switch = setting::find(command, name).is_some_and(|it| it.kind() == Kind::Switch);
            match value.filter(|_| switch) {
                Some("true") => typed.args.push(format!("--{name}").into()),
                Some("false") => {}
                _ => typed.args.push(arg.clone()),
            }
        }
        typed
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|typed| typed == name)
    }
}

/// What the environment says of an option, or else the file.
fn said(
    setting: Setting<'_>,
    command: &Command,
    environment: &Environment,
    file: Option<&File>,
) -> Result<Option<(Vec<String>, Source)>, Mistake> {
    let variable = setting::variable(setting.name);
    if let Some(value) = environment.get(&variable) {
        let wrong = |what: String| Mistake::elsewhere(format!("{variable}: {what}"));
        let value = value
            .to_str()
            .ok_or_else(|| wrong("it is not UTF-8".to_owned()))?;
        let values = values::in_variable(setting, value).map_err(wrong)?;
        if let Some(why) = values
            .iter()
            .find_map(|value| values::refusal(command, setting, value))
        {
            return Err(wrong(why));
        }
        return Ok(Some((values, Source::Environment(variable))));
    }
    let entry = file.and_then(|file| Some((file, file.get(command.get_name(), setting.name)?)));
    Ok(entry.map(|(file, entry)| {
        (
            entry.values.clone(),
            Source::File(file.path.clone(), entry.place),
        )
    }))
}

/// Variables that are nearly one of ours. Others are none of our business: Kubernetes, for instance, sets some for a
/// service that is called like us.
fn suspicious(environment: &Environment, root: &Command) -> Vec<String> {
    let known = |name: &str| {
        name == "config"
            || setting::configured(root).any(|command| setting::find(command, name).is_some())
    };
    environment
        .names_and_values()
        .filter_map(|(variable, _)| {
            let name = variable.strip_prefix(super::environment::PREFIX)?;
            let name = name.to_lowercase().replace('_', "-");
            let near = setting::nearest(setting::configured(root), &name)?;
            let near = setting::variable(near);
            (!known(&name)).then(|| format!("{variable} is no option; did you mean {near}?"))
        })
        .collect()
}

/// Where in a file a value is, if it is in one.
pub(super) fn place_of(source: &Source) -> Option<(&Path, Place)> {
    match source {
        Source::File(path, place) => Some((path, *place)),
        _ => None,
    }
}
