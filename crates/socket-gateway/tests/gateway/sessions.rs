use crate::{client::Frame, world::World};
use lockkeeper_testkit::llm::Step;
use serde_json::{Value, json};

fn tokens(name: &str) -> Value {
    json!({"token": format!("token-of-{name}")})
}

fn world(steps: impl IntoIterator<Item = Step>) -> World {
    World::builder(steps).tokens([("ann", "token-of-ann"), ("bob", "token-of-bob")]).build()
}

#[tokio::test]
async fn sessions_are_listed_by_their_last_use_to_their_owner_alone() {
    let world = world([Step::text("Hi.")]);
    let mut ann = world.connect("sessionId=one", tokens("ann")).await;
    ann.until("system:ready").await;
    world.connect("sessionId=bobs", tokens("bob")).await.until("system:ready").await;
    ann.call("message", json!("What is in this folder?")).await;
    ann.until("turn:completed").await;
    let listed = ann.call("session:list", json!({})).await;
    assert_eq!(listed["ok"], true);
    let sessions = listed["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 1, "{listed}");
    let mut one = sessions[0].clone();
    for time in ["createdAt", "lastActiveAt"] {
        assert!(one[time].as_str().is_some_and(|time| time.ends_with('Z')), "{one}");
        one[time] = json!("..");
    }
    let expected = json!({
        "sessionId": "one", "title": "What is in this folder?", "createdAt": "..", "lastActiveAt": "..",
        "busy": false, "model": "scripted-1", "hasSandbox": true,
    });
    assert_eq!(one, expected);
    world.connect("sessionId=two", tokens("ann")).await.until("system:ready").await;
    let ids = |listed: &Value| -> Vec<Value> {
        listed["sessions"].as_array().expect("a list").iter().map(|s| s["sessionId"].clone()).collect()
    };
    assert_eq!(ids(&ann.call("session:list", json!(null)).await).len(), 2);
    assert_eq!(ids(&ann.call("session:list", json!({"limit": 1})).await).len(), 1);
    assert_eq!(ann.call("session:list", json!({"limit": "all"})).await["code"], "invalid_payload");
}

#[tokio::test]
async fn a_session_is_renamed_and_deleted_by_its_owner_alone() {
    let world = world([]);
    let mut ann = world.connect("sessionId=one", tokens("ann")).await;
    ann.until("system:ready").await;
    let mut bob = world.connect("sessionId=two", tokens("bob")).await;
    bob.until("system:ready").await;
    for (name, payload) in [
        ("session:rename", json!({"sessionId": "one", "title": "His"})),
        ("session:delete", json!({"sessionId": "one"})),
    ] {
        assert_eq!(bob.call(name, payload).await["code"], "forbidden");
    }
    assert_eq!(ann.call("session:rename", json!({"sessionId": "one", "title": "Mine"})).await, json!({"ok": true}));
    assert_eq!(ann.call("session:list", json!({})).await["sessions"][0]["title"], "Mine");
    let refused = ann.call("session:rename", json!({"sessionId": "one", "title": "a\nb"})).await;
    assert_eq!(refused["code"], "invalid_payload");
}

#[tokio::test]
async fn whoever_deletes_its_session_hears_that_it_was_done_and_every_view_ends() {
    let world = world([]);
    let mut here = world.connect("sessionId=one", tokens("ann")).await;
    here.until("system:ready").await;
    let mut there = world.connect("sessionId=one", tokens("ann")).await;
    there.until("system:ready").await;
    assert_eq!(here.call("session:delete", json!({"sessionId": "one"})).await, json!({"ok": true}));
    for client in [&mut here, &mut there] {
        assert!(matches!(client.until_end().await, Frame::Disconnect | Frame::Closed));
        let error = client.seen.last().expect("a word");
        assert_eq!((error.name.as_str(), &error.payload), ("error", &json!("The session was deleted.")));
    }
    assert!(world.log("one").await.is_empty());
}

#[tokio::test]
async fn an_observer_lists_and_changes_nothing() {
    let world = world([]);
    world.connect("sessionId=one", tokens("ann")).await.until("system:ready").await;
    let auth = json!({"token": "token-of-ann", "role": "observer"});
    let mut observer = world.connect("sessionId=one", auth).await;
    observer.until("system:ready").await;
    assert_eq!(observer.call("session:list", json!({})).await["ok"], true);
    for (name, payload) in
        [("session:rename", json!({"sessionId": "one", "title": "x"})), ("session:delete", json!({"sessionId": "one"}))]
    {
        assert_eq!(observer.call(name, payload).await["code"], "forbidden");
    }
}
