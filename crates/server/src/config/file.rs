//! [`File`]: a configuration file, read and checked name by name, with the place of everything that is said in it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place};
use super::setting::{self, Kind, Setting};
use super::values;

/// What a file says.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    entries: Vec<Entry>,
}

/// One `name = value`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The command whose section it is in; `None` at the top, for all of them.
    section: Option<String>,
    pub(super) name: String,
    pub(super) values: Vec<String>,
    pub(super) place: Place,
}

impl File {
    /// Reads a file. `root` knows all commands.
    pub(super) fn read(path: &Path, root: &Command) -> Result<Self, Vec<Mistake>> {
        let text = fs::read_to_string(path)
            .map_err(|error| vec![Mistake::at(path, None, format!("cannot be read: {error}"))])?;
        Self::parse(path, &text, root)
    }

    /// Takes in what is in a file, or says all that is wrong with it, in its order.
    pub(super) fn parse(path: &Path, text: &str, root: &Command) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader {
            path,
            text,
            root,
            entries: Vec::new(),
            mistakes: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let place = error.span().map(|bytes| Place::of(text, &bytes));
            let what: Vec<&str> = error.message().lines().map(str::trim).collect();
            reader
                .mistakes
                .push(Mistake::at(path, place, what.join("; ")));
        }
        // The first of a line: what follows is its echo.
        reader.mistakes.dedup_by_key(|mistake| {
            let (_, place) = mistake.at.clone().unwrap_or_default();
            place.map(|place| place.line)
        });
        // What a parser makes of a broken file is a guess, and complaints about a guess confuse.
        if errors.is_empty() {
            reader.table(table.get_ref(), None);
        }
        let Reader {
            entries,
            mut mistakes,
            ..
        } = reader;
        // The parser sorts by name.
        mistakes.sort_by_key(|mistake| mistake.at.as_ref().and_then(|(_, place)| *place));
        if mistakes.is_empty() {
            Ok(Self {
                path: path.to_owned(),
                entries,
            })
        } else {
            Err(mistakes)
        }
    }

    /// What it says of an option of a command: the command's own section goes over the top of the file.
    pub(super) fn get(&self, command: &str, name: &str) -> Option<&Entry> {
        let of = |section: Option<&str>| {
            let mut entries = self.entries.iter();
            entries.find(|entry| entry.section.as_deref() == section && entry.name == name)
        };
        of(Some(command)).or_else(|| of(None))
    }

    /// How many options it sets.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    root: &'a Command,
    entries: Vec<Entry>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    fn mistake(&mut self, at: &Spanned<impl Sized>, what: impl Into<String>) {
        let place = Place::of(self.text, &at.span());
        self.mistakes
            .push(Mistake::at(self.path, Some(place), what));
    }

    fn table(&mut self, table: &DeTable<'_>, section: Option<&'a Command>) {
        for (name, value) in table {
            if let DeValue::Table(inner) = value.get_ref() {
                self.section(name, inner, section);
                continue;
            }
            let place = Place::of(self.text, &name.span());
            let Some((command, setting)) = self.find(section, name.get_ref()) else {
                let what = self.unknown(section, name.get_ref());
                self.mistake(name, what);
                continue;
            };
            if let Some(values) = self.values(command, setting, value) {
                self.entries.push(Entry {
                    section: section.map(|command| command.get_name().to_owned()),
                    name: setting.name.to_owned(),
                    values,
                    place,
                });
            }
        }
    }

    /// A command that has the option, among those that this part of the file is for.
    fn find(&self, section: Option<&'a Command>, name: &str) -> Option<(&'a Command, Setting<'a>)> {
        let has = |command: &'a Command| Some((command, setting::find(command, name)?));
        match section {
            Some(command) => has(command),
            None => setting::configured(self.root).find_map(has),
        }
    }

    fn section(
        &mut self,
        name: &Spanned<impl AsRef<str>>,
        table: &DeTable<'_>,
        within: Option<&'a Command>,
    ) {
        let called = name.get_ref().as_ref();
        let mut commands = setting::configured(self.root);
        let command = commands.find(|command| command.get_name() == called);
        match command.filter(|_| within.is_none()) {
            Some(command) => self.table(table, Some(command)),
            None if self.find(within, called).is_some() => {
                self.mistake(
                    name,
                    format!("'{called}' is an option, and a table is no value of any"),
                );
            }
            None => {
                let known: Vec<String> = setting::configured(self.root)
                    .map(|command| format!("[{}]", command.get_name()))
                    .collect();
                let what = format!(
                    "there is no section '{called}'; there are {}",
                    known.join(" and ")
                );
                self.mistake(name, what);
            }
        }
    }

    fn unknown(&self, section: Option<&'a Command>, name: &str) -> String {
        if name == "config" {
            return "a configuration file cannot name another one".to_owned();
        }
        let all = || setting::configured(self.root);
        let near = match section {
            Some(command) => setting::nearest([command], name),
            None => setting::nearest(all(), name),
        };
        if let (Some(command), None) = (section, near)
            && let Some(owner) = all().find(|command| setting::find(command, name).is_some())
        {
            let (command, owner) = (command.get_name(), owner.get_name());
            return format!(
                "'{name}' is an option of {owner}, and {command} has none of this name"
            );
        }
        match near {
            Some(near) => format!("unknown name '{name}': did you mean '{near}'?"),
            None => format!("unknown name '{name}' (wirefan broadcast --help tells all of them)"),
        }
    }

    /// The values, if the option takes them all.
    fn values(
        &mut self,
        command: &Command,
        setting: Setting<'_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Vec<String>> {
        let name = setting.name;
        let several = match (value.get_ref(), setting.kind()) {
            (DeValue::Array(values), Kind::Many) => values.iter().collect(),
            (DeValue::Array(_), _) => {
                self.mistake(value, format!("'{name}' takes one value and no array"));
                return None;
            }
            (one, Kind::Switch) if !one.is_bool() => {
                self.mistake(
                    value,
                    format!("'{name}' is on or off: write true or false, without quotes"),
                );
                return None;
            }
            _ => vec![value],
        };
        let mut texts = Vec::new();
        let before = self.mistakes.len();
        for value in several {
            match values::text(value.get_ref()) {
                Err(why) => self.mistake(value, format!("'{name}': {why}")),
                Ok(text) => match values::refusal(command, setting, &text) {
                    Some(why) => self.mistake(value, why),
                    None => texts.push(text),
                },
            }
        }
        (self.mistakes.len() == before).then_some(texts)
    }
}
