//! What comes at once, and in which order it stays.

use crate::{
    case::Ground,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Oracle};
use serde_json::json;
use std::rc::Rc;

/// The texts of the messages in a client's journal.
fn messages(client: &Client) -> Vec<&str> {
    let messages = client.journal().iter().filter(|event| event.name == "user:message");
    messages.filter_map(|event| event.payload["clientMessageId"].as_str()).collect()
}

/// Events have no numbers of the client's: one socket's order is the order of its bytes, and a refusal is no gap.
pub(super) async fn c12_order_of_events(ground: Rc<Ground>) -> Result<()> {
    const EVENTS: u64 = 120;
    let settings = "session.max_queued_messages = 40\ngateway.max_waiting_events = 1000";
    let server = ground.setup().config(settings).start().await?;
    let mut client = server.connect().open().await?;
    // The turn waits, so that the queue fills up.
    client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
    client.until("tool:approval_required").await?;
    let text = script(&[json!({ "text": "" })]);
    for n in 0..EVENTS {
        let message = json!({ "text": text, "clientMessageId": format!("m-{n}"), "clientSeq": EVENTS - n });
        client.feed_call("message", message).await?;
    }
    client.flush().await?;
    let (mut last, mut accepted) = (0, Vec::new());
    for n in 0..EVENTS {
        let (id, ack) = client.next_ack().await?;
        ensure!(id > last, "event {id} was answered after {last}");
        last = id;
        if ack["ok"] == true {
            accepted.push(format!("m-{n}"));
        } else {
            ensure!(ack["code"] == "busy", "{ack}");
        }
    }
    ensure!(accepted.len() == 40, "{} were accepted", accepted.len());
    client.approve("call_1_0_0", true).await?;
    for _ in 0..=accepted.len() {
        client.until("turn:completed").await?;
    }
    ensure!(messages(&client) == accepted, "{:?} is not {accepted:?}", messages(&client));
    Ok(())
}

pub(super) async fn c13_two_sockets_send_at_once(ground: Rc<Ground>) -> Result<()> {
    const ROUNDS: usize = 30;
    let server = ground.setup().config("session.max_queued_messages = 100").start().await?;
    let mut one = server.connect().open().await?;
    let mut two = server.connect().session(one.session()).open().await?;
    let mut oracle = Oracle::default();
    let text = script(&[json!({ "text": "yes" })]);
    for round in 0..ROUNDS {
        let message = |who: &str| json!({ "text": text, "clientMessageId": format!("{who}-{round}") });
        let both = tokio::try_join!(one.call("message", message("one")), two.call("message", message("two")))?;
        ensure!(both.0["ok"] == true && both.1["ok"] == true, "{both:?}");
        ensure!(both.0["turn"] != both.1["turn"], "two messages are two turns: {both:?}");
        oracle.message_acknowledged(&format!("one-{round}"));
        oracle.message_acknowledged(&format!("two-{round}"));
    }
    for client in [&mut one, &mut two] {
        for _ in 0..2 * ROUNDS {
            client.until("turn:completed").await?;
        }
    }
    oracle.saw(None, one.journal());
    oracle.saw(None, two.journal());
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    let order = messages(&one);
    ensure!(order == messages(&two) && order.len() == 2 * ROUNDS, "{order:?} is not {:?}", messages(&two));
    Ok(())
}

pub(super) async fn c15_history_reset_during_a_turn(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let mut other = server.connect().session(client.session()).open().await?;
    client.say(&script(&[run("touch begun; sleep 600; touch finished"), json!({ "text": "not reached" })])).await?;
    client.until("tool:approval_required").await?;
    client.approve("call_1_0_0", true).await?;
    client.until("tool:started").await?;
    client.say(&script(&[json!({ "text": "never said" })])).await?;
    // The other tab resets it while the first one's call runs and its next message waits.
    let ack = other.call_bare("history:reset").await?;
    ensure!(ack["ok"] == true, "{ack}");
    for client in [&mut client, &mut other] {
        for _ in 0..2 {
            let end = client.until("turn:completed").await?;
            ensure!(end.payload["stopReason"] == "cancelled", "{end:?}");
        }
        client.until("system:message").await.context("nobody said that the history is empty")?;
        ensure!(!client.journal().iter().any(|e| e.text() == "never said"), "a message from before was answered");
    }
    let history = client.call_ok("history:get", json!({})).await?;
    ensure!(history["messages"] == json!([]), "{history}");
    // It goes on as new, on the same log: nobody has a gap in it, and an answer from before decides nothing.
    let late = client.call("tool:approval", json!({ "callId": "call_1_0_0", "approved": true })).await?;
    ensure!(late["code"] == "already_resolved", "{late}");
    client.say(&script(&[run("ls"), json!({ "text": "a new beginning" })])).await?;
    let events = client.approve_all().await?;
    ensure!(!format!("{events:?}").contains("finished"), "the cancelled call went on: {events:?}");
    other.until_matching("the new answer", |event| event.text() == "a new beginning").await?;
    other.until("turn:completed").await?;
    let mut oracle = Oracle::default();
    oracle.saw(None, client.journal());
    oracle.saw(None, other.journal());
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    let history = client.call_ok("history:get", json!({})).await?;
    let said = history.to_string();
    ensure!(said.contains("a new beginning") && !said.contains("sleep 600"), "{history}");
    Ok(())
}
