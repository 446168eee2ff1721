//! `wirefan completions SHELL` and `wirefan man`: what packages want to install, made of the very options that are read.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::options::Cli;

/// The options of `completions`.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

impl Completions {
    /// The script.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "wirefan", &mut script);
        script
    }
}

/// The options of `man`.
#[derive(Args, Debug)]
pub(crate) struct Manual {
    /// The page of this command, instead of that of the whole program
    #[arg(value_name = "COMMAND", value_parser = page)]
    command: Option<String>,

    /// Folder to write all pages to: wirefan.1, wirefan-broadcast.1 and so on
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

impl Manual {
    /// The page; nothing where files have been written.
    pub(crate) fn text(&self) -> io::Result<Vec<u8>> {
        let mut root = Cli::command();
        root.build();
        if let Some(dir) = &self.dir {
            clap_mangen::generate_to(root, dir)?;
            return Ok(Vec::new());
        }
        let command = self
            .command
            .as_deref()
            .and_then(|name| root.find_subcommand(name));
        let mut page = Vec::new();
        clap_mangen::Man::new(command.unwrap_or(&root).clone()).render(&mut page)?;
        Ok(page)
    }
}

/// Checks that there is such a page.
fn page(name: &str) -> Result<String, String> {
    let root = Cli::command();
    let known = || root.get_subcommands().map(clap::Command::get_name);
    match known().any(|known| known == name) {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "there are {}",
            known().collect::<Vec<_>>().join(", ")
        )),
    }
}
