//! Connections that outlive their tokens.

use crate::{
    client::{Client, Frame},
    world::World,
};
use async_trait::async_trait;
use lockkeeper_domain::PrincipalId;
use lockkeeper_ports::{AuthError, Authenticator, Clock, Credentials, Principal};
use lockkeeper_testkit::{
    clock::TokioClock,
    llm::{Gate, Step},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// A token is a name, and for how many seconds from the start it is good.
struct Brief(TokioClock);

#[async_trait]
impl Authenticator for Brief {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let refused = || AuthError::Refused("The token is not accepted.".to_owned());
        let token = credentials.token.as_ref().ok_or_else(refused)?.expose_secret();
        let (name, secs) = token.split_once(' ').ok_or_else(refused)?;
        let ends = TokioClock::START.after(Duration::from_secs(secs.parse().map_err(|_| refused())?));
        if ends <= self.0.now() {
            return Err(refused());
        }
        let id = PrincipalId::parse(name).map_err(|_| refused())?;
        Ok(Principal { expires_at: Some(ends), ..Principal::known(id) })
    }
}

fn world(steps: impl IntoIterator<Item = Step>) -> World {
    World::builder(steps).config(|c| c.expiry_grace_secs = 5).authenticator(Brief(TokioClock::start())).build()
}

async fn ann(world: &World, secs: u64) -> Client {
    world.connect("sessionId=s1", json!({"token": format!("ann {secs}")})).await
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_token_while_its_turn_goes_on() {
    let gate = Gate::new();
    let world = world([Step::new().wait(&gate).say("done")]);
    let (mut client, started) = (ann(&world, 8).await, Instant::now());
    let ready = client.until("system:ready").await;
    assert_eq!(ready.payload["tokenExpiresAt"], "2026-01-01T00:00:08.000Z");
    assert_eq!(client.call("message", json!("hi")).await["ok"], true);
    let expired = client.until("auth:expired").await.payload;
    assert_eq!(expired, json!({"expiredAt": "2026-01-01T00:00:08.000Z", "closesAt": "2026-01-01T00:00:13.000Z"}));
    assert_eq!(started.elapsed().as_secs(), 8);
    for (name, payload) in [
        ("message", json!("more")),
        ("tool:approval", json!({"callId": "call_1_0_0", "approved": true})),
        ("turn:cancel", Value::Null),
        ("history:reset", Value::Null),
        ("history:get", json!({})),
        ("session:end", Value::Null),
    ] {
        let answer = client.call(name, payload).await;
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("unauthenticated")), "{name}");
        assert!(answer["hint"].as_str().is_some_and(|hint| hint.contains("auth:refresh")), "{answer}");
    }
    // What runs is still shown.
    gate.open();
    assert_eq!(client.until("agent:response").await.payload, "done");
    client.until("turn:completed").await;
    let error = client.until("error").await;
    assert_eq!(error.meta["code"], "unauthenticated");
    assert_eq!(client.until_end().await, Frame::Disconnect);
    assert_eq!(started.elapsed().as_secs(), 13);
    let messages = world
        .log("s1")
        .await
        .into_iter()
        .filter(|event| matches!(event.body, lockkeeper_domain::EventBody::UserMessage { .. }));
    assert_eq!(messages.count(), 1, "nothing of what came too late is in the log");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_keeps_the_connection_and_another_principals_does_not() {
    let world = world([Step::text("one"), Step::text("two")]);
    let mut client = ann(&world, 8).await;
    client.until("system:ready").await;
    client.until("auth:expired").await;
    for (bad, code) in [
        (json!({"token": "bob 16"}), "forbidden"),
        (json!({"token": "ann 8"}), "unauthenticated"),
        (json!({"token": "nonsense"}), "unauthenticated"),
        (json!({"token": 7}), "invalid_payload"),
        (json!("ann 16"), "invalid_payload"),
        (Value::Null, "invalid_payload"),
    ] {
        assert_eq!(client.call("auth:refresh", bad.clone()).await["code"], code, "{bad}");
    }
    assert_eq!(client.call("message", json!("hi")).await["code"], "unauthenticated");
    let answer = client.call("auth:refresh", json!({"token": "ann 16"})).await;
    assert_eq!(answer, json!({"ok": true, "expiresAt": "2026-01-01T00:00:16.000Z"}));
    assert_eq!(client.call("message", json!("hi")).await["ok"], true);
    assert_eq!(client.until("agent:response").await.payload, "one");
    // Its session is still hers, and the next end comes as the first did.
    client.until("auth:expired").await;
    assert_eq!(client.until("error").await.meta["code"], "unauthenticated");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_renewed_in_time_is_never_said_to_be_over() {
    let world = world([]);
    let mut client = ann(&world, 8).await;
    client.until("system:ready").await;
    for secs in [13, 18, 23] {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(client.call("auth:refresh", json!({"token": format!("ann {secs}")})).await["ok"], true);
    }
    assert!(!client.names().contains(&"auth:expired"));
}
