//! Cases 5.*: fragments, control frames between them, and continuations of nothing. Cases that the suite tells apart
//! only by how it chops the octets are one test here, for every test is cut in every way.

use wirefan_protocol::Error;

use crate::common::{End, ROLES, Raw, continuation, ping, pong, text};
use crate::{echoes, fails};

/// Frames, and what must be out before the next ones come.
fn in_stages(stages: &[(&[Raw], &[Raw])]) {
    for role in ROLES {
        let mut end = End::echo(role);
        for (sent, answered) in stages {
            end.receive(sent);
            assert_eq!(end.take_sent(), *answered, "{role:?}");
        }
    }
}

fn nothing_to_continue(continuation: Raw) {
    let sent = [continuation, text("Hello, world!")];
    fails(&sent, &[], Error::UnexpectedContinuation);
}

fn twice_nothing_to_continue(first: Raw) {
    let sent = [first, text("fragment2").more(), continuation("fragment3")];
    fails(
        &[sent.clone(), sent].concat(),
        &[],
        Error::UnexpectedContinuation,
    );
}

#[test]
fn case_5_1_a_ping_in_two_fragments_fails() {
    let sent = [ping("fragment1").more(), continuation("fragment2")];
    fails(&sent, &[], Error::FragmentedControl);
}

#[test]
fn case_5_2_a_pong_in_two_fragments_fails() {
    let sent = [pong("fragment1").more(), continuation("fragment2")];
    fails(&sent, &[], Error::FragmentedControl);
}

#[test]
fn case_5_3_5_4_5_5_a_text_in_two_fragments() {
    let sent = [text("fragment1").more(), continuation("fragment2")];
    echoes(&sent, &[text("fragment1fragment2")]);
}

#[test]
fn case_5_6_5_8_a_ping_between_two_fragments() {
    let ping = ping("ping payload");
    let sent = [text("fragment1").more(), ping, continuation("fragment2")];
    echoes(&sent, &[pong("ping payload"), text("fragment1fragment2")]);
}

#[test]
fn case_5_7_a_ping_between_two_fragments_is_answered_at_once() {
    in_stages(&[
        (&[text("fragment1").more()], &[]),
        (&[ping("ping payload")], &[pong("ping payload")]),
        (&[continuation("fragment2")], &[text("fragment1fragment2")]),
    ]);
}

#[test]
fn case_5_9_5_10_5_11_a_last_fragment_of_nothing_fails() {
    nothing_to_continue(continuation("non-continuation payload"));
}

#[test]
fn case_5_12_5_13_5_14_a_fragment_of_nothing_fails() {
    nothing_to_continue(continuation("non-continuation payload").more());
}

#[test]
fn case_5_15_a_fragment_of_nothing_behind_a_message_fails_after_its_echo() {
    let sent = [
        text("fragment1").more(),
        continuation("fragment2"),
        continuation("fragment3").more(),
        text("fragment4"),
    ];
    fails(
        &sent,
        &[text("fragment1fragment2")],
        Error::UnexpectedContinuation,
    );
}

#[test]
fn case_5_16_fragments_of_nothing_and_a_message_twice() {
    twice_nothing_to_continue(continuation("fragment1").more());
}

#[test]
fn case_5_17_last_fragments_of_nothing_and_a_message_twice() {
    twice_nothing_to_continue(continuation("fragment1"));
}

#[test]
fn case_5_18_a_second_fragment_with_the_opcode_of_a_text_fails() {
    let sent = [text("fragment1").more(), text("fragment2")];
    fails(&sent, &[], Error::ExpectedContinuation);
}

#[test]
fn case_5_19_5_20_pings_among_five_fragments_are_answered_at_once() {
    let first = [
        text("fragment1").more(),
        continuation("fragment2").more(),
        ping("pongme 1!"),
    ];
    let second = [
        continuation("fragment3").more(),
        continuation("fragment4").more(),
        ping("pongme 2!"),
        continuation("fragment5"),
    ];
    let pongs = [pong("pongme 1!"), pong("pongme 2!")];
    let echo = text("fragment1fragment2fragment3fragment4fragment5");
    in_stages(&[
        (&first, &pongs[..1]),
        (&second, &[pongs[1].clone(), echo.clone()]),
    ]);
    echoes(
        &[&first[..], &second[..]].concat(),
        &[&pongs[..], &[echo]].concat(),
    );
}
