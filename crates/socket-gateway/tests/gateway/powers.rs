//! What principals may do in sessions that are theirs, and in those that are not.

use crate::world::World;
use lockkeeper_domain::{EventBody, Power, PrincipalId};
use lockkeeper_orchestrator::Others;
use lockkeeper_socket_gateway::StaticAuthenticator;
use lockkeeper_testkit::llm::Step;
use serde_json::{Value, json};

/// Ann drives and decides nothing, Sam approves, Olga observes, Bob is as anyone.
fn world(others: Others) -> World {
    let steps = [Step::calls([("box__echo", json!({"say": "canary of ann"}))]), Step::text("over")];
    let id = |name: &str| PrincipalId::parse(name).expect("an id");
    let tokens = ["ann", "sam", "olga", "bob"].map(|name| (id(name), format!("token of {name}").into()));
    let powers = [("ann", [Power::Drive]), ("sam", [Power::Approve]), ("olga", [Power::Observe])];
    let powers = powers.into_iter().map(|(name, powers)| (id(name), powers.into_iter().collect())).collect();
    let mut builder = World::builder(steps).authenticator(StaticAuthenticator::new(tokens).with_powers(&powers));
    builder.sessions.others = others;
    builder.build()
}

async fn refused(world: &World, name: &str) -> Value {
    let mut client = world.connect("sessionId=s1", json!({"token": format!("token of {name}")})).await;
    let error = client.until("error").await;
    assert!(!client.raw.join("").contains("canary"), "{name} was shown something");
    error.meta["code"].clone()
}

#[tokio::test]
async fn another_decides_where_the_operator_lets_it_and_the_log_says_who() {
    let world = world(Others::Approve);
    let mut ann = world.connect("sessionId=s1", json!({"token": "token of ann"})).await;
    ann.until("system:ready").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    let call = ann.until("tool:approval_required").await.payload["callId"].clone();
    let yes = json!({"callId": call, "approved": true});
    assert_eq!(ann.call("tool:approval", yes.clone()).await["code"], "forbidden", "she decides nothing");
    let mut olga = world.connect("sessionId=s1", json!({"token": "token of olga"})).await;
    assert_eq!(olga.until("system:ready").await.payload["pending"][0]["callId"], call);
    assert_eq!(olga.call("tool:approval", yes.clone()).await["code"], "forbidden");
    assert_eq!(refused(&world, "bob").await, "forbidden");
    // The role of a handshake takes away and never gives.
    let mut quiet = world.connect("sessionId=s1", json!({"token": "token of sam", "role": "observer"})).await;
    quiet.until("system:ready").await;
    assert_eq!(quiet.call("tool:approval", yes.clone()).await["code"], "forbidden");
    let mut loud = world.connect("sessionId=s1", json!({"token": "token of olga", "role": "approver"})).await;
    loud.until("system:ready").await;
    assert_eq!(loud.call("tool:approval", yes.clone()).await["code"], "forbidden");
    let mut sam = world.connect("sessionId=s1", json!({"token": "token of sam", "model": "another"})).await;
    assert_eq!(sam.until("system:ready").await.payload["model"], "scripted-1", "its model is its owner's choice");
    for name in ["turn:cancel", "history:reset", "session:end"] {
        assert_eq!(sam.call(name, Value::Null).await["code"], "forbidden", "{name}");
    }
    assert_eq!(sam.call("message", json!("hi")).await["code"], "forbidden");
    assert_eq!(sam.call("tool:approval", yes).await["ok"], true);
    assert_eq!(ann.until("tool:approval_resolved").await.payload["by"], "sam");
    ann.until("turn:completed").await;
    let resolved = world.log("s1").await.into_iter().find_map(|event| match event.body {
        EventBody::ApprovalResolved(resolved) => Some(resolved),
        _ => None,
    });
    let resolved = resolved.expect("a decision");
    assert_eq!(resolved.by.as_ref().map(PrincipalId::as_str), Some("sam"));
    assert_eq!(resolved.via.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(resolved.via.agent.as_deref(), Some("a test/1"));
    for client in [&ann, &sam, &olga] {
        assert!(!client.raw.join("").contains("127.0.0.1"), "where somebody is is for the log alone");
    }
}

#[tokio::test]
async fn sessions_of_others_are_closed_unless_the_operator_opens_them() {
    let world = world(Others::Closed);
    let mut ann = world.connect("sessionId=s1", json!({"token": "token of ann"})).await;
    ann.until("system:ready").await;
    for name in ["sam", "olga", "bob"] {
        assert_eq!(refused(&world, name).await, "forbidden");
    }
    // Who has no session of its own learns no more from one that is not there.
    let mut sam = world.connect("sessionId=nobodys", json!({"token": "token of sam"})).await;
    let absent = sam.until("error").await.payload;
    let mut sam = world.connect("sessionId=s1", json!({"token": "token of sam"})).await;
    assert_eq!(sam.until("error").await.payload, absent);
    let mut sam = world.connect("", json!({"token": "token of sam"})).await;
    assert_eq!(sam.until("error").await.meta["code"], "forbidden");
}

#[tokio::test]
async fn where_sessions_may_be_looked_at_nobody_but_their_owner_decides() {
    let world = world(Others::Observe);
    let mut ann = world.connect("sessionId=s1", json!({"token": "token of ann"})).await;
    ann.until("system:ready").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    let call = ann.until("tool:approval_required").await.payload["callId"].clone();
    for name in ["sam", "olga"] {
        let mut client = world.connect("sessionId=s1", json!({"token": format!("token of {name}")})).await;
        client.until("system:ready").await;
        let answer = client.call("tool:approval", json!({"callId": call, "approved": true})).await;
        assert_eq!(answer["code"], "forbidden", "{name}");
        assert_eq!(client.call("history:get", json!({})).await["ok"], true);
    }
    assert_eq!(refused(&world, "bob").await, "forbidden");
}
