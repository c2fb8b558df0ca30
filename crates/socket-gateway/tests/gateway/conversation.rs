use crate::{client::Event, world::World};
use lockkeeper_domain::{EventBody, StopReason};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::{Value, json};

/// All that an older frontend knows.
const BASIC: &[&str] = &[
    "agent:thinking",
    "agent:response",
    "tool:approval_required",
    "tool:output",
    "agent:error",
    "system:ready",
    "system:message",
    "error",
];

fn basic(seen: &[Event]) -> Vec<&str> {
    seen.iter().map(|event| event.name.as_str()).filter(|name| BASIC.contains(name)).collect()
}

#[tokio::test]
async fn a_basic_client_holds_a_whole_conversation() {
    let steps = [Step::calls([("box__echo", json!({"text": "hello"}))]), Step::text("It said hello.")];
    let world = World::new(steps);
    let mut client = world.connect("sessionId=s1&model=m1", json!({})).await;
    let ready = client.until("system:ready").await.payload;
    assert_eq!(ready["sessionId"], "s1");
    assert_eq!((&ready["provider"], &ready["model"]), (&json!("scripted"), &json!("m1")));
    assert!(ready["containerId"].as_str().is_some_and(|id| id.starts_with("fake-s1")), "{ready}");
    assert_eq!(ready["tools"][0]["name"], "echo");
    client.emit("message", json!("say hello")).await;
    let required = client.until("tool:approval_required").await.payload;
    assert_eq!((&required["name"], &required["args"]), (&json!("echo"), &json!({"text": "hello"})));
    assert_eq!((&required["queuePosition"], &required["totalInQueue"]), (&json!(1), &json!(1)));
    client.emit("tool:approval", json!({"callId": required["callId"], "approved": true})).await;
    let output = client.until("tool:output").await.payload;
    let content: Value = serde_json::from_str(output.as_str().expect("a string")).expect("JSON");
    assert_eq!(content, json!([{"type": "text", "text": "hello"}]));
    assert_eq!(client.until("agent:response").await.payload, "It said hello.");
    client.until("turn:completed").await;
    let expected = [
        "system:ready",
        "agent:thinking",
        "tool:approval_required",
        "agent:thinking",
        "tool:output",
        "agent:thinking",
        "agent:response",
    ];
    assert_eq!(basic(&client.seen), expected);
    assert!(client.raw.iter().all(|frame| !frame.contains(&client.sid)), "the connection's id is a secret");
}

