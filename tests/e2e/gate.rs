mod bound;

use crate::{
    case::{Case, Ground, cases},
    conversation::{find, named, stdout},
    script::{calls, quote, run, script},
};
use anyhow::{Context, Result, ensure};
use bound::{
    answer_without_digest_is_to_the_shown_question, numbers_run_as_they_are_shown,
    session_grant_covers_no_other_command,
};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_denials_reason_reaches_the_model_and_nothing_runs;
        denying_all_calls_still_ends_the_turn_with_an_answer;
        an_approval_runs_a_call_once_however_often_it_comes;
        a_call_that_was_denied_cannot_be_approved_afterwards;
        calls_can_be_answered_in_any_order;
        edited_arguments_run_instead_of_the_models;
        edits_that_do_not_fit_the_schema_are_refused_and_the_call_waits_on;
        an_approval_for_the_session_is_asked_once;
        session_grant_covers_no_other_command;
        answer_without_digest_is_to_the_shown_question;
        numbers_run_as_they_are_shown;
        an_unanswered_call_expires_as_a_refusal;
        an_approval_for_another_sessions_call_is_unknown;
    ]
}

async fn a_denials_reason_reaches_the_model_and_nothing_runs(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo ran > mark"), quote()])).await?;
    let asked = client.until("tool:approval_required").await?;
    let answer = json!({ "callId": asked.call(), "approved": false, "reason": "not on a Sunday" });
    client.call_ok("tool:approval", answer).await?;
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(
        resolved.payload["decision"] == "denied" && resolved.payload["reason"] == "not on a Sunday",
        "{resolved:?}"
    );
    let said = client.until("agent:response").await?;
    ensure!(said.text().contains("not on a Sunday"), "the model did not hear why: {said:?}");
    client.until("turn:completed").await?;
    ensure!(!client.journal().iter().any(|event| event.name == "tool:started"), "a denied call was started");
    client.say(&script(&[run("ls -A")])).await?;
    let events = client.approve_all().await?;
    ensure!(!stdout(find(&events, "tool:output")?).contains("mark"), "a denied call ran");
    Ok(())
}

async fn denying_all_calls_still_ends_the_turn_with_an_answer(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let three: Vec<_> = (0..3).map(|n| ("write_file", json!({ "path": format!("{n}"), "content": "" }))).collect();
    client.say(&script(&[calls(&three), json!({ "text": "then not" })])).await?;
    for _ in 0..3 {
        let asked = client.until("tool:approval_required").await?;
        client.approve(asked.call().context("no call")?, false).await?;
    }
    ensure!(client.until("agent:response").await?.text() == "then not");
    ensure!(client.until("turn:completed").await?.payload["toolCalls"] == 3);
    Ok(())
}

async fn an_approval_runs_a_call_once_however_often_it_comes(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo once >> count"), run("wc -l < count")])).await?;
    let asked = client.until("tool:approval_required").await?;
    let call = asked.call().context("no call")?.to_owned();
    client.approve(&call, true).await?;
    for _ in 0..5 {
        let ack = client.call("tool:approval", json!({ "callId": call, "approved": true })).await?;
        ensure!(ack["ok"] != true && ack["code"] == "already_resolved", "{ack}");
    }
    let events = client.approve_all().await?;
    let outputs: Vec<_> = named(&events, "tool:output").map(stdout).collect();
    ensure!(outputs.last().is_some_and(|last| last.contains('1')), "it ran more than once: {outputs:?}");
    let started = client.journal().iter().filter(|e| e.name == "tool:started" && e.call() == Some(&call)).count();
    ensure!(started == 1, "started {started} times");
    Ok(())
}

async fn a_call_that_was_denied_cannot_be_approved_afterwards(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo ran > mark"), run("ls -A")])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    client.approve(&call, false).await?;
    let ack = client.call("tool:approval", json!({ "callId": call, "approved": true })).await?;
    ensure!(ack["code"] == "already_resolved", "{ack}");
    let events = client.approve_all().await?;
    ensure!(!stdout(find(&events, "tool:output")?).contains("mark"), "a denied call ran");
    Ok(())
}

