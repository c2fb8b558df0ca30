//! Clients that go, that stop reading, and that may not come again.

use super::wire::{FINAL, TEXT, Wire};
use crate::{
    case::Ground,
    conversation::stdout,
    identity::tokens,
    script::{run, script},
};
use anyhow::{Context, Result, bail, ensure};
use lockkeeper_tests::{Client, Event, EventId, Oracle, Server};
use serde_json::json;
use std::{rc::Rc, time::Duration};
use tokio::time::timeout;

/// Before the first event.
const BEGINNING: EventId = EventId { epoch: 0, seq: 0 };

/// Everything of a session, as one sees it who has seen nothing.
async fn from_the_beginning(server: &Server, session: &str) -> Result<Client> {
    server.connect().session(session).resume_after(BEGINNING).open().await
}

pub(super) async fn c1_disconnect_mid_stream(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let words: Vec<_> = (0..100).map(|n| format!("word-{n}")).collect();
    let text = script(&[json!({ "text": words.join(" "), "delay_ms": 5 })]);
    let message = json!({ "text": text, "clientMessageId": "m-1" });
    // The first connection breaks before the server can say whether it has the message, the second one in the answer.
    let mut wire = Wire::ready(&server, "c1").await?;
    wire.text(&format!("421{}", json!(["message", message]))).await?;
    wire.reset()?;
    let mut wire = Wire::ready(&server, "c1").await?;
    wire.text(&format!("421{}", json!(["message", message]))).await?;
    wire.until(b"\"agent:delta\"").await?;
    wire.reset()?;

    let mut client = from_the_beginning(&server, "c1").await?;
    let ack = client.call_ok("message", message).await?;
    ensure!(ack["duplicate"] == true, "the message is there already: {ack}");
    let answer = client.until("agent:response").await?;
    client.until("turn:completed").await?;
    let mut oracle = Oracle::default();
    oracle.message_acknowledged("m-1");
    oracle.saw(Some(BEGINNING), client.journal());
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    let streamed: String = client.journal().iter().filter(|e| e.name == "agent:delta").map(delta).collect();
    ensure!(streamed == answer.text() && streamed.ends_with("word-99"), "{streamed}\n{answer:?}");
    Ok(())
}

fn delta(event: &Event) -> &str {
    event.payload["text"].as_str().unwrap_or_default()
}

pub(super) async fn c2_disconnect_mid_approval(ground: Rc<Ground>) -> Result<()> {
    const ROUNDS: usize = 8;
    let server = ground.server().await?;
    let mut client = server.connect().session("c2").open().await?;
    for round in 0..ROUNDS {
        client.say(&script(&[run("echo ran >> count; wc -l < count"), json!({ "text": "over" })])).await?;
        let asked = client.until("tool:approval_required").await?;
        let call = asked.call().context("no call")?.to_owned();
        drop(client);
        // The answer is on its way when the connection breaks: it arrived or it did not, and nobody knows.
        let mut wire = Wire::ready(&server, "c2").await?;
        wire.text(&format!("421{}", json!(["tool:approval", { "callId": call, "approved": true }]))).await?;
        wire.reset()?;
        client = server.connect().session("c2").resume_after(asked.id().context("it is not logged")?).open().await?;
        let ack = client.call("tool:approval", json!({ "callId": call, "approved": true })).await?;
        ensure!(ack["ok"] == true || ack["code"] == "already_resolved", "{ack}");
        let output = client.until("tool:output").await?;
        ensure!(stdout(&output).contains(&(round + 1).to_string()), "it did not run once a round: {output:?}");
        client.until("turn:completed").await?;
    }
    let mut client = from_the_beginning(&server, "c2").await?;
    for _ in 0..ROUNDS {
        client.until("turn:completed").await?;
    }
    let mut oracle = Oracle::default();
    oracle.saw(Some(BEGINNING), client.journal());
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    Ok(())
}

