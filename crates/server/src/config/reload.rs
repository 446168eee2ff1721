//! [`Configuration`]: that of a running server, which SIGHUP has read again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::invocation::{Effective, Resolved};
use crate::options::{Command, Serve};
use crate::tls::TlsFiles;
use crate::usage::{self, Wanted};

/// What follows its file while the server runs; everything else waits for the next start.
const FOLLOWS: [&str; 4] = ["tls-cert", "tls-key", "tls-client-ca", "tls-client-auth"];

/// What a server runs with, and the file that says so.
#[derive(Debug)]
pub(crate) struct Configuration {
    file: PathBuf,
    in_use: Arc<Resolved>,
    certificates: Option<TlsFiles>,
}

impl Configuration {
    /// `None`: no file was given, and nothing else can change.
    pub(crate) fn of(serve: &Serve) -> Option<Self> {
        let in_use = Arc::clone(serve.config.resolved.as_ref()?);
        let file = in_use.file.clone()?;
        Some(Self {
            file,
            in_use,
            certificates: None,
        })
    }

    /// Has these follow the file.
    pub(crate) fn followed_by(self, certificates: Option<&TlsFiles>) -> Self {
        let certificates = certificates.cloned();
        Self {
            certificates,
            ..self
        }
    }

    /// Reads the file again. What follows it does, unless the file is broken; the log tells what does not.
    pub(crate) fn read(&self) {
        let file = self.file.display();
        let cli = match usage::read(self.in_use.invocation.clone()) {
            Ok(cli) => cli,
            Err(Wanted::Text(said) | Wanted::Hint(said)) => {
                for line in said.lines() {
                    let line = line.strip_prefix("wirefan: ").unwrap_or(line);
                    tracing::error!("SIGHUP: {line}");
                }
                tracing::error!(
                    "SIGHUP: {file} is not followed; the configuration of before stays in use"
                );
                return;
            }
        };
        let serve = match &cli.command {
            Command::Echo(serve) => serve,
            Command::Broadcast(broadcast) => &broadcast.serve,
            _ => return,
        };
        let Some(now) = &serve.config.resolved else {
            return;
        };
        let others = waiting(&self.in_use.effective, &now.effective);
        if others.is_empty() {
            tracing::info!("SIGHUP: {file} read again");
        } else {
            tracing::warn!(
                "SIGHUP: {file} has other values for {}: they wait for the next start, and the server goes on as it is",
                others.join(", ")
            );
        }
        if let Some((in_use, named)) = self.certificates.as_ref().zip(serve.tls.files()) {
            match named.load() {
                Ok(_) => in_use.replace(&named),
                Err(error) => tracing::error!("SIGHUP: {error}; {in_use} stay in use"),
            }
        }
    }
}

/// The names whose values are others now, and do not follow.
fn waiting<'a>(
    before: &'a BTreeMap<String, Effective>,
    now: &BTreeMap<String, Effective>,
) -> Vec<&'a str> {
    let values =
        |of: &BTreeMap<String, Effective>, name: &str| of.get(name).map(|it| it.values.clone());
    before
        .keys()
        .filter(|name| values(before, name) != values(now, name))
        // Where there was no TLS, nothing listens with it.
        .filter(|name| {
            let had = before
                .get("tls-cert")
                .is_some_and(|certificates| !certificates.values.is_empty());
            !(had && FOLLOWS.contains(&name.as_str()))
        })
        .map(String::as_str)
        .collect()
}
