//! `wirefan bench`: a load generator for any WebSocket server. Called by `main`; docs/bench.md tells what it measures.
//!
//! `load.rs` leads a run through its phases; each thread is a `Worker`, or a `Churn` that opens and closes.

mod asked;
mod cargo;
mod churn;
mod control;
mod delivery;
mod dial;
mod exact;
mod failure;
mod incoming;
mod ledger;
mod link;
mod load;
mod options;
mod outgoing;
mod patience;
mod plan;
mod preflight;
mod process;
mod progress;
mod results;
mod run;
mod sample;
mod socket;
mod sources;
mod table;
mod tally;
mod target;
mod trust;
mod worker;

pub(crate) use options::{Bench, with_mode};
pub(crate) use run::run;
