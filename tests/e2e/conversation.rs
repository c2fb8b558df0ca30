use crate::{
    case::{Case, Ground, cases},
    script::{calls, quote, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Event};
use serde_json::{Value, json};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_turn_with_a_tool_goes_from_message_to_answer;
        a_chain_of_calls_takes_a_step_for_each;
        several_calls_at_once_each_get_a_result;
        a_message_sent_before_ready_is_not_lost;
        messages_queue_while_a_turn_runs_and_too_many_are_refused;
        a_cancelled_turn_ends_once_and_its_calls_have_results;
        the_history_can_be_read_and_emptied;
        an_ended_session_keeps_its_history_and_gets_a_new_sandbox;
        a_failing_tool_is_a_result_and_the_turn_goes_on;
        a_failing_provider_ends_the_turn_with_a_code;
    ]
}

async fn a_turn_with_a_tool_goes_from_message_to_answer(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    ensure!(!client.session().is_empty(), "no session id: {}", client.ready);
    for key in ["containerId", "provider", "model", "tools", "protocol", "resumed", "pending"] {
        ensure!(client.ready.get(key).is_some(), "system:ready lacks {key}: {}", client.ready);
    }
    client.say(&script(&[run("echo out-of-the-sandbox"), quote()])).await?;
    let events = client.approve_all().await?;
    in_order(
        &events,
        &["agent:thinking", "tool:approval_required", "tool:output", "agent:response", "turn:completed"],
    )?;
    let output = find(&events, "tool:output")?;
    ensure!(output.text().contains("out-of-the-sandbox"), "{output:?}");
    serde_json::from_str::<Value>(output.text()).context("tool:output is the JSON of the result's content")?;
    let answer = find(&events, "agent:response")?;
    ensure!(answer.text().contains("out-of-the-sandbox"), "{answer:?}");
    ensure!(find(&events, "turn:completed")?.payload["stopReason"] == "end_turn");
    Ok(())
}

async fn a_chain_of_calls_takes_a_step_for_each(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let steps = [run("echo first > a"), run("cat a; echo second >> a"), run("cat a"), quote()];
    client.say(&script(&steps)).await?;
    let events = client.approve_all().await?;
    let outputs: Vec<_> = named(&events, "tool:output").collect();
    ensure!(outputs.len() == 3, "{} outputs", outputs.len());
    ensure!(outputs[2].text().contains("first") && outputs[2].text().contains("second"), "{:?}", outputs[2]);
    Ok(())
}

async fn several_calls_at_once_each_get_a_result(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let commands: Vec<_> =
        (0..5).map(|n| ("execute_command", json!({ "command": format!("echo result-{n}") }))).collect();
    client.say(&script(&[calls(&commands), quote()])).await?;
    let events = client.approve_all().await?;
    let together = find(&events, "tool:calls")?;
    ensure!(together.payload.as_array().is_some_and(|calls| calls.len() == 5), "{together:?}");
    for n in 0..5 {
        let call = together.payload[n]["callId"].as_str().context("a call without an id")?;
        let output = events.iter().find(|event| event.name == "tool:output" && event.call() == Some(call));
        let output = output.with_context(|| format!("call {n} has no output"))?;
        ensure!(output.text().contains(&format!("result-{n}")), "call {n} has another's result: {output:?}");
    }
    let places: Vec<_> = named(&events, "tool:approval_required").map(|e| e.payload["totalInQueue"].clone()).collect();
    ensure!(places.len() == 5, "every call is asked for, one at a time: {places:?}");
    Ok(())
}

async fn a_message_sent_before_ready_is_not_lost(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open_raw().await?;
    let ack = client.call("message", script(&[json!({ "text": "here it is" })])).await?;
    if ack["ok"] == true {
        ensure!(client.until("agent:response").await?.text() == "here it is");
    } else {
        ensure!(ack["code"].is_string(), "a refusal has a code: {ack}");
    }
    Ok(())
}

async fn messages_queue_while_a_turn_runs_and_too_many_are_refused(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("true")])).await?;
    let waiting = client.until("tool:approval_required").await?;
    let mut accepted = 0;
    let refusal = loop {
        let ack = client.call("message", script(&[json!({ "text": format!("answer {accepted}") })])).await?;
        if ack["ok"] != true {
            break ack;
        }
        accepted += 1;
        ensure!(accepted < 50, "the queue has no bound");
    };
    ensure!(refusal["code"] == "busy" && accepted == 4, "{accepted} accepted, then {refusal}");
    client.approve(waiting.call().context("no call")?, true).await?;
    client.until("agent:response").await?;
    for n in 0..accepted {
        let answer = client.until("agent:response").await?;
        ensure!(answer.text() == format!("answer {n}"), "out of order: {answer:?} for {n}");
    }
    Ok(())
}

