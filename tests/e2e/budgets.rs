//! What users may spend: counted in the store, for all servers that share it, whatever becomes of them.

use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Server};
use serde_json::{Value, json};
use std::{fs, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    let alone = cases![
        what_was_spent_is_told_and_outlives_a_kill_9;
        a_turn_over_its_budget_ends_with_a_code_and_a_hint;
        a_human_lets_a_turn_over_its_budget_go_on;
    ];
    let shared = cases![a_budget_holds_under_concurrent_turns_of_two_servers_and_after_a_kill_9;];
    alone.into_iter().chain(shared.into_iter().map(Case::on_redis)).collect()
}

const ALLOW: &str = "policy.rules = [{ decision = 'allow' }]";

/// An answer that says what it cost.
fn costs(input: u64, output: u64) -> Value {
    json!({ "text": "said", "usage": { "inputTokens": input, "outputTokens": output } })
}

async fn usage(client: &mut Client) -> Result<Value> {
    let usage = client.call_bare("usage:get").await?;
    ensure!(usage["ok"] == true, "{usage}");
    Ok(usage)
}

async fn what_was_spent_is_told_and_outlives_a_kill_9(ground: Rc<Ground>) -> Result<()> {
    let limits = "session.budgets.day.max_tokens = 1000000\nsession.budgets.session.max_wall_secs = 3600";
    let server = ground.setup().config(ALLOW).config(limits).start().await?;
    let mut client = server.connect().session("spent").open().await?;
    let before = usage(&mut client).await?;
    ensure!(before["session"]["tokens"] == 0 && before["day"]["toolCalls"] == 0, "{before}");
    ensure!(before["limits"]["day"]["tokens"] == 1_000_000 && before["limits"]["onExceeded"] == "stop", "{before}");
    ensure!(before["limits"]["session"] == json!({ "wallMs": 3_600_000 }), "{before}");
    client.say(&script(&[run("true"), costs(70, 30)])).await?;
    client.until("turn:completed").await?;
    client.say(&script(&[costs(7, 3)])).await?;
    client.until("turn:completed").await?;
    let after = usage(&mut client).await?;
    let tokens = after["session"]["tokens"].as_u64().context("a number")?;
    ensure!(tokens > 110, "the step with the call costs as well: {after}");
    ensure!(after["session"]["toolCalls"] == 1 && after["session"]["wallMs"].as_u64() > Some(0), "{after}");
    ensure!(after["day"]["date"].as_str().is_some_and(|date| date.len() == 10), "{after}");
    for which in ["session", "day"] {
        ensure!(after[which]["held"] == json!({ "tokens": 0, "toolCalls": 0, "wallMs": 0 }), "{after}");
    }
    // Another session of the same user shares its day, and not its session.
    let mut other = server.connect().session("other").open().await?;
    let shared = usage(&mut other).await?;
    ensure!(shared["session"]["tokens"] == 0 && shared["day"]["tokens"] == tokens, "{shared}");
    let setup = server.crash().await?;
    let server = setup.start().await?;
    let mut back = server.connect().session("spent").open().await?;
    let back = usage(&mut back).await?;
    ensure!(back["session"]["tokens"] == tokens && back["session"]["toolCalls"] == 1, "{back}");
    // Midnight may have come between.
    if back["day"]["date"] == after["day"]["date"] {
        ensure!(back["day"]["tokens"] == tokens, "{back}");
    }
    Ok(())
}

async fn a_turn_over_its_budget_ends_with_a_code_and_a_hint(ground: Rc<Ground>) -> Result<()> {
    let limits = "session.budgets.session.max_tool_calls = 2";
    let server = ground.setup().config(ALLOW).config(limits).start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo 1"), run("echo 2"), run("echo 3 > third"), costs(1, 1)])).await?;
    let refused = client.until("tool:error").await?;
    ensure!(refused.payload["code"] == "budget_exceeded", "{refused:?}");
    let error = client.until("agent:error").await?;
    ensure!(error.payload["code"] == "budget_exceeded" && error.payload["hint"].is_string(), "{error:?}");
    ensure!(error.payload["retryable"] == false, "{error:?}");
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "error");
    let outputs = client.journal().iter().filter(|event| event.name == "tool:output").count();
    ensure!(outputs == 2, "{outputs} calls ran");
    // Words cost no calls.
    client.say(&script(&[costs(1, 1)])).await?;
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "end_turn");
    Ok(())
}