#[tokio::test]
async fn every_event_has_a_payload_and_a_meta_and_logged_ones_are_dense() {
    let world = World::new([Step::calls([("box__fail", json!({}))]), Step::new().say("One ").say("two")]);
    let mut client = world.ready("sessionId=s1").await;
    let accepted = client.call("message", json!({"text": "go", "clientMessageId": "m1"})).await;
    assert_eq!(accepted, json!({"ok": true, "turn": 1, "duplicate": false}));
    let again = client.call("message", json!({"text": "go", "clientMessageId": "m1"})).await;
    assert_eq!(again, json!({"ok": true, "turn": 1, "duplicate": true}));
    let call = client.until("tool:approval_required").await.payload["callId"].clone();
    assert_eq!(client.call("tool:approval", json!({"callId": call, "approved": true})).await, json!({"ok": true}));
    client.until("turn:completed").await;
    let places: Vec<_> = client.logged().into_iter().map(|(seq, ..)| seq).collect();
    assert_eq!(places, (1..=u64::try_from(places.len()).expect("small")).collect::<Vec<_>>());
    for event in &client.seen {
        assert!(event.meta["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{event:?}");
        let unlogged = ["system:ready", "system:progress", "agent:thinking", "tool:progress"].contains(&&*event.name);
        assert_eq!(event.meta.get("id").is_none(), unlogged, "{event:?}");
    }
    let error = client.seen.iter().find(|event| event.name == "tool:error").expect("it failed");
    assert_eq!(
        error.payload,
        json!({"callId": call, "name": "fail", "message": "no such file", "code": "tool_failed"})
    );
    assert_eq!(error.meta["callId"], call);
}

#[tokio::test]
async fn the_first_events_of_a_fast_client_are_not_lost() {
    // Trap 4: handlers that are registered after the client was told that it is connected miss its first events.
    let world = World::builder([]).config(|c| c.max_connections_per_principal = 50).build();
    for n in 0..40 {
        let mut client = world.connect(&format!("sessionId=s{}", n % 4), json!({})).await;
        let answer = client.call("history:get", json!({})).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
}

#[tokio::test]
async fn a_message_before_the_session_is_ready_is_taken() {
    let world = World::new([Step::text("Hi.")]);
    let mut client = world.connect("sessionId=s1", json!({})).await;
    client.emit("message", json!("early")).await;
    client.until("agent:response").await;
    assert_eq!(client.names().iter().filter(|name| **name == "user:message").count(), 1);
}

#[tokio::test]
async fn a_message_of_a_client_that_left_at_once_is_answered_all_the_same() {
    let world = World::new([Step::text("Hi.")]);
    let mut client = world.connect("sessionId=s1", json!({})).await;
    client.emit("message", json!("bye")).await;
    drop(client);
    world.provider.until_finished(1).await;
    let mut back = world.connect("sessionId=s1", json!({"lastEventId": "0-0"})).await;
    assert_eq!(back.until("agent:response").await.payload, "Hi.");
}

#[tokio::test]
async fn a_turn_is_cancelled_and_a_history_read_and_reset() {
    let gate = Gate::new();
    let world = World::new([Step::text("One."), Step::new().wait(&gate).say("never")]);
    let mut client = world.ready("sessionId=s1").await;
    let idle = client.call("turn:cancel", json!(null)).await;
    assert_eq!((&idle["ok"], &idle["code"]), (&json!(false), &json!("nothing_running")));
    client.call("message", json!("first")).await;
    client.until("turn:completed").await;
    client.call("message", json!("second")).await;
    gate.reached().await;
    assert_eq!(client.call_raw("[\"turn:cancel\"]").await, json!({"ok": true}));
    let completed = client.until("turn:completed").await.payload;
    assert_eq!(completed["stopReason"], "cancelled");
    let page = client.call_raw("[\"history:get\"]").await;
    assert_eq!(page["messages"][0]["text"], "first");
    let limited = client.call("history:get", json!({"limit": 1, "before": 2})).await;
    assert_eq!(limited["messages"].as_array().map(Vec::len), Some(1), "{limited}");
    assert_eq!((&limited["messages"][0]["index"], &limited["before"]), (&json!(1), &json!(1)));
    assert_eq!(client.call("history:reset", json!({})).await, json!({"ok": true}));
    client.until("system:message").await;
    assert_eq!(client.call_raw("[\"history:get\"]").await["messages"], json!([]));
    assert_eq!(client.call_raw("[\"session:end\"]").await, json!({"ok": true}));
}

#[tokio::test]
async fn a_failed_command_without_an_acknowledgement_is_an_agent_error() {
    let world = World::new([]);
    let mut client = world.ready("sessionId=s1").await;
    client.emit("tool:approval", json!({"callId": "call_1_0_0", "approved": true})).await;
    let error = client.until("agent:error").await;
    assert_eq!((&error.payload["code"], &error.payload["retryable"]), (&json!("unknown_call"), &json!(false)));
    assert!(error.meta.get("id").is_none());
}

#[tokio::test]
async fn a_denial_reaches_the_model_and_later_answers_come_too_late() {
    let world = World::new([Step::calls([("box__echo", json!({"text": "x"}))]), Step::text("Fine.")]);
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    let call = client.until("tool:approval_required").await.payload["callId"].clone();
    let denied = client.call("tool:approval", json!({"callId": call, "approved": false, "reason": "not now"})).await;
    assert_eq!(denied, json!({"ok": true}));
    client.until("turn:completed").await;
    let late = client.call("tool:approval", json!({"callId": call, "approved": true})).await;
    assert_eq!((&late["ok"], &late["code"]), (&json!(false), &json!("already_resolved")), "{late}");
    assert!(!client.names().contains(&"tool:output"));
    let log = world.log("s1").await;
    let ends =
        log.iter().filter(|e| matches!(&e.body, EventBody::TurnCompleted(t) if t.stop_reason == StopReason::EndTurn));
    assert_eq!(ends.count(), 1);
}
