//! The configuration of a server: flags, the environment and a TOML file, which all have the same names. `usage` reads it,
//! `run` asks for it again on SIGHUP. What may be set is what clap knows: a new option needs nothing here.

mod check;
mod environment;
mod file;
mod invocation;
mod mistake;
mod print;
mod reload;
mod setting;
mod values;

pub(crate) use self::check::CheckConfig;
pub(crate) use self::environment::Environment;
pub(crate) use self::invocation::{Invocation, Resolved};
pub(crate) use self::mistake::Mistake;
pub(crate) use self::print::{PrintConfig, with_command};
pub(crate) use self::reload::Configuration;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::options::Command;

/// The option that makes a command one with a configuration.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigFile {
    /// File with options in TOML, each under its own name: `max-message = "64k"`, `listen = ["127.0.0.1:9001"]`
    ///
    /// A flag goes over the environment (WIREFAN_MAX_MESSAGE=64k), that over the file. `wirefan check-config FILE` finds
    /// mistakes, `wirefan config` writes such a file. On SIGHUP it is read again.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where all options have come from.
    #[arg(skip)]
    pub(crate) resolved: Option<Arc<Resolved>>,
}

impl ConfigFile {
    /// That of a command that has one.
    pub(crate) fn of(command: &mut Command) -> Option<&mut Self> {
        match command {
            Command::Echo(serve) => Some(&mut serve.config),
            Command::Broadcast(broadcast) => Some(&mut broadcast.serve.config),
            Command::Config(config) => Some(config.file_mut()),
            _ => None,
        }
    }

    /// Variables that look like a mistake and may be none.
    pub(crate) fn suspicious(&self) -> &[String] {
        let resolved = self.resolved.as_ref();
        resolved.map_or(&[], |resolved| &resolved.suspicious)
    }
}