async fn calls_can_be_answered_in_any_order(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let three: Vec<_> = (0..3).map(|n| ("execute_command", json!({ "command": format!("echo {n}") }))).collect();
    client.say(&script(&[calls(&three), quote()])).await?;
    let together = client.until("tool:calls").await?;
    for n in [2, 0, 1] {
        client.approve(together.payload[n]["callId"].as_str().context("no call")?, true).await?;
    }
    client.until("turn:completed").await?;
    let outputs = client.journal().iter().filter(|event| event.name == "tool:output").count();
    ensure!(outputs == 3, "{outputs} outputs");
    Ok(())
}

async fn edited_arguments_run_instead_of_the_models(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo the-models"), quote()])).await?;
    let asked = client.until("tool:approval_required").await?;
    let edited = json!({ "callId": asked.call(), "approved": true, "args": { "command": "echo the-humans" } });
    client.call_ok("tool:approval", edited).await?;
    let output = client.until("tool:output").await?;
    ensure!(stdout(&output).contains("the-humans") && !stdout(&output).contains("the-models"), "{output:?}");
    Ok(())
}

async fn edits_that_do_not_fit_the_schema_are_refused_and_the_call_waits_on(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo fine")])).await?;
    let asked = client.until("tool:approval_required").await?;
    for args in [json!({ "command": 7 }), json!({}), json!("echo"), json!({ "command": "x", "more": 1 })] {
        let edited = json!({ "callId": asked.call(), "approved": true, "args": args });
        let ack = client.call("tool:approval", edited).await?;
        ensure!(ack["ok"] == false && ack["code"].is_string(), "{args} was not refused: {ack}");
    }
    client.approve(asked.call().context("no call")?, true).await?;
    ensure!(stdout(&client.until("tool:output").await?).contains("fine"));
    Ok(())
}

async fn an_approval_for_the_session_is_asked_once(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let reads = [calls(&[("list_files", json!({}))]), calls(&[("list_files", json!({}))]), run("true")];
    client.say(&script(&reads)).await?;
    let asked = client.until("tool:approval_required").await?;
    client.call_ok("tool:approval", json!({ "callId": asked.call(), "approved": true, "scope": "session" })).await?;
    let next = client.until("tool:approval_required").await?;
    ensure!(next.payload["name"].as_str().is_some_and(|name| name.contains("execute_command")), "{next:?}");
    let listed = client.journal().iter().filter(|event| event.name == "tool:output").count();
    ensure!(listed == 2, "the second listing was to run by itself: {listed}");
    let session = client.session().to_owned();
    client.approve(next.call().context("no call")?, true).await?;
    client.until("turn:completed").await?;
    let mut other = server.connect().open().await?;
    ensure!(other.session() != session);
    other.say(&script(&[calls(&[("list_files", json!({}))])])).await?;
    other.until("tool:approval_required").await.context("the grant reached another session")?;
    Ok(())
}

async fn an_unanswered_call_expires_as_a_refusal(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("session.approval_ttl_secs = 1").start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo ran"), quote()])).await?;
    let asked = client.until("tool:approval_required").await?;
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["decision"] == "expired", "{resolved:?}");
    client.until("turn:completed").await?;
    let late = client.call("tool:approval", json!({ "callId": asked.call(), "approved": true })).await?;
    ensure!(late["ok"] == false, "{late}");
    ensure!(!client.journal().iter().any(|event| event.name == "tool:started"), "an expired call was started");
    Ok(())
}

async fn an_approval_for_another_sessions_call_is_unknown(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let (mut one, mut other) = (server.connect().open().await?, server.connect().open().await?);
    one.say(&script(&[run("true"), run("true")])).await?;
    one.until("tool:approval_required").await?;
    let ack = other.call("tool:approval", json!({ "callId": "call_1_0_0", "approved": true })).await?;
    ensure!(ack["ok"] == false && ack["code"] == "unknown_call", "{ack}");
    Ok(())
}
