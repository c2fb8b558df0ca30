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

/// A connection is judged when it begins, and lives on when its token does not.
pub(super) async fn c14_token_expires_during_a_turn(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(tokens::SYMMETRIC).config("auth.jwt.leeway_secs = 0").start().await?;
    let (mut client, token) = with_a_short_token(&server).await?;
    client.say(&script(&[run("echo ran late"), json!({ "text": "over" })])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    // Until it has expired the token lets connections in.
    let reason = loop {
        let mut other = server.connect().session("c14").auth("token", token.as_str()).open_raw().await?;
        let said = other.until_matching("an answer", |e| matches!(e.name.as_str(), "system:ready" | "error")).await?;
        if said.name == "error" {
            other.until_closed().await?;
            break said.text().to_owned();
        }
        other.call_ok("history:get", json!({ "limit": 1 })).await?;
    };
    ensure!(reason.contains("expired"), "{reason}");
    // Its turn goes on and finishes, and loses nothing.
    client.approve(&call, true).await?;
    ensure!(stdout(&client.until("tool:output").await?).contains("ran late"));
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "end_turn");
    // Whose token is fresh finds all of it.
    let fresh = tokens::create(ground.folder(), "ann", 600)?;
    let mut again = server.connect().session("c14").auth("token", fresh).open().await?;
    ensure!(again.call_ok("history:get", json!({})).await?.to_string().contains("ran late"));
    Ok(())
}

/// A session whose token lasts for a few seconds: for more of them where the machine is too slow for so few.
async fn with_a_short_token(server: &Server) -> Result<(Client, String)> {
    for secs in [3, 6, 12, 24] {
        let token = tokens::create(server.setup().folder(), "ann", secs)?;
        if let Ok(client) = server.connect().session("c14").auth("token", token.as_str()).open().await {
            return Ok((client, token));
        }
    }
    bail!("no token lasted until it was used")
}
