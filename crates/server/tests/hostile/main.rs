//! Attacks on the binary, on real sockets: each is survived with bounded memory, while a hundred well-behaved clients miss
//! nothing and nobody waits for long. Memory and sockets are what Linux says of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod citizens;
#[path = "../common/mod.rs"]
mod common;
mod frames;
mod openings;
mod readers;
mod siege;
mod streams;
mod swarm;
mod tls;
mod vitals;
