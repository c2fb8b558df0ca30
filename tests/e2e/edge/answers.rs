//! Answers for calls: twice, against each other, and for calls that they are not for.

use crate::{
    case::Ground,
    conversation::stdout,
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Oracle};
use serde_json::{Value, json};
use std::{collections::HashMap, rc::Rc};

fn answer(call: &str, approved: bool) -> Value {
    json!({ "callId": call, "approved": approved })
}

pub(super) async fn c3_duplicate_approval(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo ran >> count"), run("wc -l < count"), json!({ "text": "over" })])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    // Sixteen at once, before the first can be answered.
    for _ in 0..16 {
        client.feed_call("tool:approval", answer(&call, true)).await?;
    }
    client.flush().await?;
    let mut taken = Vec::new();
    for _ in 0..16 {
        let (id, ack) = client.next_ack().await?;
        ensure!(ack["ok"] == true || ack["code"] == "already_resolved", "{ack}");
        taken.extend((ack["ok"] == true).then_some(id));
    }
    ensure!(taken.len() == 1, "{} of them were taken", taken.len());
    let events = client.approve_all().await?;
    let last = events.iter().rfind(|event| event.name == "tool:output").context("no output")?;
    ensure!(stdout(last).contains('1'), "it ran more than once: {last:?}");
    let of_call = |name: &str| client.journal().iter().filter(|e| e.name == name && e.call() == Some(&call)).count();
    ensure!(of_call("tool:approval_resolved") == 1 && of_call("tool:started") == 1, "{:?}", client.journal());
    Ok(())
}

pub(super) async fn c4_conflicting_approvals_from_two_tabs(ground: Rc<Ground>) -> Result<()> {
    const ROUNDS: usize = 5;
    const CALLS: usize = 40;
    let server = ground.setup().config(&format!("session.max_calls_per_step = {CALLS}")).start().await?;
    let mut yes = server.connect().open().await?;
    let mut no = server.connect().session(yes.session()).open().await?;
    let mut oracle = Oracle::default();
    let mut won = HashMap::from([(true, 0), (false, 0)]);
    for round in 0..ROUNDS {
        let many: Vec<_> = (0..CALLS).map(|_| ("list_files", json!({}))).collect();
        yes.say(&script(&[calls(&many), json!({ "text": "over" })])).await?;
        let listed = yes.until("tool:calls").await?;
        no.until("tool:calls").await?;
        let ids = listed.payload.as_array().into_iter().flatten().filter_map(|call| call["callId"].as_str());
        let ids: Vec<_> = ids.map(str::to_owned).collect();
        ensure!(ids.len() == CALLS, "{listed:?}");
        // They begin at the two ends in turn, so that neither always comes first.
        let backwards: Vec<_> = ids.iter().rev().cloned().collect();
        let (first, second) = if round % 2 == 0 { (&ids, &backwards) } else { (&backwards, &ids) };
        let (approved, denied) = tokio::try_join!(contest(&mut yes, first, true), contest(&mut no, second, false))?;
        for id in &ids {
            ensure!(approved.contains(id) != denied.contains(id), "both or neither won {id}");
            let approval = approved.contains(id);
            *won.entry(approval).or_default() += 1;
            oracle.answer_acknowledged(id, approval);
        }
        yes.until("turn:completed").await?;
        no.until("turn:completed").await?;
    }
    oracle.saw(None, yes.journal());
    oracle.saw(None, no.journal());
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    ensure!(won.values().all(|times| *times > 0), "there was no contest: {won:?}");
    Ok(())
}

/// Answers for all of them at once; those whose answer was taken.
async fn contest(client: &mut Client, ids: &[String], approved: bool) -> Result<Vec<String>> {
    let mut asked = Vec::new();
    for id in ids {
        client.feed_call("tool:approval", answer(id, approved)).await?;
        asked.push(id.clone());
    }
    client.flush().await?;
    let mut taken = Vec::new();
    for id in asked {
        // The answers come in the order of the questions.
        let (_, ack) = client.next_ack().await?;
        ensure!(ack["ok"] == true || ack["code"] == "already_resolved", "{ack}");
        taken.extend((ack["ok"] == true).then_some(id));
    }
    Ok(taken)
}

