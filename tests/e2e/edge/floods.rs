//! Too many connections, too many events, too many bytes.

use super::wire::{FINAL, TEXT, Upgrade, Wire, frame, header};
use crate::{
    case::Ground,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use lockkeeper_tests::{Client, PATIENCE};
use serde_json::json;
use std::{rc::Rc, time::Duration};
use tokio::time::{interval, timeout};

async fn answers(client: &mut Client) -> Result<()> {
    client.say(&script(&[json!({ "text": "well and alive" })])).await?;
    client.until_matching("an answer", |event| event.text() == "well and alive").await?;
    client.until("turn:completed").await?;
    Ok(())
}

pub(super) async fn c7_reconnect_storm(ground: Rc<Ground>) -> Result<()> {
    const STORM: usize = 500;
    // The defaults, which these tests relax, and room for the storm's requests beside each other.
    let limits = "gateway.connection_burst = 50\ngateway.connections_per_sec = 10\nsession.warm_sandboxes = 0\n\
                  http.max_connections_per_address = 1024";
    let server = ground.setup().config(limits).start().await?;
    let mut early = server.connect().session("early").open().await?;
    let storm = join_all((0..STORM).map(|_| Wire::ask(&server, "&sessionId=storm"))).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for upgrade in storm {
        match upgrade? {
            Upgrade::Done(wire) => held.push(wire),
            Upgrade::Refused(answer) => {
                let answer = answer.to_ascii_lowercase();
                ensure!(answer.starts_with("http/1.1 429") && answer.contains("\r\nretry-after: "), "{answer}");
                refused += 1;
            }
        }
    }
    // All of them are one address's, which has the early one too.
    ensure!((1..50).contains(&held.len()) && held.len() + refused == STORM, "{} of {STORM} got in", held.len());
    for wire in &mut held {
        wire.text("40{}").await?;
    }
    answers(&mut early).await.context("who was there before must not suffer")?;
    let mut ready = 0;
    for wire in &mut held {
        // A principal may have only so many: the others hear why not, and no more.
        let heard = wire.until_any(&[b"\"system:ready\"", b"\"error\""]).await?;
        if heard.ends_with(b"\"system:ready\"") {
            ready += 1;
            continue;
        }
        // A connection has one handshake: another one over it would pass the limits by.
        wire.until(&[FINAL | TEXT, 2, b'4', b'1']).await?;
        wire.text("40{}").await?;
        let heard = wire.until_any(&[b"40{\"sid\"", b"44{\"message\""]).await?;
        ensure!(heard.ends_with(b"44{\"message\""), "a second handshake was taken");
    }
    ensure!((1..=15).contains(&ready), "{ready} connections of one principal are served");
    ensure!(ground.sandboxes()? <= 2, "{} sandboxes for two sessions", ground.sandboxes()?);
    drop(held);
    // Who comes again a little later is let in.
    let mut again = interval(Duration::from_millis(100));
    let coming = async {
        loop {
            again.tick().await;
            if let Ok(client) = server.connect().session("storm").open().await {
                return client;
            }
        }
    };
    let mut client = timeout(PATIENCE, coming).await.context("nobody is let in after the storm")?;
    answers(&mut client).await?;
    ensure!(ground.sandboxes()? <= 2, "{} sandboxes for two sessions", ground.sandboxes()?);
    Ok(())
}

pub(super) async fn c9_event_flood(ground: Rc<Ground>) -> Result<()> {
    // The defaults, which these tests relax.
    let limits = "gateway.event_burst = 20\ngateway.events_per_sec = 5\ngateway.flood_refusals = 200";
    let server = ground.setup().config(limits).start().await?;
    let mut calm = server.connect().session("calm").open().await?;
    let mut flood = server.connect().session("flood").open().await?;
    for _ in 0..100 {
        flood.feed_call("history:get", json!({ "limit": 1 })).await?;
    }
    flood.flush().await?;
    let (mut handled, mut refused) = (0, 0);
    for _ in 0..100 {
        let (id, ack) = flood.next_ack().await?;
        if ack["ok"] == true {
            handled += 1;
        } else {
            ensure!(id > 20 && ack["code"] == "rate_limited" && ack["message"].is_string(), "{id}: {ack}");
            refused += 1;
        }
    }
    ensure!(handled >= 20 && refused > 0, "{handled} handled, {refused} refused");
    // A client of another session hears nothing of it, and this one goes on until it is ended for good.
    let pour = async {
        for n in 0..20_000 {
            if flood.feed(format!("42[\"message\",\"{n}\"]")).await.is_err() {
                break;
            }
        }
        let _ = flood.flush().await;
        flood.until_closed().await
    };
    tokio::try_join!(pour, answers(&mut calm))?;
    let mut again = server.connect().session("flood").open().await.context("it may come again")?;
    let history = again.call_ok("history:get", json!({})).await?;
    let messages = history["messages"].as_array().map_or(0, Vec::len);
    ensure!(messages <= 50, "a flood got {messages} messages in");
    Ok(())
}

pub(super) async fn c10_oversize_frame(ground: Rc<Ground>) -> Result<()> {
    const LARGE: u64 = 15 << 20;
    let server = ground.server().await?;
    let mut calm = server.connect().session("calm").open().await?;
    calm.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
    calm.until("tool:approval_required").await?;
    let before = server.resident_bytes()?;
    // A head alone claims all the bytes; pieces that each are allowed make too many of them together.
    let piece = vec![b'a'; 200 << 10];
    let pieces = [frame(TEXT, &piece), frame(0, &piece), frame(FINAL, &piece)].concat();
    let attacks =
        [header(FINAL | TEXT, LARGE), header(FINAL | TEXT, u64::MAX >> 1), header(FINAL | TEXT, u64::MAX), pieces];
    for (n, attack) in attacks.iter().enumerate() {
        for _ in 0..8 {
            let mut wire = Wire::ready(&server, "large").await?;
            // The server may close before all of it is sent.
            let _ = wire.bytes(attack).await;
            wire.until_closed().await.with_context(|| format!("attack {n} was not ended"))?;
        }
    }
    let grown = server.resident_bytes()?.saturating_sub(before);
    ensure!(grown < 32 << 20, "the server grew by {grown} bytes");
    let events = calm.take_unread();
    ensure!(events.is_empty(), "{events:?}");
    calm.approve("call_1_0_0", true).await.context("who waits must not suffer")?;
    calm.until("turn:completed").await?;
    Ok(())
}
