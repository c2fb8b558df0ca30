//! MCP servers that attack the server that started them, while another session goes on: their schemas here, their names and answers
//! in `answers`, and all of it beside another user's session in `beside`.

mod answers;
mod beside;
mod program;

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{calls, run, script},
};
use answers::{
    answers_in_wrong_shapes_fail_their_own_call, lists_that_keep_changing_offer_no_unseen_tool,
    names_that_read_as_others_are_left_out,
};
use anyhow::{Context as _, Result, ensure};
use beside::another_users_session_goes_on_beside_a_hostile_server;
use futures::future::{join, join_all};
use lockkeeper_tests::Client;
use program::{Hostile, tool};
use serde_json::{Value, json};
use std::{
    rc::Rc,
    time::{Duration, Instant},
};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        schemas_over_budget_are_left_out_with_a_reason;
        a_costly_check_is_refused_while_others_go_on;
        names_that_read_as_others_are_left_out;
        answers_in_wrong_shapes_fail_their_own_call;
        lists_that_keep_changing_offer_no_unseen_tool;
        another_users_session_goes_on_beside_a_hostile_server;
    ]
}

/// `levels` definitions, each made of references to the next, and one that takes anything.
fn doubled(levels: usize, level: impl Fn(&Value) -> Value) -> Value {
    let mut defs: serde_json::Map<_, _> =
        (0..levels).map(|at| (format!("a{at}"), level(&json!({ "$ref": format!("#/$defs/a{}", at + 1) })))).collect();
    defs.insert(format!("a{levels}"), json!({ "type": "string" }));
    json!({ "type": "object", "$defs": defs, "properties": { "x": { "$ref": "#/$defs/a0" } } })
}

fn hostile_tools() -> Vec<Value> {
    let deep = (0..50).fold(json!({}), |inner, _| json!({ "not": inner }));
    let patterns: serde_json::Map<_, _> =
        (0..200).map(|at| (format!("p{at}"), json!({ "pattern": format!("^(a|a?)+{at}$") }))).collect();
    vec![
        tool("all_of", &doubled(40, |next| json!({ "allOf": [next, next] }))),
        tool("any_of", &doubled(24, |next| json!({ "anyOf": [next, next] }))),
        tool("if_then", &doubled(40, |next| json!({ "if": next, "then": next, "else": next }))),
        tool("properties", &doubled(40, |next| json!({ "properties": { "a": next, "b": next } }))),
        tool("dependent", &doubled(40, |next| json!({ "dependentSchemas": { "a": next, "b": next } }))),
        tool("recursive", &json!({ "properties": { "x": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } } })),
        tool("endless", &json!({ "type": "object", "allOf": [{ "$ref": "#" }] })),
        tool("remote", &json!({ "$ref": "http://127.0.0.1:1/schema" })),
        tool("backward", &json!({ "not": { "pattern": "^(.+)\\1$" } })),
        tool("patterns", &json!({ "properties": patterns })),
        tool(
            "deep",
            &json!({ "properties": { "x": deep }, "$defs": doubled(200, |next| json!({ "allOf": [next] })), "$ref": "#/$defs/$defs/a0" }),
        ),
        tool("large", &json!({ "type": "object", "required": (0..13_500).collect::<Vec<_>>() })),
    ]
}

/// Covers: S1-1
async fn schemas_over_budget_are_left_out_with_a_reason(ground: Rc<Ground>) -> Result<()> {
    let mut tools = hostile_tools();
    tools.push(program::plain("good"));
    let server = Hostile::with(tools).start(&ground).await?;
    let mut client = server.connect().open().await?;
    let told = client.until_matching("left-out tools", |event| event.payload["leftOut"].is_array()).await?;
    ensure!(
        told.name == "mcp:status" && told.payload["server"] == "hostile" && told.payload["state"] == "up",
        "{told:?}"
    );
    let left_out = told.payload["leftOut"].as_array().context("no list")?;
    for hostile in hostile_tools() {
        let reason = left_out.iter().find(|left_out| left_out["tool"] == hostile["name"]);
        let reason = reason.and_then(|left_out| left_out["reason"].as_str());
        ensure!(reason.is_some_and(|reason| reason.contains("its input schema")), "{}: {reason:?}", hostile["name"]);
    }
    let steps = [calls(&[("all_of", json!({ "x": "y" }))]), calls(&[("good", json!({}))]), json!({ "text": "over" })];
    client.say(&script(&steps)).await?;
    let refused = client.until("tool:error").await?;
    ensure!(refused.payload["code"] == "unknown_tool", "{refused:?}");
    ensure!(stdout(&client.until("tool:output").await?).contains("it ran"));
    client.until("turn:completed").await?;
    ensure!(ground.setup().log().contains("its input schema expands to more than"), "the log does not name them");
    Ok(())
}

/// A schema within its budget.
fn costly() -> Value {
    let many: Vec<_> = (0..1_000).map(|at| json!({ "type": "string", "const": at })).collect();
    tool("costly", &json!({ "type": "object", "properties": { "x": { "items": { "anyOf": many } } } }))
}

/// Five million pairs for [`costly`].
fn costly_arguments() -> Value {
    json!({ "x": vec![-1; 5_000] })
}

/// Arguments that cost too much for a schema within its budget; many of them at once, from two sessions.
///
/// Covers: S1-1
async fn a_costly_check_is_refused_while_others_go_on(ground: Rc<Ground>) -> Result<()> {
    let server = Hostile::with(vec![costly()]).start(&ground).await?;
    let mut attackers = [server.connect().open().await?, server.connect().open().await?];
    let mut other = server.connect().open().await?;
    let attack = calls(&[("costly", costly_arguments()), ("costly", costly_arguments())]);
    let attacking = async {
        join_all(attackers.iter_mut().map(|client| async {
            client.say(&script(&[attack.clone(), json!({ "text": "over" })])).await?;
            let refused = client.until("tool:error").await?;
            ensure!(refused.payload["code"] == "invalid_arguments", "{refused:?}");
            ensure!(
                refused.payload["message"]
                    .as_str()
                    .is_some_and(|said| said.contains("too long") || said.contains("within"))
            );
            client.until("turn:completed").await.map(drop)
        }))
        .await
    };
    let beside = async {
        ensure!(server.get("/healthz", &[]).await?.0 == 200);
        turn(&mut other).await
    };
    let (attacked, beside) = join(attacking, beside).await;
    attacked.into_iter().collect::<Result<()>>()?;
    beside.map(drop)
}

/// A turn with a call; gives how long its acknowledgement took.
async fn turn(client: &mut Client) -> Result<Duration> {
    let started = Instant::now();
    client.say(&script(&[run("echo well"), json!({ "text": "over" })])).await?;
    let acknowledged = started.elapsed();
    ensure!(stdout(&client.until("tool:output").await?).contains("well"));
    client.until("turn:completed").await?;
    Ok(acknowledged)
}
