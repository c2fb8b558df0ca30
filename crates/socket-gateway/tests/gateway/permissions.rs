//! Permissions that change while connections last.

use crate::{
    client::{Client, Frame},
    world::World,
};
use async_trait::async_trait;
use lockkeeper_domain::{Power, PrincipalId};
use lockkeeper_orchestrator::Others;
use lockkeeper_ports::{AuthError, Authenticator, Credentials, Principal};
use lockkeeper_testkit::llm::{Gate, Step};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

/// Tokens with the powers of their bearers. A token is a name, and what distinguishes it from others of the same one.
#[derive(Clone, Default)]
struct Tokens(Arc<RwLock<BTreeMap<&'static str, Vec<Power>>>>);

impl Tokens {
    fn set(&self, token: &'static str, powers: &[Power]) {
        self.0.write().expect("whole").insert(token, powers.to_vec());
    }

    fn remove(&self, token: &str) {
        self.0.write().expect("whole").remove(token);
    }
}

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let refused = || AuthError::Refused("The token is not known.".to_owned());
        let token = credentials.token.as_ref().ok_or_else(refused)?.expose_secret();
        let powers = self.0.read().expect("whole").get(token).cloned().ok_or_else(refused)?;
        let name = token.split(' ').next().unwrap_or_default();
        let id = PrincipalId::parse(name).map_err(|_| refused())?;
        Ok(Principal { powers: powers.into_iter().collect(), ..Principal::known(id) })
    }
}

/// Ann has a session, which Eve may look at and Sam may decide in.
fn world(steps: impl IntoIterator<Item = Step>) -> (World, Tokens) {
    let tokens = Tokens::default();
    tokens.set("ann", &[Power::Drive, Power::Decide]);
    tokens.set("eve looks", &[Power::Observe]);
    tokens.set("eve drives", &[Power::Drive, Power::Decide]);
    tokens.set("sam", &[Power::Approve]);
    let mut builder = World::builder(steps).authenticator(tokens.clone());
    builder.sessions.others = Others::Approve;
    (builder.build(), tokens)
}

async fn join(world: &World, token: &str) -> Client {
    let mut client = world.connect("sessionId=s1", json!({"token": token})).await;
    client.until("system:ready").await;
    client
}

/// Reads all that is still sent to a client whose connection ends, and returns the code of the last error.
async fn ended(client: &mut Client) -> Value {
    let error = client.until("error").await;
    assert_eq!(client.until_end().await, Frame::Disconnect);
    error.meta["code"].clone()
}

fn saw(client: &Client, what: &str) -> bool {
    client.raw.join("").contains(what)
}

/// Covers: S2-2
#[tokio::test]
async fn refresh_without_observe_ends_the_view_at_once() {
    let gate = Gate::new();
    let (world, _tokens) = world([Step::new().say("canary one ").wait(&gate).say("canary two"), Step::text("three")]);
    let mut ann = join(&world, "ann").await;
    let mut eve = join(&world, "eve looks").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    eve.until("agent:delta").await;
    let answer = eve.call("auth:refresh", json!({"token": "eve drives"})).await;
    assert_eq!(answer["ok"], true, "the token is as good as any: {answer}");
    gate.open();
    assert_eq!(ended(&mut eve).await, "forbidden");
    ann.until("turn:completed").await;
    assert!(saw(&ann, "canary two") && !saw(&eve, "canary two"));
    // She is no more let in again than anyone.
    let mut again = world.connect("sessionId=s1", json!({"token": "eve drives"})).await;
    assert_eq!(again.until("error").await.meta["code"], "forbidden");
    assert!(!saw(&again, "canary"));
}

/// Covers: S2-2
#[tokio::test]
async fn refresh_that_keeps_observe_keeps_the_view() {
    let gate = Gate::new();
    let (world, tokens) = world([Step::new().say("one ").wait(&gate).say("two")]);
    tokens.set("eve later", &[Power::Observe, Power::Drive]);
    let mut ann = join(&world, "ann").await;
    let mut eve = join(&world, "eve looks").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    eve.until("agent:delta").await;
    assert_eq!(eve.call("auth:refresh", json!({"token": "eve later"})).await["ok"], true);
    gate.open();
    assert_eq!(eve.until("agent:response").await.payload, "one two");
    ann.until("turn:completed").await;
    eve.until("turn:completed").await;
    assert_eq!(eve.logged(), ann.logged());
}

/// Covers: S2-2
#[tokio::test]
async fn recheck_ends_connections_whose_token_is_revoked() {
    let gate = Gate::new();
    let (world, tokens) = world([Step::new().say("canary one ").wait(&gate).say("canary two")]);
    let mut ann = join(&world, "ann").await;
    let mut eve = join(&world, "eve looks").await;
    let mut idle = world.connect("sessionId=s2", json!({"token": "eve drives"})).await;
    idle.until("system:ready").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    eve.until("agent:delta").await;
    tokens.remove("eve looks");
    tokens.remove("eve drives");
    world.gateway.recheck()();
    gate.open();
    assert_eq!(ended(&mut eve).await, "unauthenticated");
    // Also where nothing happens, and in a session of her own.
    assert_eq!(ended(&mut idle).await, "unauthenticated");
    ann.until("turn:completed").await;
    assert!(saw(&ann, "canary two") && !saw(&eve, "canary two"));
}

/// Covers: S2-2
#[tokio::test]
async fn recheck_applies_fewer_powers_to_the_next_command() {
    let steps = [Step::calls([("box__echo", json!({"say": "canary"}))]), Step::text("Done.")];
    let (world, tokens) = world(steps);
    let mut ann = join(&world, "ann").await;
    let mut sam = join(&world, "sam").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    let call = sam.until("tool:approval_required").await.payload["callId"].clone();
    tokens.set("sam", &[Power::Observe]);
    tokens.set("ann", &[Power::Drive]);
    world.gateway.recheck()();
    for client in [&mut sam, &mut ann] {
        let answer = client.call("tool:approval", json!({"callId": call, "approved": true})).await;
        assert_eq!(answer["code"], "forbidden");
    }
    assert_eq!(sam.call("history:get", json!({})).await["ok"], true, "looking is still allowed");
    assert_eq!(ann.call("turn:cancel", Value::Null).await["ok"], true);
    ann.until("turn:completed").await;
    sam.until("turn:completed").await;
    assert_eq!(sam.logged(), ann.logged());
}

/// Covers: S2-2
#[tokio::test]
async fn recheck_shows_no_approval_to_a_former_approver() {
    let gate = Gate::new();
    let steps = [Step::new().wait(&gate).call("box__echo", json!({"say": "canary"}))];
    let (world, tokens) = world(steps);
    let mut ann = join(&world, "ann").await;
    let mut sam = join(&world, "sam").await;
    assert_eq!(ann.call("message", json!("go")).await["ok"], true);
    gate.reached().await;
    tokens.set("sam", &[Power::Drive]);
    world.gateway.recheck()();
    gate.open();
    assert_eq!(ended(&mut sam).await, "forbidden");
    ann.until("tool:approval_required").await;
    assert!(!saw(&sam, "canary"));
}