async fn a_cancelled_turn_ends_once_and_its_calls_have_results(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let both = calls(&[
        ("execute_command", json!({ "command": "sleep 60" })),
        ("execute_command", json!({ "command": "echo never" })),
    ]);
    client.say(&script(&[both, json!({ "text": "not reached" })])).await?;
    let first = client.until("tool:approval_required").await?;
    client.approve(first.call().context("no call")?, true).await?;
    client.until("tool:started").await?;
    let ack = client.call_bare("turn:cancel").await?;
    ensure!(ack["ok"] == true, "{ack}");
    let end = client.until("turn:completed").await?;
    ensure!(end.payload["stopReason"] == "cancelled", "{end:?}");
    let results = client.journal().iter().filter(|e| matches!(e.name.as_str(), "tool:output" | "tool:error")).count();
    ensure!(results == 2, "two calls, {results} results");
    ensure!(client.call_bare("turn:cancel").await?["code"] == "nothing_running");
    client.say(&script(&[json!({ "text": "the session goes on" })])).await?;
    ensure!(client.until("agent:response").await?.text() == "the session goes on");
    Ok(())
}

async fn the_history_can_be_read_and_emptied(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[json!({ "text": "a remarkable answer" })])).await?;
    client.until("turn:completed").await?;
    let before = client.call_ok("history:get", json!({})).await?;
    ensure!(before.to_string().contains("a remarkable answer"), "{before}");
    let ack = client.call_bare("history:reset").await?;
    ensure!(ack["ok"] == true, "{ack}");
    client.until("system:message").await?;
    let after = client.call_ok("history:get", json!({})).await?;
    ensure!(!after.to_string().contains("a remarkable answer"), "{after}");
    Ok(())
}

async fn an_ended_session_keeps_its_history_and_gets_a_new_sandbox(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo here > mark"), json!({ "text": "kept in the history" })])).await?;
    client.approve_all().await?;
    let first_sandbox = client.ready["containerId"].clone();
    let session = client.session().to_owned();
    ensure!(client.call_bare("session:end").await?["ok"] == true);
    let mut again = server.connect().session(&session).open().await?;
    ensure!(again.ready["containerId"] != first_sandbox, "the sandbox was to go: {}", again.ready);
    let history = again.call_ok("history:get", json!({})).await?;
    ensure!(history.to_string().contains("kept in the history"), "{history}");
    again.say(&script(&[run("ls -A | wc -l")])).await?;
    let events = again.approve_all().await?;
    ensure!(stdout(find(&events, "tool:output")?).contains('0'), "the new sandbox is not empty: {events:?}");
    Ok(())
}

async fn a_failing_tool_is_a_result_and_the_turn_goes_on(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let missing = calls(&[("read_file", json!({ "path": "is-not-there" }))]);
    let unknown = calls(&[("no_such_tool", json!({}))]);
    client.say(&script(&[missing, unknown, quote()])).await?;
    let events = client.approve_all().await?;
    let errors: Vec<_> = named(&events, "tool:error").map(|event| event.payload["code"].clone()).collect();
    ensure!(errors == [json!("tool_failed"), json!("unknown_tool")], "{errors:?}");
    ensure!(find(&events, "agent:response")?.text().contains("The results:"));
    Ok(())
}

async fn a_failing_provider_ends_the_turn_with_a_code(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    for (kind, code) in [("authentication", "provider_authentication"), ("bad_request", "provider_bad_request")] {
        client.say(&script(&[json!({ "error": kind })])).await?;
        let error = client.until("agent:error").await?;
        ensure!(error.payload["code"] == code, "{error:?}");
        let end = client.until("turn:completed").await?;
        ensure!(end.payload["stopReason"] == "error", "{end:?}");
    }
    say_and_hear(&mut client, "still there").await
}

async fn say_and_hear(client: &mut Client, text: &str) -> Result<()> {
    client.say(&script(&[json!({ "text": text })])).await?;
    ensure!(client.until("agent:response").await?.text() == text);
    Ok(())
}

/// The first event of this name.
pub(crate) fn find<'a>(events: &'a [Event], name: &str) -> Result<&'a Event> {
    named(events, name).next().with_context(|| format!("no {name} among {:?}", names(events)))
}

/// All events of this name.
pub(crate) fn named<'a>(events: &'a [Event], name: &str) -> impl Iterator<Item = &'a Event> {
    events.iter().filter(move |event| event.name == name)
}

/// What a command wrote, out of its `tool:output`.
pub(crate) fn stdout(output: &Event) -> String {
    let content: Value = serde_json::from_str(output.text()).unwrap_or_default();
    content.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect()
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// That events of these names come in this order, whatever stands between them.
fn in_order(events: &[Event], wanted: &[&str]) -> Result<()> {
    let mut names = names(events).into_iter();
    for name in wanted {
        ensure!(names.any(|found| found == *name), "no {name} in its place among {:?}", self::names(events));
    }
    Ok(())
}
