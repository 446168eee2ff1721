//! Tickets that are good, and all the others.

use super::*;
use proptest::prelude::*;

const KEY: &str = "an example key of 32 bytes and a few";
const OTHER_KEY: &str = "another example key with 32 bytes too";

fn keys(keys: &[&str]) -> TicketKeys {
    TicketKeys::new(keys).unwrap()
}

fn grant(subject: &str, read: &str, write: &str, expires: u64) -> Grant {
    let mut grant = Grant::new(subject);
    grant.read = read.parse().unwrap();
    grant.write = write.parse().unwrap();
    grant.expires = Some(expires);
    grant
}

/// A ticket with these fields and a right signature.
fn signed(fields: &str) -> Secret {
    let head = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(fields));
    let mac = keys(&[KEY]).0[0].clone().chain_update(&head).finalize();
    format!("{head}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes())).into()
}

#[test]
fn a_ticket_of_another_implementation() {
    // Made by the lines of Python in the documentation, with this key.
    let ticket = "t1.MTgwMDAwMDAwMAphbGljZQovbmV3cywvdGVhbS8qCgo._iMp9IBBcDS1LJEfkIUPoj4T_GvYs6PQVbFASzYqass";
    let verified = keys(&[KEY])
        .verify(&ticket.into(), 1_800_000_000 - 1)
        .unwrap();
    let expected = grant("alice", "/news,/team/*", "", 1_800_000_000);
    assert_eq!((verified.grant, verified.nonce), (expected.clone(), None));
    assert_eq!(
        keys(&[KEY]).issue(&expected, None).unwrap().expose(),
        ticket
    );
}

#[test]
fn it_is_good_until_the_second_it_names() {
    let keys = keys(&[KEY]);
    let ticket = keys.issue(&grant("a", "*", "*", 100), Some("n1")).unwrap();
    let verified = keys.verify(&ticket, 99).unwrap();
    assert_eq!(verified.nonce.as_deref(), Some("n1"));
    assert_eq!(keys.verify(&ticket, 100), Err(TicketError::Expired));
    assert_eq!(keys.verify(&ticket, u64::MAX), Err(TicketError::Expired));
}

#[test]
fn keys_can_be_changed() {
    let (old, new) = (keys(&[KEY]), keys(&[OTHER_KEY]));
    let (before, after) = (keys(&[KEY, OTHER_KEY]), keys(&[OTHER_KEY, KEY]));
    let grant = grant("a", "", "", 1);
    let by_old = before.issue(&grant, None).unwrap();
    let by_new = after.issue(&grant, None).unwrap();
    for keys in [&before, &after] {
        assert!(keys.verify(&by_old, 0).is_ok() && keys.verify(&by_new, 0).is_ok());
    }
    assert!(old.verify(&by_old, 0).is_ok() && new.verify(&by_new, 0).is_ok());
    assert_eq!(old.verify(&by_new, 0), Err(TicketError::Signature));
    assert_eq!(new.verify(&by_old, 0), Err(TicketError::Signature));
}

#[test]
fn every_changed_byte_is_noticed() {
    let keys = keys(&[KEY]);
    let ticket = keys.issue(&grant("alice", "/a", "/b", 100), None).unwrap();
    let ticket = ticket.expose();
    for at in 0..ticket.len() {
        for other in ['A', 'B', '0', '_', '-', '.', '=', '\n', '\u{e4}'] {
            let mut changed: Vec<char> = ticket.chars().collect();
            if changed[at] == other {
                continue;
            }
            changed[at] = other;
            let changed: String = changed.into_iter().collect();
            assert!(keys.verify(&changed.into(), 0).is_err(), "{at} {other:?}");
        }
        let cut = &ticket[..at];
        assert!(keys.verify(&cut.into(), 0).is_err());
        let doubled = format!("{}{}", &ticket[..=at], &ticket[at..]);
        assert!(keys.verify(&doubled.into(), 0).is_err());
    }
}

#[test]
fn parts_of_two_tickets_make_none() {
    let keys = keys(&[KEY]);
    let low = keys.issue(&grant("a", "/a", "", 100), None).unwrap();
    let high = keys.issue(&grant("a", "*", "*", 100), None).unwrap();
    let (head, _) = high.expose().rsplit_once('.').unwrap();
    let (_, mac) = low.expose().rsplit_once('.').unwrap();
    let mixed = format!("{head}.{mac}");
    assert_eq!(keys.verify(&mixed.into(), 0), Err(TicketError::Signature));
    let unsigned = format!("{head}.");
    assert_eq!(
        keys.verify(&unsigned.into(), 0),
        Err(TicketError::Signature)
    );
}

