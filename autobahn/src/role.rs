//! The two roles, and the order of their runs: both at once, then what failed once more, alone.

use std::path::PathBuf;
use std::thread;

use crate::cases::Case;
use crate::client_role::Client;
use crate::error::Error;
use crate::progress::Board;
use crate::report::{Verdict, believe_second};
use crate::run::{Run, Setup};
use crate::server_role::Server;
use crate::{client_role, server_role};

/// More failures than this are no accident, and are not run again.
const MOST_AGAIN: usize = 20;

/// What is tested.
#[derive(Debug)]
pub(crate) enum Role {
    /// A server, by the suite's fuzzing client.
    Server(Server),
    /// A client of ours, by the suite's fuzzing server.
    Client(Client),
}

impl Role {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "server role",
            Self::Client(_) => "client role",
        }
    }

    /// What is tested, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Server(server) => server.describe(),
            Self::Client(client) => client.describe(),
        }
    }

    /// Where the suite's pages about it are.
    pub(crate) fn reports(&self, setup: &Setup) -> PathBuf {
        setup.reports(self.folder())
    }

    fn folder(&self) -> &'static str {
        match self {
            Self::Server(_) => "servers",
            Self::Client(_) => "clients",
        }
    }

    /// How the suite's reports name what is tested.
    fn agent(&self) -> &'static str {
        match self {
            Self::Server(Server::At(_) | Server::Command(_)) => "server",
            Self::Server(_) | Self::Client(_) => "wirefan",
        }
    }

    fn run(
        &self,
        setup: &Setup,
        name: &str,
        cases: &[Case],
        board: &Board,
    ) -> Result<Vec<Verdict>, Error> {
        let progress = &board.place(self.name(), cases.len());
        let run = Run {
            setup,
            name,
            agent: self.agent(),
            cases,
            progress,
        };
        match self {
            Self::Server(server) => server_role::run(server, &run),
            Self::Client(client) => client_role::run(client, &run),
        }
    }

    /// Runs what failed once more while nothing else runs: many cases give the peer half a second,
    /// which a busy machine does not always have.
    fn run_again(&self, setup: &Setup, verdicts: &mut [Verdict]) -> Result<(), Error> {
        let failed = verdicts.iter().filter(|verdict| !verdict.passes());
        let failed: Vec<Case> = failed.map(|verdict| verdict.case).collect();
        if failed.is_empty() || failed.len() > MOST_AGAIN {
            return Ok(());
        }
        eprintln!("{}: {} cases again, alone", self.name(), failed.len());
        let name = format!("{}/again", self.folder());
        let second = self.run(setup, &name, &failed, &Board::default())?;
        believe_second(verdicts, second);
        Ok(())
    }
}

/// Returns the verdicts for each of `roles`, or why there are none.
pub(crate) fn run_all(
    roles: &[Role],
    setup: &Setup,
    cases: &[Case],
) -> Vec<Result<Vec<Verdict>, Error>> {
    let board = Board::default();
    let mut results: Vec<_> = thread::scope(|scope| {
        let board = &board;
        let mut threads = Vec::new();
        for role in roles {
            threads.push(scope.spawn(move || role.run(setup, role.folder(), cases, board)));
        }
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    });
    drop(board);
    for (role, result) in roles.iter().zip(&mut results) {
        if let Ok(verdicts) = result
            && let Err(error) = role.run_again(setup, verdicts)
        {
            *result = Err(error);
        }
    }
    results
}
