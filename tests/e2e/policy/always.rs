//! Approvals for always: the rule that is shown is stored, listed, revoked, and nobody else's.

use super::gate;
use crate::{
    case::Ground,
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Event};
use serde_json::{Value, json};
use std::rc::Rc;

const USERS: &str = "
    [auth]
    mode = 'static'
    tokens.alice = 'alice-token-5f1c9a2e7b6d4f30'
    tokens.bob = 'bob-token-91e0c4d8a3b27f65'";
const ALICE: &str = "alice-token-5f1c9a2e7b6d4f30";
const BOB: &str = "bob-token-91e0c4d8a3b27f65";

/// The question for the first call of these.
async fn question(client: &mut Client, tool: &str, args: Value) -> Result<Event> {
    client.say(&script(&[calls(&[(tool, args)]), json!({ "text": "over" })])).await?;
    client.until("tool:approval_required").await
}

fn always(asked: &Event) -> Value {
    json!({ "callId": asked.call(), "approved": true, "scope": "always" })
}

pub(super) async fn a_rule_for_always_is_shown_stored_listed_and_revoked(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(USERS).start().await?;
    let mut client = server.connect().auth("token", ALICE).open().await?;
    let asked = question(&mut client, "list_files", json!({})).await?;
    let rule = asked.payload["alwaysRule"].clone();
    ensure!(rule["tool"] == "list_files" && rule["user"] == "alice" && rule["decision"] == "allow", "{rule}");
    ensure!(rule["fingerprint"].as_str().is_some_and(|hash| !hash.is_empty()), "{rule}");
    let id = client.call_ok("tool:approval", always(&asked)).await?["ruleId"].clone();
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["scope"] == "always" && resolved.payload["ruleId"] == id, "{resolved:?}");
    client.until("turn:completed").await?;

    let setup = server.crash().await?;
    let server = setup.start().await?;
    let mut client = server.connect().auth("token", ALICE).open().await?;
    let outcome = gate(&mut client, "list_files", json!({ "path": "." })).await?;
    ensure!(outcome.did == "run" && outcome.why.contains(id.as_str().context("no id")?), "{outcome:?}");
    let listed = client.call_bare("policy:list").await?;
    ensure!(listed["ok"] == true && listed["rules"][0]["id"] == id && listed["rules"][0]["rule"] == rule, "{listed}");
    ensure!(listed["rules"][0]["createdAt"].is_string() && listed["fileRules"] == json!([]), "{listed}");

    let mut bob = server.connect().auth("token", BOB).open().await?;
    ensure!(gate(&mut bob, "list_files", json!({})).await?.did == "ask", "the rule is alice's");
    ensure!(bob.call_bare("policy:list").await?["rules"] == json!([]));
    let foreign = bob.call("policy:revoke", json!({ "id": id })).await?;
    ensure!(foreign["ok"] == false && foreign["code"] == "unknown_rule", "{foreign}");

    let watching = server.connect().auth("token", ALICE).auth("role", "observer").session(client.session());
    let watched = watching.open().await?.call("policy:revoke", json!({ "id": id })).await?;
    ensure!(watched["code"] == "forbidden", "{watched}");
    client.call_ok("policy:revoke", json!({ "id": id })).await?;
    ensure!(gate(&mut client, "list_files", json!({})).await?.did == "ask", "a revoked rule lets nothing run");
    ensure!(client.call_bare("policy:list").await?["rules"] == json!([]));
    Ok(())
}

pub(super) async fn always_is_not_offered_for_what_may_do_harm_or_was_denied(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
    let asked = client.until("tool:approval_required").await?;
    ensure!(asked.payload["alwaysRule"].is_null(), "{asked:?}");
    let ack = client.call("tool:approval", always(&asked)).await?;
    ensure!(ack["ok"] == false && ack["code"] == "scope_unavailable", "{ack}");
    client.approve(asked.call().context("no call")?, false).await?;
    client.until("turn:completed").await?;
    let asked = question(&mut client, "read_file", json!({ "path": "AKIAIOSFODNN7EXAMPLE" })).await?;
    ensure!(asked.payload["alwaysRule"].is_null(), "a secret is in its arguments: {asked:?}");
    client.approve(asked.call().context("no call")?, false).await?;
    client.until("turn:completed").await?;
    let asked = question(&mut client, "read_file", json!({ "path": "notes/a" })).await?;
    ensure!(asked.payload["alwaysRule"].is_null(), "the rule would cover the denied call: {asked:?}");
    client.approve(asked.call().context("no call")?, true).await?;
    client.until("turn:completed").await?;

    let mut other = server.connect().open().await?;
    let asked = question(&mut other, "read_file", json!({ "path": "notes/a" })).await?;
    let ack = other.call("tool:approval", always(&asked)).await?;
    ensure!(ack["code"] == "scope_unavailable", "it was denied in another session: {ack}");
    let mut narrow = always(&asked);
    narrow["constraints"] = json!({ "path": { "within": "other" } });
    let ack = other.call("tool:approval", narrow.clone()).await?;
    ensure!(ack["code"] == "invalid_payload", "it does not cover the call: {ack}");
    narrow["constraints"] = json!({ "path": { "within": "notes" } });
    other.call_ok("tool:approval", narrow).await?;
    other.until("turn:completed").await?;
    ensure!(gate(&mut other, "read_file", json!({ "path": "notes/b" })).await?.did == "run");
    ensure!(gate(&mut other, "read_file", json!({ "path": "b" })).await?.did == "ask");
    Ok(())
}
