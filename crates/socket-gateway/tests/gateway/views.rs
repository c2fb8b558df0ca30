use crate::{client::Frame, flaky::Outage, world::World};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;

fn long_answer(pieces: usize) -> Step {
    (0..pieces).fold(Step::new(), |step, n| step.say(format!("{n} ")))
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let gate = Gate::new();
    let world = World::new([Step::new().say("One ").wait(&gate).say("two"), Step::text("again")]);
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("agent:delta").await;
    let (last, mut whole) = (client.last_id(), client.logged());
    drop(client);
    gate.open();
    world.provider.until_finished(1).await;
    let mut back = world.connect("sessionId=s1", json!({"lastEventId": last})).await;
    let ready = back.until("system:ready").await.payload;
    assert_eq!(ready["resumed"], true);
    back.until("turn:completed").await;
    assert!(!back.names().contains(&"history:snapshot"));
    whole.extend(back.logged());
    let log = world.log("s1").await;
    assert_eq!(
        whole.iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(),
        log.iter().map(|e| e.id.seq.get()).collect::<Vec<_>>()
    );
    // And from the very beginning, and from the very end.
    let mut all = world.connect("sessionId=s1", json!({"lastEventId": "0-0"})).await;
    all.until("turn:completed").await;
    assert_eq!(all.logged(), whole);
    let mut end = world.connect("sessionId=s1", json!({"lastEventId": back.last_id()})).await;
    end.until("system:ready").await;
    end.call("message", json!("more")).await;
    end.until("turn:completed").await;
    assert_eq!(end.logged().first().map(|(seq, ..)| *seq), Some(log.len() as u64 + 1));
}

