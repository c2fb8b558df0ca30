//! Bytes that are no frames, frames that are no packets, packets that are no events.

use super::wire::{BINARY, FINAL, TEXT, Wire, frame, header};
use crate::{
    case::Ground,
    script::{run, script},
};
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use lockkeeper_tests::Server;
use serde_json::json;
use std::{rc::Rc, time::Duration};
use tokio::time::interval;

pub(super) async fn c11_frames_that_are_none(ground: Rc<Ground>) -> Result<()> {
    // What stalls in the middle of a frame is noticed by its pings alone.
    let pings = "gateway.ping_interval_secs = 2\ngateway.ping_timeout_secs = 6";
    let server = ground.setup().config(pings).start().await?;
    let mut calm = server.connect().session("calm").open().await?;
    calm.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
    calm.until("tool:approval_required").await?;
    let attacks = stream::iter(attacks()).map(|(what, bytes)| {
        let server = &server;
        async move { attack(server, &bytes).await.context(what) }
    });
    let attacks = attacks.buffer_unordered(8).try_collect::<()>();
    let calming = async {
        let mut next = interval(Duration::from_millis(200));
        loop {
            next.tick().await;
            if let Err(error) = calm.call_ok("history:get", json!({ "limit": 1 })).await {
                return error.context("who waits must not suffer");
            }
        }
    };
    tokio::select! {
        attacked = attacks => attacked?,
        error = calming => return Err(error),
    }
    what_has_a_form_but_not_the_right_one_is_answered(&server).await?;
    ensure!(!server.setup().log().contains("panicked"), "the server panicked");
    calm.approve("call_1_0_0", true).await.context("who waits must not suffer")?;
    calm.until("turn:completed").await?;
    Ok(())
}

/// The connection is closed, or it answers on: either way its client knows where it stands.
async fn attack(server: &Server, bytes: &[u8]) -> Result<()> {
    let mut wire = Wire::ready(server, "odd").await?;
    wire.bytes(bytes).await?;
    let _ = wire.text("42077[\"history:get\"]").await;
    if let Err(error) = wire.until(b"43077[").await {
        let text = format!("{error:#}");
        let closed = text.contains("closed") || error.root_cause().is::<std::io::Error>();
        ensure!(closed, "neither closed nor answered: {text}");
    }
    Ok(())
}

async fn what_has_a_form_but_not_the_right_one_is_answered(server: &Server) -> Result<()> {
    let mut client = server.connect().session("odd").open().await?;
    let wrong = [
        ("message", json!({ "_placeholder": true, "num": 0 })),
        ("message", json!(null)),
        ("tool:approval", json!([true])),
        ("tool:approval", json!({ "callId": ["call_1_0_0"], "approved": true })),
        ("history:get", json!("all")),
        ("no:such:event", json!({})),
        ("connect", json!({})),
        ("disconnect", json!({})),
        ("system:ready", json!({ "sessionId": "calm" })),
        ("tool:output", json!("[]")),
    ];
    for (event, payload) in wrong {
        let ack = client.call(event, payload.clone()).await.with_context(|| format!("{event} {payload}"))?;
        if ack["ok"] != false || ack["code"] != "invalid_payload" {
            bail!("{event} {payload}: {ack}");
        }
    }
    Ok(())
}

fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let text = |payload: &[u8]| frame(FINAL | TEXT, payload);
    let mut unmasked = vec![FINAL | TEXT, 2];
    unmasked.extend_from_slice(b"42");
    let attachments = format!("45{}-[\"message\",{{\"_placeholder\":true,\"num\":0}}]", u64::MAX);
    let deep = format!("42[\"message\",{}{}]", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    vec![
        ("a byte that UTF-8 does not know", text(b"42[\"message\",\"\xff\"]")),
        ("a character that was cut", text(b"42[\"message\",\"\xe2\x82\"]")),
        ("a surrogate as UTF-8 has none", text(b"42[\"message\",\"\xed\xa0\x80\"]")),
        ("an overlong slash", text(b"42[\"message\",\"\xc0\xaf\"]")),
        ("no packet at all", text(b"")),
        ("a packet type that there is not", text(b"7")),
        ("a Socket.IO type that there is not", text(b"49[\"message\",\"x\"]")),
        ("an event without an array", text(b"42{}")),
        ("JSON that ends early", text(b"42[\"message\"")),
        ("JSON that goes on", text(b"42[\"message\",\"x\"]]")),
        ("JSON too deep", text(deep.as_bytes())),
        ("an acknowledgement's number beyond all", text(b"4299999999999999999999999[\"message\",\"x\"]")),
        ("an acknowledgement nobody asked for", text(b"4312345[{\"ok\":true}]")),
        ("the head of an attachment", text(b"451-[\"message\",{\"_placeholder\":true,\"num\":0}]")),
        ("more attachments than there are numbers", text(attachments.as_bytes())),
        ("an attachment that nothing announced", frame(FINAL | BINARY, &[4, 0xff, 0, 1])),
        ("a second handshake", text(b"40{\"token\":\"x\"}")),
        ("another namespace", text(b"40/admin,{}")),
        ("an event to another namespace", text(b"42/admin,[\"message\",\"x\"]")),
        ("an upgrade that nobody offered", text(b"5")),
        ("a frame without its mask", unmasked),
        ("bits that are reserved", frame(FINAL | 0x70 | TEXT, b"2")),
        ("an operation that is reserved", frame(FINAL | 0x3, b"2")),
        ("a continuation of nothing", frame(FINAL, b"2")),
        ("a message within a message", [frame(TEXT, b"42["), frame(FINAL | TEXT, b"2")].concat()),
        ("a ping in pieces", frame(0x9, b"x")),
        ("a ping too long", frame(FINAL | 0x9, &[b'x'; 200])),
        ("a farewell of one byte", frame(FINAL | 0x8, b"x")),
        ("a farewell with a code that is not one", frame(FINAL | 0x8, &[0, 1])),
        ("a head that breaks off", header(FINAL | TEXT, 100_000)[..3].to_vec()),
        ("what is no frame", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ]
}
