use crate::{client::Frame, world::World};
use lockkeeper_domain::SessionId;
use lockkeeper_ports::{LlmError, SandboxRuntime, SessionRepository};
use lockkeeper_socket_gateway::{IdentitySecret, ProviderKeyAuthenticator};
use lockkeeper_testkit::llm::Step;
use serde_json::{Value, json};

fn by_key() -> ProviderKeyAuthenticator {
    let secret = IdentitySecret::new("a secret of this deployment's own".to_owned().into()).expect("long enough");
    ProviderKeyAuthenticator::new(secret, "scripted", None)
}

/// The code of the refusal.
async fn refused(world: &World, auth: Value) -> String {
    let mut client = world.connect("sessionId=s1", auth).await;
    let error = client.until("error").await;
    assert_eq!(client.until_end().await, Frame::Disconnect);
    error.meta["code"].as_str().expect("a code").to_owned()
}

#[tokio::test]
async fn a_key_of_the_clients_own_answers_where_the_server_has_none() {
    let world = World::builder([Step::text("hello"), Step::text("again")]).without_key().with_own_keys().build();
    assert_eq!(refused(&world, json!({})).await, "missing_api_key");
    let mut ann = world.connect("sessionId=s1", json!({"apiKey": "canary-of-ann"})).await;
    let ready = ann.until("system:ready").await.payload;
    assert_eq!((&ready["provider"], &ready["model"]), (&json!("claude"), &json!("scripted-1")));
    assert_eq!(ann.call("message", json!("hi")).await["ok"], true);
    assert_eq!(ann.until("agent:response").await.payload, "hello");
    // Another tab needs no key as long as the session has one.
    let mut tab = world.connect("sessionId=s1", json!({})).await;
    tab.until("system:ready").await;
    assert_eq!(tab.call("message", json!("more")).await["ok"], true);
    ann.until("agent:response").await;
    for client in [&ann, &tab] {
        assert!(!client.raw.join("").contains("canary"));
    }
}

#[tokio::test]
async fn a_session_that_ended_has_lost_its_key_and_says_so() {
    let world = World::builder([Step::text("hello")]).with_own_keys().build();
    let mut ann = world.connect("sessionId=s1", json!({"apiKey": "k"})).await;
    ann.until("system:ready").await;
    assert_eq!(ann.call("session:end", json!(null)).await["ok"], true);
    let answer = ann.call("message", json!("hi")).await;
    assert_eq!(
        (&answer["ok"], &answer["code"], &answer["retryable"]),
        (&json!(false), &json!("missing_api_key"), &json!(false))
    );
    assert!(answer["hint"].as_str().is_some_and(|hint| hint.contains("auth.apiKey")), "{answer}");
    ann.emit("message", json!("hi")).await;
    assert_eq!(ann.until("agent:error").await.payload["code"], "missing_api_key");
    let mut back = world.connect("sessionId=s1", json!({"apiKey": "k"})).await;
    back.until("system:ready").await;
    assert_eq!(ann.call("message", json!("hi")).await["ok"], true, "the session has a key again, for all its views");
    back.until("agent:response").await;
}

#[tokio::test]
async fn a_key_where_none_are_taken_is_refused_and_a_malformed_one_everywhere() {
    let world = World::new([]);
    assert_eq!(refused(&world, json!({"apiKey": "k"})).await, "forbidden");
    for bad in [json!(7), json!("a b"), json!("x".repeat(5000))] {
        assert_eq!(refused(&world, json!({"apiKey": bad})).await, "invalid_payload");
    }
    assert!(world.sandboxes.list().await.expect("a list").is_empty());
    let mut empty = world.connect("sessionId=s1", json!({"apiKey": ""})).await;
    empty.until("system:ready").await;
}

#[tokio::test]
async fn an_observers_key_pays_for_nothing() {
    let world = World::builder([]).with_own_keys().build();
    let mut observer =
        world.connect("sessionId=s1", json!({"apiKey": "k", "role": "observer", "model": "other"})).await;
    assert_eq!(observer.until("system:ready").await.payload["model"], "scripted-1");
    let id: SessionId = "s1".parse().expect("an id");
    assert!(!world.store.get(&id).await.expect("read").expect("there").own_key);
}

#[tokio::test]
async fn whoever_has_the_key_is_the_principal() {
    let world = World::builder([Step::text("hello")]).without_key().with_own_keys().authenticator(by_key()).build();
    for nobody in [json!({}), json!({"token": ""}), json!({"token": null, "apiKey": null})] {
        assert_eq!(refused(&world, nobody).await, "unauthenticated");
    }
    assert_eq!(world.manager.live_sessions(), 0);
    let mut ann = world.connect("sessionId=s1", json!({"apiKey": "sk-of-ann"})).await;
    ann.until("system:ready").await;
    assert_eq!(refused(&world, json!({"apiKey": "sk-of-bob"})).await, "forbidden");
    // Older frontends send it as the token; it pays for the turn as well.
    let mut older = world.connect("sessionId=s1", json!({"token": "sk-of-ann"})).await;
    older.until("system:ready").await;
    assert_eq!(older.call("message", json!("hi")).await["ok"], true);
    ann.until("agent:response").await;
    let id: SessionId = "s1".parse().expect("an id");
    let record = world.store.get(&id).await.expect("read").expect("there");
    assert!(record.owner.as_str().starts_with("key_"), "{record:?}");
    assert!(!format!("{record:?}").contains("sk-of"), "{record:?}");
}

#[tokio::test]
async fn a_model_in_auth_is_used_kept_and_changed_by_naming_another() {
    let unknown = LlmError::BadRequest("there is no model two".to_owned());
    let world = World::builder([Step::text("hello"), Step::error(unknown)]).build();
    let mut ann = world.connect("sessionId=s1&model=zero", json!({"model": "one"})).await;
    assert_eq!(ann.until("system:ready").await.payload["model"], "one");
    ann.call("message", json!("hi")).await;
    ann.until("turn:completed").await;
    assert_eq!(world.provider.requests()[0].model, "one");
    let mut later = world.connect("sessionId=s1", json!({"model": "two"})).await;
    assert_eq!(later.until("system:ready").await.payload["model"], "two");
    let told = ann.until("system:message").await;
    assert!(told.payload.as_str().is_some_and(|text| text.contains("two")), "{told:?}");
    assert_eq!(later.call("message", json!("hi")).await["ok"], true);
    let error = ann.until("agent:error").await.payload;
    assert_eq!(error["code"], "provider_bad_request");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("/api/models")), "{error}");
    assert_eq!(world.provider.requests()[1].model, "two");
    let mut unsaid = world.connect("sessionId=s1", json!({})).await;
    assert_eq!(unsaid.until("system:ready").await.payload["model"], "two", "who names none changes nothing");
}

#[tokio::test]
async fn what_cannot_be_a_model_is_refused_before_anything_is_created() {
    let world = World::new([]);
    for bad in [json!("../x"), json!("a b"), json!("x".repeat(129)), json!(7), json!({"name": "x"})] {
        assert_eq!(refused(&world, json!({"model": bad})).await, "invalid_payload");
    }
    assert_eq!(world.manager.live_sessions(), 0);
}
