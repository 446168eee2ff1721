//! `wirefan connect`: a WebSocket client for people at a terminal and for scripts. Called by `main`; docs/connect.md tells
//! how it is used.
//!
//! `session.rs` has the one queue that everything arrives in: what the loop reports, what is typed or piped, signals.

mod command;
mod editor;
mod history;
mod input;
mod news;
mod options;
mod outcome;
mod output;
mod pings;
mod prompt;
mod record;
mod run;
mod session;
mod visible;

pub(crate) use options::Connect;
pub(crate) use run::run;
