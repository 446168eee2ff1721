//! How often a message to a topic is compressed, and when a topic has a cohort.

use super::*;
use crate::lane::COHORT_MEMBERS;
use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{Config, DeflateConfig};

/// Topics of one worker, and what a client that offers `offer` agrees on with it.
fn topics(history: Option<u32>, offer: &str) -> (Topics, Option<DeflateParams>) {
    let mut deflate = DeflateConfig::default();
    deflate.shared_history = history;
    let mut config = Config::default();
    config.deflate = Some(deflate);
    let agreed = negotiate([offer.as_bytes()], &config).unwrap().0;
    let directory = Arc::new(Directory::new(1));
    (
        Topics::new(0, directory, Compression::of(&config), Policies::default()),
        agreed.deflate(),
    )
}

#[test]
fn two_thousand_members_cost_one_compression() {
    for history in [None, Some(256)] {
        let (mut topics, deflate) = topics(history, "permessage-deflate");
        for slot in 0..2000 {
            topics.join("room", slot, deflate, true);
        }
        let topic = topics.find("room").unwrap();
        for _ in 0..10 {
            topics.append(topic, Kind::Text, &[b'x'; 500], None, 0);
        }
        assert_eq!(topics.compressions, 10, "{history:?}");
    }
}

#[test]
fn each_window_size_costs_one_and_plain_members_none() {
    let (mut topics, _) = topics(None, "permessage-deflate");
    let params = |offer| self::topics(None, offer).1;
    let small = params("permessage-deflate; server_max_window_bits=10");
    for (slot, deflate) in [None, small, params("permessage-deflate"), None, small]
        .into_iter()
        .enumerate()
    {
        topics.join("room", slot as u32, deflate, true);
    }
    let topic = topics.find("room").unwrap();
    topics.append(topic, Kind::Text, &[b'x'; 500], None, 0);
    assert_eq!(topics.compressions, 2);
}

#[test]
fn a_small_room_has_no_cohort_and_a_left_one_keeps_none() {
    let (mut topics, deflate) = topics(Some(256), "permessage-deflate");
    let memberships: Vec<_> = (0..COHORT_MEMBERS)
        .map(|slot| topics.join("room", slot, deflate, true))
        .collect();
    let topic = topics.find("room").unwrap();
    topics.append(topic, Kind::Text, &[b'x'; 500], None, 0);
    assert!(
        memberships
            .iter()
            .all(|membership| topics.take_lane(*membership) == 1)
    );
    assert!(
        memberships
            .iter()
            .all(|membership| topics.is_in_step(&[*membership]))
    );
    assert_eq!(topics.cohorts, 1);
    topics.settled(&memberships);
    topics.reset();
    for membership in memberships.iter().rev() {
        topics.leave(*membership);
    }
    assert_eq!((topics.cohorts, topics.find("room")), (0, None));
    let few: Vec<_> = (0..COHORT_MEMBERS - 1)
        .map(|slot| topics.join("room", slot, deflate, true))
        .collect();
    let topic = topics.find("room").unwrap();
    topics.append(topic, Kind::Text, &[b'x'; 500], None, 0);
    assert!(!topics.is_in_step(&few) && topics.cohorts == 0);
}
