use super::*;
use serde_json::{Value, json};

fn event(seq: u64, name: &str, payload: Value) -> Event {
    let call = payload["callId"].clone();
    Event { name: name.to_owned(), payload, meta: json!({ "id": format!("1-{seq}"), "turn": 1, "callId": call }) }
}

fn a_good_log() -> Vec<Event> {
    let call = |extra: Value| {
        let mut call = json!({ "callId": "c1" });
        call.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        call
    };
    vec![
        event(1, "user:message", json!({ "text": "go", "clientMessageId": "m1" })),
        event(2, "tool:calls", json!([{ "callId": "c1" }])),
        event(3, "tool:approval_required", call(json!({}))),
        event(4, "tool:approval_resolved", call(json!({ "decision": "approved" }))),
        event(5, "tool:started", call(json!({}))),
        event(6, "tool:output", call(json!({}))),
        event(7, "agent:response", json!("done")),
        event(8, "turn:completed", json!({ "stopReason": "end_turn" })),
    ]
}

fn verdict_on(log: &[Event]) -> Vec<String> {
    let mut oracle = Oracle::default();
    oracle.message_acknowledged("m1");
    oracle.answer_acknowledged("c1", true);
    oracle.saw(None, log);
    oracle.verdict()
}

fn renumbered(log: &mut [Event]) {
    for (place, event) in log.iter_mut().enumerate() {
        event.meta["id"] = json!(format!("1-{}", place + 1));
    }
}

#[test]
fn a_good_log_is_not_complained_about() {
    assert_eq!(verdict_on(&a_good_log()), Vec::<String>::new());
}

#[test]
fn an_event_that_is_missing_or_comes_twice_is_noticed() {
    let mut log = a_good_log();
    log.remove(6);
    assert!(verdict_on(&log).iter().any(|line| line.contains("gap")), "{:?}", verdict_on(&log));
    let mut log = a_good_log();
    log.insert(3, log[2].clone());
    assert!(verdict_on(&log).iter().any(|line| line.contains("came again")), "{:?}", verdict_on(&log));
}

#[test]
fn each_broken_promise_is_named() {
    let broken = |change: fn(&mut Vec<Event>), words: &str| {
        let mut log = a_good_log();
        change(&mut log);
        renumbered(&mut log);
        let verdict = verdict_on(&log);
        assert!(verdict.iter().any(|line| line.contains(words)), "{words}: {verdict:?}");
    };
    broken(|log| drop(log.remove(0)), "message m1 was acknowledged and is lost");
    broken(|log| log.insert(1, log[0].clone()), "message m1 is in the log 2 times");
    broken(|log| log.insert(5, log[4].clone()), "call c1 was started 2 times");
    broken(|log| log.insert(6, log[5].clone()), "call c1 has 2 results");
    broken(|log| drop(log.remove(5)), "call c1 has 0 results");
    broken(|log| drop(log.remove(3)), "call c1 ran without its approval");
    broken(|log| log[3].payload["decision"] = json!("denied"), "the answer approved for c1 was acknowledged");
    broken(|log| drop(log.remove(7)), "turn 1 ended 0 times");
    broken(|log| log.push(log[7].clone()), "turn 1 ended 2 times");
    broken(|log| drop(log.remove(1)), "call c1 was never asked for");
}

#[test]
fn two_clients_must_see_the_same() {
    let mut oracle = Oracle::default();
    oracle.saw(None, &a_good_log());
    let mut other = a_good_log();
    other[6].payload = json!("something else");
    oracle.saw(None, &other);
    assert_eq!(oracle.verdict().len(), 1);
}

#[test]
fn of_two_clients_what_either_saw_and_was_told_is_judged() {
    let mut whole = Oracle::default();
    whole.saw(None, &a_good_log());
    whole.answer_acknowledged("c1", true);
    let judged = |change: fn(&mut Oracle)| {
        let mut other = Oracle::default();
        change(&mut other);
        let mut both = Oracle::default();
        both.join(&whole);
        both.join(&other);
        both.verdict()
    };
    assert_eq!(judged(|other| other.saw(None, &a_good_log()[2..4])), Vec::<String>::new());
    assert_eq!(judged(|other| other.message_acknowledged("m1")), Vec::<String>::new());
    let broken = |change: fn(&mut Oracle), words: &str| {
        let verdict = judged(change);
        assert!(verdict.iter().any(|line| line.contains(words)), "{words}: {verdict:?}");
    };
    broken(|other| other.message_acknowledged("m2"), "message m2 was acknowledged and is lost");
    broken(|other| other.answer_acknowledged("c1", false), "the answer denied for c1 was acknowledged");
    broken(|other| other.saw(None, &[a_good_log().remove(2), a_good_log().remove(4)]), "gap");
    broken(
        |other| {
            let mut log = a_good_log();
            log[6].payload = json!("something else");
            other.saw(None, &log);
        },
        "to one client",
    );
}