pub(super) async fn c8_slow_reader(ground: Rc<Ground>) -> Result<()> {
    let settings = "gateway.slow_client_secs = 2\ngateway.max_buffered_packets = 8";
    let server = ground.setup().config(settings).start().await?;
    let mut driver = server.connect().session("c8").open().await?;
    // Its receive buffer is small, and from now on nobody empties it.
    let mut stuck = Wire::ready(&server, "c8").await?;
    let message = script(&[json!({ "text": "x".repeat(50_000) })]);
    let talk = async {
        let mut turns = 0;
        while !server.setup().log().contains("reads too slowly") {
            driver.say(&message).await?;
            driver.until("turn:completed").await?;
            turns += 1;
        }
        anyhow::Ok(turns)
    };
    let turns = timeout(Duration::from_mins(2), talk).await.context("it was never disconnected")??;
    // It reads on, as far as it was sent: the last is a disconnect.
    stuck.until(&[FINAL | TEXT, 2, b'4', b'1']).await?;
    ensure!(turns > 10, "{turns} turns are no slowness");
    let mut oracle = Oracle::default();
    oracle.saw(None, driver.journal());
    let mut again = from_the_beginning(&server, "c8").await?;
    for _ in 0..turns {
        again.until("turn:completed").await?;
    }
    oracle.saw(Some(BEGINNING), again.journal());
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    Ok(())
}

/// What runs finishes, what is new is refused at once, and the connection ends unless it brings a fresh token.
pub(super) async fn c14_token_expires_during_a_turn(ground: Rc<Ground>) -> Result<()> {
    let settings = "auth.jwt.leeway_secs = 0\ngateway.expiry_grace_secs = 5";
    let server = ground.setup().config(tokens::SYMMETRIC).config(settings).start().await?;
    let fresh = |secs| tokens::create(ground.folder(), "ann", secs);
    let (mut client, token) = with_a_short_token(&server).await?;
    ensure!(client.ready["tokenExpiresAt"].is_string(), "{}", client.ready);
    let mut loyal = server.connect().session("c14").auth("token", token.as_str()).open().await?;
    client.say(&script(&[run("echo ran late"), json!({ "text": "over" })])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    client.until("auth:expired").await?;
    let yes = json!({ "callId": call, "approved": true });
    for (name, payload) in [("tool:approval", yes), ("message", json!("more")), ("history:get", json!({}))] {
        let ack = client.call(name, payload).await?;
        ensure!(ack["ok"] == false && ack["code"] == "unauthenticated" && ack["hint"].is_string(), "{name}: {ack}");
    }
    for name in ["turn:cancel", "history:reset", "session:end"] {
        let ack = client.call_bare(name).await?;
        ensure!(ack["code"] == "unauthenticated", "{name}: {ack}");
    }
    let mut other = server.connect().session("c14").auth("token", token.as_str()).open_raw().await?;
    ensure!(other.until("error").await?.text().contains("expired"));
    // Another view of the session brings a fresh token, but no other user's, and goes on as it is.
    loyal.until("auth:expired").await?;
    let foreign = tokens::create(ground.folder(), "bob", 600)?;
    for (bad, code) in [(foreign.as_str(), "forbidden"), (token.as_str(), "unauthenticated")] {
        let ack = loyal.call("auth:refresh", json!({ "token": bad })).await?;
        ensure!(ack["code"] == code, "{ack}");
    }
    let ack = loyal.call_ok("auth:refresh", json!({ "token": fresh(600)? })).await?;
    ensure!(ack["expiresAt"].is_string(), "{ack}");
    loyal.approve(&call, true).await?;
    // The turn finishes, and both see it; then the one with the old token is sent away.
    ensure!(stdout(&client.until("tool:output").await?).contains("ran late"));
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "end_turn");
    let error = client.until("error").await?;
    ensure!(error.meta["code"] == "unauthenticated", "{error:?}");
    client.until_closed().await?;
    ensure!(loyal.call_ok("history:get", json!({})).await?.to_string().contains("ran late"));
    loyal.say(&script(&[json!({ "text": "on and on" })])).await?;
    // The end of the first turn is still to be read, and an acknowledgement may come before the events that it is about.
    let ends = |event: &Event| event.name == "turn:completed" && event.turn() == Some(2);
    loyal.until_matching("the end of the second turn", ends).await?;
    ensure!(loyal.journal().iter().filter(|event| event.name == "user:message").count() == 2);
    // Whose token is fresh finds all of it.
    let mut again = server.connect().session("c14").auth("token", fresh(600)?).open().await?;
    ensure!(again.call_ok("history:get", json!({})).await?.to_string().contains("ran late"));
    Ok(())
}

/// A session whose token lasts for a few seconds: for more of them where the machine is too slow for so few.
async fn with_a_short_token(server: &Server) -> Result<(Client, String)> {
    for secs in [4, 8, 16, 32] {
        let token = tokens::create(server.setup().folder(), "ann", secs)?;
        if let Ok(client) = server.connect().session("c14").auth("token", token.as_str()).open().await {
            return Ok((client, token));
        }
    }
    bail!("no token lasted until it was used")
}
