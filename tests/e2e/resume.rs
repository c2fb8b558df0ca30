use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{EventId, Oracle};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_connection_dropped_mid_answer_resumes_without_gap_or_repetition;
        a_pending_approval_survives_a_reconnect;
        a_turn_finishes_without_any_client;
        the_same_client_message_id_is_one_message;
        a_client_from_before_the_log_begins_gets_a_snapshot;
        a_session_survives_a_restart_of_the_server;
    ]
}

/// A hundred words, slowly enough to be interrupted.
fn long_answer() -> String {
    let words: Vec<_> = (0..150).map(|n| format!("word-{n}")).collect();
    script(&[json!({ "text": words.join(" "), "delay_ms": 10 })])
}

async fn a_connection_dropped_mid_answer_resumes_without_gap_or_repetition(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut oracle = Oracle::default();
    let mut client = server.connect().open().await?;
    let session = client.session().to_owned();
    client.say(&long_answer()).await?;
    let mut last: Option<EventId> = None;
    let mut connections = 0;
    let answer = loop {
        connections += 1;
        // Two deltas a connection, then it drops without a word.
        let mut pieces = 0;
        let end = loop {
            let event = client.next().await?;
            match event.name.as_str() {
                "agent:delta" => pieces += 1,
                "agent:response" => break Some(event.text().to_owned()),
                _ => {}
            }
            if pieces == 2 {
                break None;
            }
        };
        oracle.saw(last, client.journal());
        last = client.last_id().or(last);
        if let Some(answer) = end {
            break answer;
        }
        let again = server.connect().session(&session).resume_after(last.context("nothing was logged")?);
        drop(client);
        client = again.open().await?;
        ensure!(client.ready["resumed"] == true, "{}", client.ready);
    };
    client.until("turn:completed").await?;
    oracle.saw(last, client.journal().iter().filter(|e| e.id() > last).cloned().collect::<Vec<_>>().as_slice());
    ensure!(connections > 3, "the answer came in {connections} connections: nothing was interrupted");
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    let streamed: String = oracle.log().filter(|event| event.name == "agent:delta").map(delta).collect();
    ensure!(streamed == answer, "the deltas are not the answer:\n{streamed}\n{answer}");
    Ok(())
}

fn delta(event: &lockkeeper_tests::Event) -> &str {
    event.payload["text"].as_str().unwrap_or_default()
}

async fn a_pending_approval_survives_a_reconnect(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let session = client.session().to_owned();
    client.say(&script(&[run("echo still-asked")])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    drop(client);
    // One that knows nothing of resuming is asked again, with the same id.
    let mut plain = server.connect().session(&session).open().await?;
    ensure!(plain.ready["pending"].to_string().contains(&call), "{}", plain.ready);
    let again = plain.until("tool:approval_required").await?;
    ensure!(again.call() == Some(&call), "{again:?}");
    plain.approve(&call, true).await?;
    ensure!(stdout(&plain.until("tool:output").await?).contains("still-asked"));
    Ok(())
}

async fn a_turn_finishes_without_any_client(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let session = client.session().to_owned();
    client.say(&long_answer()).await?;
    client.until("agent:delta").await?;
    let last = client.last_id().context("nothing was logged")?;
    drop(client);
    let mut client = server.connect().session(&session).resume_after(last).open().await?;
    let answer = client.until("agent:response").await?;
    ensure!(answer.text().ends_with("word-149"), "{answer:?}");
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "end_turn");
    Ok(())
}

async fn the_same_client_message_id_is_one_message(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let message = json!({ "text": script(&[json!({ "text": "one answer" })]), "clientMessageId": "m-1" });
    for _ in 0..3 {
        client.call_ok("message", message.clone()).await?;
    }
    client.until("turn:completed").await?;
    client.call_ok("message", message).await?;
    client.call_ok("message", json!({ "text": script(&[json!({ "text": "the end" })]) })).await?;
    client.until_matching("the end", |event| event.text() == "the end").await?;
    let journal = client.journal();
    let count = |name: &str| journal.iter().filter(|event| event.name == name).count();
    ensure!(count("user:message") == 2 && count("agent:response") == 2, "{journal:?}");
    Ok(())
}

async fn a_client_from_before_the_log_begins_gets_a_snapshot(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("session.max_log_events = 100").start().await?;
    let mut client = server.connect().open().await?;
    let session = client.session().to_owned();
    for n in 0..60 {
        client.say(&script(&[json!({ "text": format!("answer {n}") })])).await?;
        client.until("turn:completed").await?;
    }
    let first = client.journal().iter().find_map(lockkeeper_tests::Event::id).context("nothing was logged")?;
    let mut late = server.connect().session(&session).resume_after(first).open().await?;
    let snapshot = late.until("history:snapshot").await?;
    ensure!(snapshot.payload.to_string().contains("answer 59"), "{snapshot:?}");
    late.say(&script(&[json!({ "text": "goes on live" })])).await?;
    late.until_matching("the next answer", |event| event.text() == "goes on live").await?;
    Ok(())
}

async fn a_session_survives_a_restart_of_the_server(ground: Rc<Ground>) -> Result<()> {
    let mut server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let session = client.session().to_owned();
    client.say(&script(&[json!({ "text": "remember me" })])).await?;
    client.until("turn:completed").await?;
    client.say(&script(&[run("echo asked-before-the-restart")])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    server.terminate()?;
    server.ended().await?;
    let server = server.setup().start().await?;
    let mut client = server.connect().session(&session).open().await?;
    let history = client.call_ok("history:get", json!({})).await?;
    ensure!(history.to_string().contains("remember me"), "{history}");
    client.approve(&call, true).await?;
    ensure!(stdout(&client.until("tool:output").await?).contains("asked-before-the-restart"));
    Ok(())
}
