//! What an open connection over TLS costs while it is quiet, counted by the allocator: our slot and all that rustls keeps.
//! The clients are another process, so that nothing of theirs is counted.
#![cfg(feature = "tls")]

mod common;

use std::alloc::System;
use std::time::Duration;

use common::client::Client;
use common::process::{Child, obey, raise_open_files, role};
use common::server::{App, TestServer};
use common::tls::{Authority, TlsStream, Trust, client, listen_too};
use common::until;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wirefan_eventloop::rustls::pki_types::CertificateDer;
use wirefan_eventloop::rustls::pki_types::pem::PemObject;
use wirefan_eventloop::rustls::version;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TEST: &str = "a_quiet_connection_over_tls_costs_little_more_than_its_keys";
const CONNECTIONS: usize = 1000;
/// A buffer of rustls's own would be 4096 alone.
const LIMIT: usize = 4096;

/// What is allocated and not freed, in bytes.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// The clients: to a number they answer when they have as many connections, each of which has been busy.
fn clients(role: &str) {
    raise_open_files();
    let mut role = role.splitn(3, ' ');
    let mut next = || role.next().expect("a version, an address and an authority");
    let versions = match next() {
        "1.2" => [&version::TLS12],
        _ => [&version::TLS13],
    };
    let addr = next().parse().expect("an address");
    let trust = Trust {
        authority: &CertificateDer::from_pem_slice(next().as_bytes()).expect("PEM"),
        identity: None,
        versions: &versions,
        alpn: &[],
    };
    let config = trust.config();
    let mut clients: Vec<Client<TlsStream>> = Vec::new();
    obey(|line| {
        let count = line.parse().expect("a number");
        clients.truncate(count);
        while clients.len() < count {
            let mut client = client(&config, "localhost", addr);
            client.echo("a text");
            client.echo(&"long ".repeat(10_000));
            clients.push(client);
        }
        String::new()
    });
}

#[test]
fn a_quiet_connection_over_tls_costs_little_more_than_its_keys() {
    if let Some(role) = role() {
        return clients(&role);
    }
    raise_open_files();
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    for version in ["1.2", "1.3"] {
        let server = TestServer::start(App::echo(), listen_too(&tls));
        let role = format!("{version} {} {}", server.addrs[1], authority.pem());
        let mut child = Child::start(TEST, &role);
        // What the worker keeps for all connections together is there before.
        child.ask("3");
        child.ask("0");
        until("they are gone", || server.connections() == 0);
        drop(server.rest());
        let before = live();
        child.ask(&CONNECTIONS.to_string());
        assert_eq!(server.connections(), CONNECTIONS);
        drop(server.rest());
        let each = (live() - before) / CONNECTIONS;
        println!("{each} bytes for each of {CONNECTIONS} quiet connections over TLS {version}");
        assert!(each <= LIMIT, "{each} bytes");
        drop(child);
        until("they are gone", || server.connections() == 0);
        server.shut_down(Duration::ZERO);
    }
}