#[tokio::test]
async fn a_place_that_is_not_in_the_log_is_answered_with_a_snapshot() {
    let world = World::new([Step::text("Hi.")]);
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("turn:completed").await;
    let last = client.last_id();
    let (epoch, seq) = last.split_once('-').expect("an id");
    let future = format!("{epoch}-{}", seq.parse::<u64>().expect("a number") + 1);
    let newer = format!("99-{seq}");
    let older = format!("0-{seq}");
    for odd in [json!("garbage"), json!(7), json!(future), json!(newer), json!(older), json!("1-99999999999999999999")]
    {
        let mut odd_one = world.connect("sessionId=s1", json!({"lastEventId": odd})).await;
        let snapshot = odd_one.until("history:snapshot").await;
        assert_eq!(snapshot.payload["lastEventId"], last, "{odd}");
        let roles: Vec<_> =
            snapshot.payload["messages"].as_array().expect("a list").iter().map(|m| &m["role"]).collect();
        assert_eq!(roles, [&json!("user"), &json!("assistant")]);
        assert_eq!(odd_one.logged(), [], "{odd}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_say_where_it_was_gets_a_snapshot_and_the_open_question() {
    let world = World::new([Step::calls([("box__echo", json!({"text": "x"}))]), Step::text("Done.")]);
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    let asked = client.until("tool:approval_required").await;
    drop(client);
    let mut back = world.connect("sessionId=s1", json!({})).await;
    let ready = back.until("system:ready").await.payload;
    assert_eq!(ready["pending"][0], asked.payload);
    let snapshot = back.until("history:snapshot").await.payload;
    assert_eq!((&snapshot["pending"][0], &snapshot["calls"][0]["waiting"]), (&asked.payload, &json!(true)));
    let again = back.until("tool:approval_required").await;
    assert_eq!(
        (&again.payload, &again.meta["id"], &again.meta["turn"]),
        (&asked.payload, &asked.meta["id"], &json!(1))
    );
    back.emit("tool:approval", json!({"callId": again.payload["callId"], "approved": true})).await;
    assert_eq!(back.until("agent:response").await.payload, "Done.");
}

#[tokio::test]
async fn a_client_that_joins_while_the_model_is_asked_sees_it_thinking() {
    let gate = Gate::new();
    let world = World::new([Step::new().wait(&gate).say("Hi.")]);
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    gate.reached().await;
    let mut late = world.connect("sessionId=s1", json!({})).await;
    assert_eq!(late.until("history:snapshot").await.payload["thinking"], true);
    assert_eq!(late.until("agent:thinking").await.meta["turn"], 1);
    gate.open();
    assert_eq!(late.until("agent:response").await.payload, "Hi.");
}

#[tokio::test]
async fn a_client_that_was_away_for_longer_than_the_log_is_kept_gets_a_snapshot() {
    let steps = (0..40).map(|n| Step::text(format!("answer {n}")));
    let mut builder = World::builder(steps);
    builder.sessions.max_log_events = 100;
    let world = builder.fast().build();
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("0")).await;
    client.until("turn:completed").await;
    let early = client.last_id();
    for n in 1..40 {
        client.call("message", json!(n.to_string())).await;
        client.until("turn:completed").await;
    }
    let trimmed = world.store_trimmed("s1").await;
    assert!(trimmed, "the log was not trimmed");
    let mut back = world.connect("sessionId=s1", json!({"lastEventId": early})).await;
    let snapshot = back.until("history:snapshot").await.payload;
    assert_eq!(snapshot["lastEventId"], client.last_id());
}

#[tokio::test]
async fn two_tabs_are_two_cursors_and_the_first_answer_wins() {
    let world = World::new([Step::calls([("box__echo", json!({"text": "x"}))]), Step::text("Done.")]);
    let (mut one, mut two) = (world.ready("sessionId=s1").await, world.ready("sessionId=s1").await);
    one.call("message", json!("go")).await;
    let call = one.until("tool:approval_required").await.payload["callId"].clone();
    assert_eq!(two.until("tool:approval_required").await.payload["callId"], call);
    let answer = json!({"callId": call, "approved": true});
    let (a, b) = tokio::join!(one.call("tool:approval", answer.clone()), two.call("tool:approval", answer));
    let (won, lost) = if a["ok"] == true { (a, b) } else { (b, a) };
    assert_eq!((&won, &lost["code"]), (&json!({"ok": true}), &json!("already_resolved")));
    for tab in [&mut one, &mut two] {
        tab.until("turn:completed").await;
        assert_eq!(tab.names().iter().filter(|name| **name == "tool:output").count(), 1);
    }
    assert_eq!(one.logged(), two.logged());
}

#[tokio::test]
async fn an_observer_sees_all_and_changes_nothing() {
    let world = World::new([Step::calls([("box__echo", json!({"text": "x"}))]), Step::text("Done.")]);
    let mut driver = world.ready("sessionId=s1").await;
    let mut observer = world.connect("sessionId=s1", json!({"role": "observer"})).await;
    observer.until("system:ready").await;
    driver.call("message", json!("go")).await;
    let call = observer.until("tool:approval_required").await.payload["callId"].clone();
    for (name, payload) in [
        ("message", json!("mine")),
        ("tool:approval", json!({"callId": call, "approved": true})),
        ("turn:cancel", json!(null)),
        ("history:reset", json!(null)),
        ("session:end", json!(null)),
    ] {
        let answer = observer.call(name, payload).await;
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("forbidden")), "{name}");
    }
    assert_eq!(observer.call("history:get", json!({})).await["ok"], true);
    driver.call("tool:approval", json!({"callId": call, "approved": true})).await;
    observer.until("turn:completed").await;
    driver.until("turn:completed").await;
    assert_eq!(observer.logged(), driver.logged());
}

#[tokio::test]
async fn a_long_answer_reaches_every_view_whole() {
    let world = World::new([long_answer(5_000)]);
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    let response = client.until("agent:response").await.payload;
    let deltas: String =
        client.seen.iter().filter(|e| e.name == "agent:delta").filter_map(|e| e.payload["text"].as_str()).collect();
    assert_eq!(response.as_str(), Some(&*deltas));
    client.send("41").await;
    assert!(matches!(client.until_end_or_silence().await, None | Some(Frame::Closed)));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_on_ends_the_connection_and_the_client_goes_on_later() {
    let (gate, outage) = (Gate::new(), Outage::default());
    let world = World::builder([Step::new().say("One ").wait(&gate).say("two")]).outage(&outage).build();
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("agent:delta").await;
    outage.begin();
    assert_eq!(client.until("agent:error").await.payload["code"], "store_unavailable");
    assert_eq!(client.until_end().await, Frame::Disconnect);
    outage.end();
    gate.open();
    let mut back = world.connect("sessionId=s1", json!({"lastEventId": client.last_id()})).await;
    assert_eq!(back.until("agent:response").await.payload, "One two");
    let whole: Vec<_> = client.logged().into_iter().chain(back.logged()).map(|(seq, ..)| seq).collect();
    assert_eq!(whole, (1..=whole.len() as u64).collect::<Vec<_>>());
}