#[test]
fn what_is_signed_has_to_be_a_ticket_too() {
    let keys = keys(&[KEY]);
    assert!(keys.verify(&signed("1\na\n/r\n/w\n"), 0).is_ok());
    for fields in [
        "",
        "1\na\n/r\n/w",
        "1\na\n/r\n/w\n\n",
        "\na\n/r\n/w\n",
        "+1\na\n/r\n/w\n",
        "-1\na\n/r\n/w\n",
        "18446744073709551616\na\n/r\n/w\n",
        "1\na\n/r*\n/w\n",
        "1\na\r\n/r\n/w\n",
        "1\na\n/r\n/w\nn\0",
    ] {
        let refused = keys.verify(&signed(fields), 0);
        assert_eq!(refused, Err(TicketError::Malformed), "{fields:?}");
    }
}

#[test]
fn what_cannot_be_issued() {
    let keys = keys(&[KEY]);
    let issue = |grant: &Grant, nonce: Option<&str>| keys.issue(grant, nonce).unwrap_err();
    let everything = Grant::everything("a");
    assert_eq!(issue(&everything, None), TicketIssueError::NeverExpires);
    let subject = grant("a\nb", "", "", 1);
    assert_eq!(issue(&subject, None), TicketIssueError::Subject);
    let long_subject = grant(&"a".repeat(MAX_SUBJECT + 1), "", "", 1);
    assert_eq!(issue(&long_subject, None), TicketIssueError::Subject);
    let mut rooms = grant("a", "", "", 1);
    rooms.write = Rooms::from_patterns(["/a b"]).unwrap();
    assert_eq!(issue(&rooms, None), TicketIssueError::Rooms);
    rooms.write = Rooms::from_patterns(["/a,b"]).unwrap();
    assert_eq!(issue(&rooms, None), TicketIssueError::Rooms);
    let good = grant("a", "", "", 1);
    assert_eq!(issue(&good, Some("\n")), TicketIssueError::Nonce);
    assert_eq!(issue(&good, Some(&"n".repeat(65))), TicketIssueError::Nonce);
    let names: Vec<_> = (0..20)
        .map(|n| format!("/{n}{}", "r".repeat(200)))
        .collect();
    let long = grant("a", &names.join(","), "", 1);
    assert_eq!(issue(&long, None), TicketIssueError::TooLong);
}

#[test]
fn keys_that_are_none() {
    let error = |text: &str| TicketKeys::parse(text).unwrap_err();
    assert_eq!(error("# nothing\n\n"), TicketKeysError::NoKey);
    assert_eq!(error(&"k".repeat(31)), TicketKeysError::KeyTooShort);
    let many = format!("{KEY}\n").repeat(MAX_KEYS + 1);
    assert_eq!(error(&many), TicketKeysError::TooManyKeys);
    let parsed = TicketKeys::parse(&format!("# new\n{KEY}\r\n\n  {OTHER_KEY}\n")).unwrap();
    let ticket = keys(&[OTHER_KEY])
        .issue(&grant("a", "", "", 1), None)
        .unwrap();
    assert!(parsed.verify(&ticket, 0).is_ok());
    assert_eq!(format!("{parsed:?}"), "TicketKeys(2)");
}

proptest! {
    #[test]
    fn what_is_issued_is_verified(
        subject in "[^\\p{Cc}]{0,40}", read in "(/[a-z]{1,5}(/\\*)?,){0,3}", expires in 1_u64.., nonce in "[a-z]{0,9}"
    ) {
        let keys = keys(&[OTHER_KEY, KEY]);
        let grant = grant(&subject, &read, "*", expires);
        let nonce = (!nonce.is_empty()).then_some(nonce);
        let ticket = keys.issue(&grant, nonce.as_deref()).unwrap();
        prop_assert!(crate::credentials::is_token_text(ticket.expose().as_bytes()));
        prop_assert_eq!(keys.verify(&ticket, expires - 1), Ok(Ticket { grant, nonce }));
    }

    #[test]
    fn any_text_is_refused(text in "(t1\\.)?\\PC{0,60}(\\.[A-Za-z0-9_-]{0,50})?") {
        prop_assert!(keys(&[KEY]).verify(&text.into(), 0).is_err());
    }

    #[test]
    fn any_signed_text_is_read_or_refused(text in "[0-9]{0,3}(\n|\\PC|/a,){0,20}") {
        if let Ok(ticket) = keys(&[KEY]).verify(&signed(&text), 0) {
            prop_assert!(!ticket.grant.subject.contains(char::is_control));
        }
    }
}
