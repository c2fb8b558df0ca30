//! One user cannot fill the store: sessions and bytes are bounded, on each store.

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        sixty_sessions_of_one_user_stop_at_the_bound;
        long_messages_stop_at_the_bound_of_bytes;
    ]
}

/// Covers: S2-9
async fn sixty_sessions_of_one_user_stop_at_the_bound(ground: Rc<Ground>) -> Result<()> {
    const MOST: usize = 6;
    let server = ground.setup().config(&format!("session.max_stored_sessions_per_principal = {MOST}")).start().await?;
    let mut opened = Vec::new();
    for n in 0..60 {
        let mut client = server.connect().session(&format!("s{n}")).open_raw().await?;
        let first = client.until_matching("an answer", |e| matches!(e.name.as_str(), "system:ready" | "error")).await?;
        if first.name == "system:ready" {
            opened.push(client);
            continue;
        }
        let says = first.payload.as_str().is_some_and(|said| said.contains("Delete sessions"));
        ensure!(says && first.meta["code"] == "storage_full", "{first:?}");
    }
    ensure!(opened.len() == MOST, "{} sessions", opened.len());

    // The user helps itself, and sessions that are there stay usable.
    let mut client = opened.pop().context("a session")?;
    client.say("hello").await?;
    client.until("turn:completed").await?;
    client.call_ok("session:delete", json!({ "sessionId": "s0" })).await?;
    server.connect().session("another").open().await?;
    Ok(())
}

/// Covers: S2-9
async fn long_messages_stop_at_the_bound_of_bytes(ground: Rc<Ground>) -> Result<()> {
    let bounds =
        "session.max_stored_bytes_per_principal = 1000000\nsession.max_log_bytes = 400000\nsession.lease_secs = 2";
    let server = ground.setup().config(bounds).start().await?;
    let text = "x".repeat(40 << 10);
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(server.connect().session(&format!("s{n}")).open().await?);
    }
    let refused = 'refused: {
        for n in 0..160 {
            let client = &mut clients[n % 4];
            let ack = client.call("message", json!({ "text": text })).await?;
            if ack["ok"] != true {
                break 'refused ack;
            }
            client.until("turn:completed").await?;
        }
        anyhow::bail!("160 messages were accepted");
    };
    ensure!(refused["code"] == "storage_full", "{refused}");

    // Deleting makes room, also after a crash.
    let server = server.crash().await?.start().await?;
    let mut client = server.connect().session("s1").open().await?;
    ensure!(client.call("message", json!({ "text": "hello" })).await?["ok"] == false, "the bound was forgotten");
    for id in ["s0", "s2", "s3"] {
        client.call_ok("session:delete", json!({ "sessionId": id })).await?;
    }
    client.say("hello").await?;
    client.until("turn:completed").await?;
    Ok(())
}
