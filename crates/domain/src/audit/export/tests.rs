use super::*;
use crate::{ApprovalResolved, CallId, Decision, Epoch, EventBody, Scope, Seq, Via};
use proptest::prelude::*;

fn key() -> AuditKey {
    AuditKey::new([7; 32]).expect("long enough")
}

fn session() -> SessionId {
    "s".parse().expect("an id")
}

fn event(number: u64) -> Event {
    let call = CallId::minted(TurnId::new(1), 0, usize::try_from(number).expect("small"));
    let body = if number.is_multiple_of(3) {
        EventBody::ToolStarted { call, server: None, tool: "ls".to_owned() }
    } else {
        EventBody::ApprovalResolved(ApprovalResolved {
            call,
            decision: if number.is_multiple_of(2) { Decision::Approved } else { Decision::Denied },
            by: Some("ann".parse().expect("an id")),
            scope: Scope::Once,
            reason: None,
            edited_args: None,
            digest: Some(Digest::of_bytes(&number.to_le_bytes())),
            via: Via::default(),
            rule: None,
            grant: None,
            workspace: None,
        })
    };
    let id = EventId { epoch: Epoch::new(1), seq: Seq::new(number * 2) };
    Event { id, turn: Some(TurnId::new(1)), at: Timestamp::from_millis(5), body, link: None, request: None }
}

/// A log of six events of the audit, and where it ends.
fn log(key: Option<&AuditKey>) -> (Vec<Event>, ChainHead) {
    let mut head = ChainHead::default();
    let mut events: Vec<_> = (1..=6).map(event).collect();
    for event in &mut events {
        head.link(&session(), event, key);
    }
    (events, head)
}

fn exported(events: &[Event], head: ChainHead, key: Option<&AuditKey>) -> AuditLog {
    AuditLog::of(session(), "ann".parse().expect("an id"), events, head, Timestamp::from_millis(99), key)
}

fn lines(trimmed: usize) -> Vec<String> {
    let (events, head) = log(Some(&key()));
    let text = exported(&events[trimmed..], head, Some(&key())).to_text();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn check(lines: &[String], key: &AuditKey) -> Result<Verified, Flaw> {
    AuditLog::parse(&lines.concat())?.verify(Some(key))
}

#[test]
fn records_older_than_the_key_are_accepted_up_to_a_number() {
    let (mut head, key) = (ChainHead::default(), key());
    let mut events: Vec<_> = (1..=6).map(event).collect();
    for (at, event) in events.iter_mut().enumerate() {
        head.link(&session(), event, (at >= 4).then_some(&key));
    }
    let audit = exported(&events, head, Some(&key));
    assert_eq!(audit.verify(Some(&key)), Err(Flaw::Unmarked(1)));
    assert_eq!(audit.verify_marked_after(3, Some(&key)), Err(Flaw::Unmarked(4)));
    assert!(audit.verify_marked_after(4, Some(&key)).is_ok());
}

#[test]
fn a_whole_audit_is_in_order_with_and_without_its_beginning() {
    for (trimmed, left) in [(0, 6), (2, 4), (6, 0)] {
        let found = check(&lines(trimmed), &key()).expect("in order");
        assert_eq!((found.entries, found.anchor.number, found.head.number), (left, trimmed as u64, 6));
        let without = AuditLog::parse(&lines(trimmed).concat()).expect("readable").verify(None).expect("in order");
        assert!(!without.under_key);
        let other = AuditKey::new([8; 32]).expect("long enough");
        assert!(check(&lines(trimmed), &other).is_err());
    }
}

#[test]
fn whatever_is_left_out_doubled_or_turned_is_found() {
    for trimmed in [0, 2] {
        let whole = lines(trimmed);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed.remove(at);
            assert!(check(&changed, &key()).is_err(), "without {at}");
            changed = whole.clone();
            changed.insert(at, whole[at].clone());
            assert!(check(&changed, &key()).is_err(), "{at} twice");
            assert!(check(&whole[..at], &key()).is_err(), "cut at {at}");
            if at + 1 < whole.len() {
                changed = whole.clone();
                changed.swap(at, at + 1);
                assert!(check(&changed, &key()).is_err(), "{at} turned");
            }
        }
    }
}

#[test]
fn a_log_that_does_not_reach_its_checkpoint_any_more_is_found() {
    let (events, head) = log(Some(&key()));
    let cut = exported(&events[..4], head, Some(&key()));
    assert_eq!(cut.verify(Some(&key())), Err(Flaw::End { sealed: 4, number: 6, found: 4 }));
}

#[test]
fn who_has_no_key_cannot_make_a_chain_anew() {
    let (events, head) = log(None);
    let forged = exported(&events, head, None);
    assert!(forged.verify(None).is_ok());
    assert_eq!(forged.verify(Some(&key())), Err(Flaw::Unmarked(1)));
    let emptied = exported(&[], ChainHead::default(), None);
    assert_eq!(emptied.verify(Some(&key())), Err(Flaw::Unsealed));
}

#[test]
fn an_approver_who_was_changed_in_the_log_is_found() {
    let (mut events, head) = log(Some(&key()));
    let EventBody::ApprovalResolved(resolved) = &mut events[3].body else { panic!("a decision") };
    resolved.by = Some("eve".parse().expect("an id"));
    assert_eq!(exported(&events, head, Some(&key())).verify(Some(&key())), Err(Flaw::Changed(4)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_bit_of_an_export_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = lines(2).concat().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            let found = AuditLog::parse(&text).and_then(|log| log.verify(Some(&key())));
            prop_assert!(found.is_err(), "{text}");
        }
    }
}
