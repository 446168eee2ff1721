//! The values of an option as texts, out of TOML and out of the environment, and what the option itself says to each.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use toml::Spanned;
use toml::de::DeValue;

use super::setting::{Kind, Setting};
use crate::usage;

/// What a value of TOML is as a text, or what is wrong with it.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => match number.radix() {
            10 => Ok(number.as_str().to_owned()),
            radix => i64::from_str_radix(number.as_str(), radix)
                .map(|number| number.to_string())
                .map_err(|_| "the number is too large"),
        },
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(on) => Ok(on.to_string()),
        DeValue::Datetime(_) => Err("a date is no value of any option"),
        DeValue::Array(_) => Err("an array in an array is no value of any option"),
        DeValue::Table(_) => Err("a table is no value of any option"),
    }
}

/// The values in a variable: one, or several with commas between them, or an array of TOML where a value has a comma in it.
pub(super) fn in_variable(setting: Setting<'_>, value: &str) -> Result<Vec<String>, String> {
    match setting.kind() {
        Kind::One => Ok(vec![value.to_owned()]),
        Kind::Switch => match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(vec!["true".to_owned()]),
            "false" | "no" | "off" | "0" => Ok(vec!["false".to_owned()]),
            _ => Err("write true or false".to_owned()),
        },
        // An IPv6 address has brackets too, and is no TOML.
        Kind::Many => match DeValue::parse(value).map(Spanned::into_inner) {
            Ok(DeValue::Array(array)) => array
                .iter()
                .map(|value| text(value.get_ref()).map_err(str::to_owned))
                .collect(),
            _ => Ok(value
                .split(',')
                .map(|value| value.trim().to_owned())
                .collect()),
        },
    }
}

/// What the option says to a value, in one line, if it does not take it. What the option may not be together with does not
/// matter here.
pub(super) fn refusal(command: &Command, setting: Setting<'_>, value: &str) -> Option<String> {
    if setting.kind() == Kind::Switch {
        return (value != "true" && value != "false").then(|| "write true or false".to_owned());
    }
    let args = [
        command.get_name().to_owned(),
        format!("--{}={value}", setting.name),
    ];
    let error = command.clone().try_get_matches_from(args).err()?;
    let about_value = matches!(
        error.kind(),
        ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
            | ErrorKind::InvalidUtf8
            | ErrorKind::TooManyValues
            | ErrorKind::TooFewValues
            | ErrorKind::WrongNumberOfValues
    );
    let own = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => arg.contains(setting.name),
        _ => true,
    };
    (about_value && own).then(|| {
        let said = usage::in_one_line(&error);
        match setting.is_secret() {
            true => said.replace(&format!("'{value}'"), "'***'"),
            false => said,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    fn values(action: ArgAction, value: &str) -> Result<Vec<String>, String> {
        let arg = Arg::new("a").long("name").action(action);
        let command = Command::new("test").arg(arg);
        let setting = super::super::setting::find(&command, "name").unwrap();
        in_variable(setting, value)
    }

    #[test]
    fn a_variable_has_one_value_or_several() {
        let several = |value| values(ArgAction::Append, value).unwrap();
        assert_eq!(several("a:1"), ["a:1"]);
        assert_eq!(several("a:1, [::]:80"), ["a:1", "[::]:80"]);
        assert_eq!(several("[::]:80"), ["[::]:80"]);
        assert_eq!(several("[\"a,b\", 'c', 5]"), ["a,b", "c", "5"]);
        assert_eq!(values(ArgAction::Set, "a, b"), Ok(vec!["a, b".to_owned()]));
    }

    #[test]
    fn a_switch_is_what_people_write() {
        for (text, on) in [
            ("1", "true"),
            ("Yes", "true"),
            ("off", "false"),
            ("0", "false"),
        ] {
            let value = values(ArgAction::SetTrue, text);
            assert_eq!(value, Ok(vec![on.to_owned()]));
        }
        assert!(values(ArgAction::SetTrue, "maybe").is_err());
    }

    #[test]
    fn numbers_are_what_they_are_worth() {
        for (toml, text_of_it) in [
            ("1_000", "1000"),
            ("0x10", "16"),
            ("-5", "-5"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("'a'", "a"),
        ] {
            let value = DeValue::parse(toml).unwrap();
            assert_eq!(text(value.get_ref()).as_deref(), Ok(text_of_it), "{toml}");
        }
        for toml in ["2001-01-01", "[[1]]", "{a = 1}"] {
            let value = DeValue::parse(toml).unwrap();
            let inner = value.get_ref().as_array().and_then(|array| array.first());
            let value = inner.map_or_else(|| value.get_ref(), Spanned::get_ref);
            assert!(text(value).is_err(), "{toml}");
        }
    }
}
