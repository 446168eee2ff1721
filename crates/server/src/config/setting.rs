//! What may be set: the options of a command as clap knows them, with their names in each of the three forms.

use clap::{Arg, ArgAction, Command};
use strsim::damerau_levenshtein;

/// The option that names the file. A command that has it has a configuration.
const FILE: &str = "config";

/// One option of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) arg: &'a Arg,
    /// Behind `--`, and in the file.
    pub(super) name: &'a str,
}

/// How many values it takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// None: it is there or not.
    Switch,
    One,
    Many,
}

impl<'a> Setting<'a> {
    fn new(arg: &'a Arg) -> Option<Self> {
        let name = arg.get_long()?;
        // Help and the version are no settings.
        let kept = matches!(
            arg.get_action(),
            ArgAction::Set | ArgAction::Append | ArgAction::SetTrue
        );
        (kept && name != FILE).then_some(Self { arg, name })
    }

    pub(super) fn kind(self) -> Kind {
        match self.arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Append => Kind::Many,
            _ => Kind::One,
        }
    }

    /// Whether its value is for nobody's eyes. An option says so by hiding its value in the environment
    /// (`hide_env_values`; those for all commands do that for a shorter help). The rest is caution: a name that ends like
    /// one of a secret, unless a file with the secret is meant, or one of a few words.
    pub(super) fn is_secret(self) -> bool {
        let last = self.name.rsplit('-').next().unwrap_or_default();
        let sounds = matches!(
            last,
            "token" | "secret" | "password" | "passphrase" | "key" | "bearer"
        );
        let of = self.arg.get_value_names().and_then(|names| names.first());
        let elsewhere = of.is_some_and(|of| {
            let harmless = ["FILE", "PATH", "DIR", "TIME", "SIZE", "N"];
            harmless.contains(&of.as_str())
        });
        let one_of_few = !self.arg.get_possible_values().is_empty();
        (self.arg.is_hide_env_values_set() && !self.arg.is_global_set())
            || (sounds && !elsewhere && !one_of_few && self.kind() != Kind::Switch)
    }

    /// As arguments, one for each value. A switch that is off is none.
    pub(super) fn arguments(self, values: &[String]) -> Vec<String> {
        let name = self.name;
        match self.kind() {
            Kind::Switch => {
                let on = values.iter().any(|value| value == "true");
                on.then(|| format!("--{name}")).into_iter().collect()
            }
            Kind::One | Kind::Many => values
                .iter()
                .map(|value| format!("--{name}={value}"))
                .collect(),
        }
    }
}

/// The options of a command that may be set. The command has been built, so that those for every command are among them.
pub(super) fn settings(command: &Command) -> impl Iterator<Item = Setting<'_>> {
    command.get_arguments().filter_map(Setting::new)
}

/// The option of this name.
pub(super) fn find<'a>(command: &'a Command, name: &str) -> Option<Setting<'a>> {
    settings(command).find(|setting| setting.name == name)
}

/// Whether the command takes a configuration.
pub(super) fn is_configured(command: &Command) -> bool {
    command
        .get_arguments()
        .any(|arg| arg.get_long() == Some(FILE))
}

/// The commands that run with a configuration.
pub(super) fn configured(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands()
        .filter(|command| is_configured(command))
}

/// The known name that one most likely meant.
pub(super) fn nearest<'a>(
    commands: impl IntoIterator<Item = &'a Command>,
    name: &str,
) -> Option<&'a str> {
    let name = name.replace('_', "-").to_lowercase();
    commands
        .into_iter()
        .flat_map(settings)
        .map(|setting| (damerau_levenshtein(setting.name, &name), setting.name))
        // Half a word that is wrong is another word.
        .filter(|(far, known)| *far <= 1 + known.len().min(name.len()) / 4)
        .min_by_key(|(far, _)| *far)
        .map(|(_, known)| known)
}

/// What it is called in the environment.
pub(super) fn variable(name: &str) -> String {
    format!(
        "{}{}",
        super::environment::PREFIX,
        name.to_uppercase().replace('-', "_")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_like_a_secret_is_one_unless_it_is_in_a_file() {
        let secret = |arg: Arg| Setting::new(&arg).unwrap().is_secret();
        assert!(secret(
            Arg::new("a").long("admin-token").value_name("TOKEN")
        ));
        assert!(secret(Arg::new("a").long("ticket-key")));
        assert!(secret(Arg::new("a").long("auth").hide_env_values(true)));
        assert!(!secret(Arg::new("a").long("tls-key").value_name("FILE")));
        assert!(!secret(Arg::new("a").long("keyboard")));
        assert!(!secret(
            Arg::new("a").long("token-from").value_name("WHERE")
        ));
        assert!(!secret(
            Arg::new("a").long("log").global(true).hide_env_values(true)
        ));
        let switch = Arg::new("a").long("token").action(ArgAction::SetTrue);
        assert!(!secret(switch));
    }
}