async fn a_human_lets_a_turn_over_its_budget_go_on(ground: Rc<Ground>) -> Result<()> {
    let limits = "session.budgets.session.max_tool_calls = 1\nsession.budgets.on_exceeded = 'ask'";
    let server = ground.setup().config(ALLOW).config(limits).start().await?;
    let mut client = server.connect().session("asked").open().await?;
    let steps = script(&[run("echo 1"), run("echo 2"), run("echo 3"), costs(1, 1)]);
    client.say(&steps).await?;
    let asked = client.until("budget:asked").await?;
    ensure!(asked.payload["of"] == "session" && asked.payload["measure"] == "toolCalls", "{asked:?}");
    ensure!(asked.payload["limit"] == 1 && asked.payload["expiresAt"].is_string() && asked.id().is_some(), "{asked:?}");
    // A client that comes now is asked as well, and an observer has no say.
    let mut late = server.connect().session("asked").auth("role", "observer").open().await?;
    let snapshot = late.until("history:snapshot").await?;
    ensure!(snapshot.payload["budget"]["measure"] == "toolCalls", "{snapshot:?}");
    ensure!(late.call("budget:answer", json!({ "goOn": true })).await?["code"] == "forbidden");
    ensure!(client.call("budget:answer", json!({ "goOn": "yes" })).await?["code"] == "invalid_payload");
    let other = json!({ "goOn": true, "question": "another" });
    ensure!(client.call("budget:answer", other).await?["code"] == "already_resolved");
    let named = json!({ "goOn": true, "question": asked.payload["question"] });
    client.call_ok("budget:answer", named.clone()).await?;
    let answered = late.until("budget:answered").await?;
    ensure!(answered.payload["goOn"] == true && answered.payload["by"] == "local", "{answered:?}");
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "end_turn");
    ensure!(client.journal().iter().filter(|event| event.name == "tool:output").count() == 3);
    ensure!(client.call("budget:answer", json!({ "goOn": true })).await?["code"] == "already_resolved");
    client.say(&steps).await?;
    client.until("budget:asked").await?;
    // The answer to the question before pays for nothing more; one without a name is to the only open question.
    ensure!(client.call("budget:answer", named).await?["code"] == "already_resolved");
    client.call_ok("budget:answer", json!({ "goOn": false })).await?;
    ensure!(client.until("agent:error").await?.payload["code"] == "budget_exceeded");
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "error");
    Ok(())
}

async fn server(ground: &Ground, name: &str) -> Result<Server> {
    let folder = ground.folder().join(name);
    fs::create_dir_all(&folder)?;
    let settings = "session.lease_secs = 2\nsession.warm_sandboxes = 0\nsession.budgets.day.max_tool_calls = 10";
    let setup = ground.setup().in_folder(&folder).config(ALLOW).config(settings);
    setup.start().await.with_context(|| format!("server {name}"))
}

/// Six sessions of one user at two servers ask for twenty-four calls at once, of a day's ten. A server dies, and the next one counts
/// on.
async fn a_budget_holds_under_concurrent_turns_of_two_servers_and_after_a_kill_9(ground: Rc<Ground>) -> Result<()> {
    let (one, other) = tokio::try_join!(server(&ground, "one"), server(&ground, "other"))?;
    let mut clients = Vec::new();
    for n in 0..6 {
        let server = if n % 2 == 0 { &one } else { &other };
        clients.push(server.connect().session(&format!("budget-{n}")).open().await?);
    }
    let today = usage(&mut clients[0]).await?["day"]["date"].clone();
    let steps = script(&[run("echo 1"), run("echo 2"), run("echo 3"), run("echo 4"), costs(1, 1)]);
    for client in &mut clients {
        client.say(&steps).await?;
    }
    let (mut ran, mut refused) = (0, 0);
    for client in &mut clients {
        client.until("turn:completed").await?;
        ran += client.journal().iter().filter(|event| event.name == "tool:output").count();
        let over = |event: &&lockkeeper_tests::Event| event.payload["code"] == "budget_exceeded";
        refused += client.journal().iter().filter(|event| event.name == "agent:error").filter(over).count();
    }
    if usage(&mut clients[0]).await?["day"]["date"] != today {
        eprintln!("midnight UTC came between: the day began anew");
        return Ok(());
    }
    ensure!(ran == 10, "{ran} calls ran of a budget of 10");
    ensure!(refused >= 3, "{refused} turns ended for want of a budget");
    one.crash().await?;
    let again = server(&ground, "one").await?;
    for (server, session) in [(&other, "budget-0"), (&again, "budget-new")] {
        let mut client = server.connect().session(session).open().await?;
        let told = usage(&mut client).await?;
        ensure!(told["day"]["toolCalls"] == 10 && told["day"]["held"]["toolCalls"] == 0, "{session}: {told}");
        client.say(&steps).await?;
        ensure!(client.until("tool:error").await?.payload["code"] == "budget_exceeded", "{session}");
        client.until("turn:completed").await?;
    }
    Ok(())
}
