use crate::world::World;
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;
use std::time::Duration;

fn echo() -> Step {
    Step::calls([("box__echo", json!({"text": "x"}))])
}

#[tokio::test]
async fn clients_of_two_servers_see_and_command_one_session() {
    let gate = Gate::new();
    let [one, two] = World::builder([echo(), Step::new().wait(&gate).say("Done.")]).build_servers();
    let mut here = one.ready("sessionId=s1").await;
    let mut there = two.ready("sessionId=s1").await;
    assert_eq!((one.manager.live_sessions(), two.manager.live_sessions()), (1, 0));
    assert_eq!(there.call("message", json!("go")).await["ok"], true);
    let asked = here.until("tool:approval_required").await;
    there.until("tool:approval_required").await;
    let call = &asked.payload["callId"];
    assert_eq!(there.call("tool:approval", json!({"callId": call, "approved": true})).await["ok"], true);
    let late = here.call("tool:approval", json!({"callId": call, "approved": false})).await;
    assert_eq!(late["code"], "already_resolved");
    there.until("tool:output").await;
    // Not logged, and seen on the other server all the same.
    there.until("agent:thinking").await;
    gate.open();
    here.until("turn:completed").await;
    there.until("turn:completed").await;
    let log: Vec<u64> = one.log("s1").await.iter().map(|event| event.id.seq.get()).collect();
    for client in [&here, &there] {
        assert_eq!(client.logged().iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(), log);
    }
    assert_eq!(here.logged(), there.logged());
}

#[tokio::test]
async fn a_client_that_comes_back_to_another_server_misses_nothing_and_sees_nothing_twice() {
    let gate = Gate::new();
    let [one, two] = World::builder([Step::new().say("One ").wait(&gate).say("two")]).build_servers();
    let mut client = one.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("agent:delta").await;
    let (last, mut whole) = (client.last_id(), client.logged());
    drop(client);
    let mut back = two.connect("sessionId=s1", json!({"lastEventId": last})).await;
    assert_eq!(back.until("system:ready").await.payload["resumed"], true);
    gate.open();
    back.until("turn:completed").await;
    assert!(!back.names().contains(&"history:snapshot"));
    whole.extend(back.logged());
    let log: Vec<u64> = one.log("s1").await.iter().map(|event| event.id.seq.get()).collect();
    assert_eq!(whole.iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(), log);
}

#[tokio::test]
async fn a_client_that_knows_nothing_gets_a_snapshot_from_a_server_that_does_not_drive_the_session() {
    let gate = Gate::new();
    let [one, two] = World::builder([Step::new().say("One ").wait(&gate).say("two")]).build_servers();
    let mut client = one.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("agent:delta").await;
    let mut other = two.connect("sessionId=s1", json!({})).await;
    let snapshot = other.until("history:snapshot").await.payload;
    assert_eq!((&snapshot["partial"], &snapshot["messages"][0]["text"]), (&json!("One "), &json!("go")));
    assert_eq!((one.manager.live_sessions(), two.manager.live_sessions()), (1, 0));
    gate.open();
    other.until("turn:completed").await;
}

#[tokio::test]
async fn a_client_of_another_server_does_not_notice_that_the_owner_ends() {
    let [one, two] = World::builder([echo(), Step::text("Done.")]).build_servers();
    let owner = one.ready("sessionId=s1").await;
    let mut client = two.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    let asked = client.until("tool:approval_required").await;
    one.manager.drain(Duration::from_secs(20)).await;
    drop(owner);
    let answer = json!({"callId": asked.payload["callId"], "approved": true});
    assert_eq!(client.call("tool:approval", answer).await["ok"], true);
    client.until("turn:completed").await;
    assert_eq!(two.manager.live_sessions(), 1);
    let log: Vec<u64> = one.log("s1").await.iter().map(|event| event.id.seq.get()).collect();
    assert_eq!(client.logged().iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(), log);
}
