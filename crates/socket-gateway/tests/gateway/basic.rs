//! What clients of the basic contract get, and what becomes of things that client libraries send by themselves.

use crate::world::World;
use lockkeeper_testkit::llm::Step;
use serde_json::{Value, json};

/// The arguments of each event that came, by the event's name.
fn arguments(raw: &[String]) -> Vec<(String, Vec<Value>)> {
    let events = raw.iter().filter_map(|packet| packet.strip_prefix("42"));
    let split = |event: &str| {
        let mut all: Vec<Value> = serde_json::from_str(event).expect("JSON");
        (all.remove(0).as_str().expect("a name").to_owned(), all)
    };
    events.map(split).collect()
}

#[tokio::test]
async fn client_that_asks_for_nothing_gets_one_argument() {
    let world = World::new([Step::new().call("box__echo", json!({"text": "a"})), Step::text("Done.")]);
    let mut client = world.connect("sessionId=s1", json!({"protocol": null})).await;
    assert_eq!(client.until("system:ready").await.payload["protocol"], 1);
    client.emit("message", json!("go")).await;
    let question = client.until("tool:approval_required").await.payload;
    client.emit("tool:approval", json!({"callId": question["callId"], "approved": true})).await;
    assert_eq!(client.until("agent:response").await.payload, "Done.");
    client.until("turn:completed").await;
    client.emit("turn:cancel", json!(null)).await;
    assert!(client.until("agent:error").await.payload.is_string());
    for (name, arguments) in arguments(&client.raw) {
        let wanted = usize::from(name != "agent:thinking");
        assert_eq!(arguments.len(), wanted, "{name} {arguments:?}");
    }
    let mut newer = world.connect("sessionId=s1", json!({"protocol": 2})).await;
    assert_eq!(newer.until("system:ready").await.payload["protocol"], 2);
    newer.emit("turn:cancel", json!(null)).await;
    assert_eq!(newer.until("agent:error").await.payload["code"], "nothing_running");
}

#[tokio::test]
async fn refusal_in_the_reader_has_the_form_that_was_asked_for() {
    let world = World::builder([]).config(|c| (c.event_burst, c.events_per_sec) = (1, 1)).build();
    for (protocol, is_text) in [(1, true), (2, false)] {
        let mut client = world.connect("sessionId=s1", json!({"protocol": protocol})).await;
        client.until("system:ready").await;
        for _ in 0..3 {
            client.emit("history:get", json!({})).await;
        }
        assert_eq!(client.until("agent:error").await.payload.is_string(), is_text);
    }
}

#[tokio::test]
async fn binary_event_is_refused_and_the_connection_stays() {
    let world = World::new([Step::text("Hi.")]);
    let mut client = world.ready("sessionId=s1").await;
    let placeholder = json!({"_placeholder": true, "num": 0});
    let attached = json!({"text": "see", "attachments": [{"mimeType": "image/png", "data": placeholder}]});
    for payload in [placeholder.clone(), attached] {
        client.send(&format!("451-7{}", json!(["message", payload]))).await;
        client.binary(vec![1, 2, 3]).await;
        let answer = client.until_ack(7).await;
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("invalid_payload")), "{answer}");
        assert!(answer["hint"].as_str().is_some_and(|hint| hint.contains("base64")), "{answer}");
    }
    let several = json!(["message", placeholder, {"_placeholder": true, "num": 1}]);
    client.send(&format!("452-{several}")).await;
    client.binary(vec![1]).await;
    client.binary(vec![2; 10_000]).await;
    assert_eq!(client.until("agent:error").await.payload["code"], "invalid_payload");
    assert_eq!(client.call("message", json!("hello")).await["ok"], true);
    client.until("agent:response").await;
}

#[tokio::test]
async fn many_binary_parts_of_one_event_do_not_end_the_connection() {
    let world = World::new([]);
    let mut client = world.ready("sessionId=s1").await;
    let parts: Vec<_> = (0..60).map(|num| json!({"_placeholder": true, "num": num})).collect();
    client.send(&format!("4560-7{}", json!(["message", parts]))).await;
    for _ in 0..60 {
        client.binary(vec![0; 100]).await;
    }
    assert_eq!(client.until_ack(7).await["code"], "invalid_payload");
    assert_eq!(client.call("history:get", json!({})).await["ok"], true);
}

#[tokio::test]
async fn first_visits_of_two_users_do_not_share_a_session() {
    let world = World::builder([]).tokens([("ann", "the-token-of-ann-1"), ("bob", "the-token-of-bob-1")]).build();
    let mut sessions = Vec::new();
    for token in ["the-token-of-ann-1", "the-token-of-bob-1"] {
        for word in ["null", "undefined"] {
            let mut client = world.connect(&format!("sessionId={word}"), json!({"token": token})).await;
            sessions.push(client.until("system:ready").await.payload["sessionId"].as_str().expect("an id").to_owned());
        }
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 4, "{sessions:?}");
}
