//! Who may come in, through the binary and on real sockets: origins, proxies, tokens, and a server that is asked.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod auth_url;
#[path = "../common/mod.rs"]
mod common;
mod first_message;
mod folder;
mod jwt;
mod knock;
mod origins;
mod proxies;
mod reload;
mod secrets;
mod tokens;
