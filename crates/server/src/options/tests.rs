//! Tests of the command line.

use super::*;
use wirefan_protocol::DeflateConfig;

fn serve(args: &str) -> Serve {
    let args = ["wirefan", "echo"]
        .into_iter()
        .chain(args.split_whitespace());
    match Cli::parse_from(args).command {
        Command::Echo(serve) => serve,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

/// The protocol's defaults, and compression in the mode that costs a connection nothing.
fn protocol() -> Config {
    let mut deflate = DeflateConfig::default();
    deflate.shared_history = Some(256);
    let mut config = Config::default();
    config.deflate = Some(deflate);
    config
}

#[test]
fn compression_is_what_was_asked_for() {
    assert_eq!(serve("--compression off").protocol(), Config::default());
    let args = "--compression per-connection --compression-level 9 --compression-threshold 1k \
         --compression-window 10 --compression-history 0";
    let deflate = serve(args).protocol().deflate.unwrap();
    assert!(deflate.takeover && deflate.shared_history.is_none());
    assert_eq!(
        (deflate.level, deflate.min_len, deflate.window_bits),
        (9, 1024, 10)
    );
}

#[test]
fn the_defaults_are_those_of_the_loop() {
    let serve = serve("");
    assert_eq!(serve.listen(), [Listen::by_default(false)]);
    assert_eq!(serve.protocol(), protocol());
    assert_eq!(serve.timeouts(), Timeouts::default());
    assert_eq!(serve.backpressure(), Backpressure::default());
    assert_eq!(serve.contradiction(), None);
}

#[test]
fn options_reach_the_loop() {
    let serve = serve(
        "--listen a:1 --listen [::1]:0 --workers 3 --max-message 64k --handshake-timeout 1 \
         --ping-interval 0 --pong-timeout 2s --idle-timeout 3m --close-timeout 4ms \
         --backlog-low 1k --backlog-high 2k --backlog-limit 3k --at-limit drop",
    );
    let listen: Vec<String> = serve.listen().iter().map(Listen::to_string).collect();
    assert_eq!(listen, ["a:1", "[::1]:0"]);
    assert_eq!((serve.workers(), serve.protocol().max_message), (3, 65_536));
    let times = serve.timeouts();
    assert_eq!(
        (
            times.handshake,
            times.ping,
            times.pong,
            times.idle,
            times.close
        ),
        (
            Duration::from_secs(1),
            None,
            Duration::from_secs(2),
            Some(Duration::from_secs(180)),
            Duration::from_millis(4)
        )
    );
    assert_eq!((times.lifetime, times.jitter), (None, 20));
    let marks = serve.backpressure();
    assert_eq!((marks.low, marks.high, marks.limit), (1024, 2048, 3072));
    assert_eq!(marks.at_limit, AtLimit::Drop);
}

#[test]
fn marks_follow_a_lower_limit_unless_they_are_given() {
    let marks = serve("--backlog-limit 10k").backpressure();
    assert_eq!(
        (marks.low, marks.high, marks.limit),
        (10_240, 10_240, 10_240)
    );
    assert_eq!(
        serve("--backlog-limit 10k --backlog-high 11k").contradiction(),
        Some(Contradiction::HighAboveLimit)
    );
    assert_eq!(
        serve("--backlog-low 300k").contradiction(),
        Some(Contradiction::LowAboveHigh)
    );
}

#[test]
fn a_certificate_and_an_address_for_it_go_together() {
    for (args, contradiction) in [
        ("--tls-self-signed", None),
        ("--tls-self-signed --listen a:1 --listen wss://a:2", None),
        ("--listen wss://a:1", Some(Contradiction::NoCertificate)),
        (
            "--tls-self-signed --listen a:1",
            Some(Contradiction::NoTlsAddress),
        ),
        (
            "--tls-cert a --tls-key b --tls-cert c",
            Some(Contradiction::Unpaired),
        ),
    ] {
        assert_eq!(serve(args).contradiction(), contradiction, "{args}");
    }
    assert_eq!(
        serve("--tls-self-signed").listen(),
        [Listen::by_default(true)]
    );
}