pub(super) async fn c5_approval_for_a_call_that_is_not_ones_own(ground: Rc<Ground>) -> Result<()> {
    let settings = "session.approval_ttl_secs = 3
        [auth]
        mode = 'static'
        tokens.alice = 'alice-token-5f1c9a2e7b6d4f30'
        tokens.bob = 'bob-token-91e0c4d8a3b27f65'";
    let server = ground.setup().config(settings).start().await?;
    let alice = || server.connect().session("alices").auth("token", "alice-token-5f1c9a2e7b6d4f30");
    let mut client = alice().open().await?;
    let mut bob = server.connect().auth("token", "bob-token-91e0c4d8a3b27f65").open().await?;
    let step = || calls(&[("list_files", json!({})), ("execute_command", json!({ "command": "touch mark" }))]);
    client.say(&script(&[step(), json!({ "text": "over" })])).await?;
    let listed = client.until("tool:calls").await?;
    let ids = [0, 1].map(|n| listed.payload[n]["callId"].as_str().unwrap_or_default().to_owned());
    // Another user, in a session where there is none by this name.
    let ack = bob.call("tool:approval", answer(&ids[1], true)).await?;
    ensure!(ack["code"] == "unknown_call", "{ack}");
    // Of this session, and of no turn or step or place that there is.
    for nobody in ["call_1_0_2", "call_1_9_0", "call_2_0_0", "call_999_0_0", "call_1_0_01", "x", "__proto__"] {
        let ack = client.call("tool:approval", answer(nobody, true)).await?;
        ensure!(ack["ok"] == false && ack["code"] == "unknown_call", "{nobody}: {ack}");
    }
    // Nobody answers for the second one in time.
    for _ in 0..2 {
        let resolved = client.until("tool:approval_resolved").await?;
        ensure!(resolved.payload["decision"] == "expired", "{resolved:?}");
    }
    let ack = client.call("tool:approval", answer(&ids[1], true)).await?;
    let late = ["approval_expired", "already_resolved"];
    ensure!(ack["ok"] == false && late.iter().any(|code| ack["code"] == *code), "{ack}");
    client.until("turn:completed").await?;
    let started =
        client.journal().iter().any(|e| e.name == "tool:started" && ids.iter().any(|id| e.call() == Some(id)));
    ensure!(!started, "a call ran that nobody let through");
    Ok(())
}

/// An answer is to the question whose digest it gives; what runs is what the server stored, whatever else the answer says.
pub(super) async fn c6_approval_that_names_another_call(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo as-shown"), json!({ "text": "over" })])).await?;
    let asked = client.until("tool:approval_required").await?;
    let call = asked.call().context("no call")?;
    for args in [json!({ "command": 7 }), json!({}), json!("echo swapped"), json!(["echo swapped"]), json!(true)] {
        let edited = json!({ "callId": call, "approved": true, "args": args });
        let ack = client.call("tool:approval", edited).await?;
        ensure!(ack["ok"] == false && ack["code"] == "invalid_arguments", "{args}: {ack}");
    }
    let shown = asked.payload["digest"].as_str().context("no digest")?;
    ensure!(shown.len() == 64 && asked.payload["fingerprint"] == shown[..8], "{asked:?}");
    let others = ["", "0000000000000000", &"0".repeat(64), &shown[1..], &shown.to_uppercase()];
    for other in others.into_iter().filter(|other| *other != shown) {
        for approved in [true, false] {
            let answer = json!({ "callId": call, "approved": approved, "digest": other });
            let ack = client.call("tool:approval", answer).await?;
            ensure!(ack["ok"] == false && ack["code"] == "approval_mismatch", "{other}: {ack}");
        }
    }
    let swapped = json!({
        "callId": call,
        "approved": true,
        "name": "write_file",
        "server": "elsewhere",
        "arguments": { "command": "echo swapped" },
        "input": { "command": "echo swapped" },
        "digest": shown,
    });
    client.call_ok("tool:approval", swapped).await?;
    let started = client.until("tool:started").await?;
    ensure!(started.payload["name"] == "execute_command" && started.payload["server"] == "workspace", "{started:?}");
    let said = stdout(&client.until("tool:output").await?);
    ensure!(said.contains("as-shown") && !said.contains("swapped"), "{said}");
    // Arguments that fit are an edit, and everybody can see it.
    client.say(&script(&[run("echo as-shown"), json!({ "text": "over" })])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    let edited = json!({ "callId": call, "approved": true, "args": { "command": "echo edited" } });
    client.call_ok("tool:approval", edited).await?;
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["args"]["command"] == "echo edited", "the log must say that it was edited: {resolved:?}");
    ensure!(resolved.payload["digest"].as_str().is_some_and(|edited| edited != shown), "{resolved:?}");
    ensure!(stdout(&client.until("tool:output").await?).contains("edited"));
    Ok(())
}

/// Where the configuration asks for digests, an answer without one is refused, and the question survives a reconnect.
pub(super) async fn c6_answers_without_a_digest_where_one_is_required(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("session.require_digest = true").start().await?;
    let mut client = server.connect().session("strict").open().await?;
    client.say(&script(&[run("echo as-shown"), json!({ "text": "over" })])).await?;
    let asked = client.until("tool:approval_required").await?;
    let call = asked.call().context("no call")?.to_owned();
    let unbound = json!({ "callId": call, "approved": true, "digest": null });
    let ack = client.call("tool:approval", unbound).await?;
    ensure!(ack["ok"] == false && ack["code"] == "approval_mismatch", "{ack}");
    let mut second = server.connect().session("strict").open().await?;
    ensure!(second.ready["pending"][0]["digest"] == asked.payload["digest"], "{}", second.ready);
    let bound = json!({ "callId": call, "approved": true, "digest": asked.payload["digest"] });
    second.call_ok("tool:approval", bound).await?;
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["digest"] == asked.payload["digest"], "{resolved:?}");
    ensure!(stdout(&client.until("tool:output").await?).contains("as-shown"));
    Ok(())
}
