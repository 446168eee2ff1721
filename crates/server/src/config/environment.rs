//! [`Environment`]: the variables that are ours, as they were at the start.

use std::ffi::OsString;

/// What the names of all of them begin with.
pub(super) const PREFIX: &str = "WIREFAN_";

/// The variables whose names begin as ours do. Empty ones count as absent: that is how a supervisor leaves one out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(Vec<(String, OsString)>);

impl Environment {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self::new(std::env::vars_os())
    }

    fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            (name.starts_with(PREFIX) && !value.is_empty()).then_some((name, value))
        });
        Self(ours.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.names_and_values()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    pub(super) fn names_and_values(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}
