use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::Server;
use serde_json::{Value, json};
use std::rc::Rc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        an_approval_without_a_payload_harms_nobody;
        payloads_of_the_wrong_form_are_refused_with_a_code;
        frames_that_are_no_packets_harm_only_their_sender;
        a_frame_over_the_limit_closes_its_connection;
        a_message_over_the_limit_is_refused_with_a_code;
        twenty_thousand_events_are_handled_in_order_or_refused;
        a_flood_ends_its_connection_and_costs_bounded_memory;
        session_ids_do_not_reach_into_the_store;
        a_polling_body_over_the_limit_is_refused;
        a_foreign_origin_is_refused;
        a_foreign_host_is_refused;
    ]
}

/// That the server still serves somebody else.
async fn still_serves(server: &Server) -> Result<()> {
    let mut client = server.connect().open().await.context("the server is not there any more")?;
    client.say(&script(&[json!({ "text": "well and alive" })])).await?;
    ensure!(client.until("agent:response").await?.text() == "well and alive");
    Ok(())
}

async fn an_approval_without_a_payload_harms_nobody(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.raw("42[\"tool:approval\"]").await?;
    client.raw("42[\"tool:approval\",null]").await?;
    let ack = client.call_bare("tool:approval").await?;
    ensure!(ack["ok"] == false && ack["code"] == "invalid_payload", "{ack}");
    still_serves(&server).await
}

async fn payloads_of_the_wrong_form_are_refused_with_a_code(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("true")])).await?;
    client.until("tool:approval_required").await?;
    let wrong: [(&str, Value); 14] = [
        ("message", json!(null)),
        ("message", json!(7)),
        ("message", json!("")),
        ("message", json!([])),
        ("message", json!({})),
        ("message", json!({ "text": 7 })),
        ("message", json!({ "text": "a", "clientMessageId": "" })),
        ("message", json!({ "text": "a", "clientMessageId": "x".repeat(200) })),
        ("message", json!({ "text": "a", "attachments": "none" })),
        ("tool:approval", json!("call_1_0_0")),
        ("tool:approval", json!({ "callId": "call_1_0_0" })),
        ("tool:approval", json!({ "callId": "call_1_0_0", "approved": "yes" })),
        ("tool:approval", json!({ "callId": "../..", "approved": true })),
        ("history:get", json!({ "limit": -1 })),
    ];
    for (event, payload) in wrong {
        let ack = client.call(event, payload.clone()).await?;
        ensure!(
            ack["ok"] == false && ack["code"].is_string() && ack["message"].is_string(),
            "{event} {payload}: {ack}"
        );
    }
    client.approve("call_1_0_0", true).await.context("doubt must not have decided")?;
    client.until("turn:completed").await?;
    still_serves(&server).await
}

async fn frames_that_are_no_packets_harm_only_their_sender(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let deep = format!("42[\"message\",{}{}]", "[".repeat(20_000), "]".repeat(20_000));
    let bad = [
        "",
        "9",
        "4",
        "49",
        "42",
        "42{}",
        "42[",
        "42[]",
        "42[1]",
        "42[\"message\"",
        "42[\"message\",\"\\ud800\"]",
        "429999999999999999999999[\"message\",\"x\"]",
        "4299999999-[\"message\",{\"_placeholder\":true,\"num\":0}]",
        "451-[\"message\",{\"_placeholder\":true,\"num\":0}]",
        "42/other,[\"message\",\"x\"]",
        "40/other,{}",
        "40{\"token\":1}",
        "41",
        "43[1]",
        "4318446744073709551616[]",
        "1",
        "3",
        "5",
        "6",
        "\u{0}",
        deep.as_str(),
    ];
    for frame in bad {
        let mut client = server.connect().session("hostile").open().await?;
        client.raw(frame).await?;
        // It is closed or it answers on; either way nobody waits for ever.
        let _ = timeout(std::time::Duration::from_secs(5), client.call("history:get", json!({}))).await;
    }
    still_serves(&server).await
}

async fn a_frame_over_the_limit_closes_its_connection(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let before = server.resident_bytes()?;
    let mut client = server.connect().open().await?;
    let frame = format!("42[\"message\",\"{}\"]", "a".repeat(32 << 20));
    // The server may close before all of it is sent.
    let _ = client.raw(frame).await;
    client.until_closed().await?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    ensure!(grown < 64 << 20, "the server grew by {grown} bytes");
    still_serves(&server).await
}

async fn a_message_over_the_limit_is_refused_with_a_code(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("session.max_message_bytes = 1000").start().await?;
    let mut client = server.connect().open().await?;
    let ack = client.call("message", "a".repeat(1001)).await?;
    ensure!(ack["ok"] == false && ack["code"] == "too_large", "{ack}");
    client.call_ok("message", "a".repeat(1000)).await?;
    Ok(())
}

async fn twenty_thousand_events_are_handled_in_order_or_refused(ground: Rc<Ground>) -> Result<()> {
    const BURSTS: usize = 100;
    // As many answers as the server keeps for a client that does not read meanwhile.
    const BURST: usize = 200;
    let server = ground.setup().config("gateway.flood_refusals = 1000000").start().await?;
    let mut client = server.connect().open().await?;
    let (mut handled, mut refused) = (0, 0);
    for _ in 0..BURSTS {
        for _ in 0..BURST {
            client.feed_call("history:get", json!({ "limit": 1 })).await?;
        }
        client.flush().await?;
        let mut last = 0;
        for _ in 0..BURST {
            let (id, ack) = client.next_ack().await?;
            if ack["ok"] == true {
                ensure!(id > last, "event {id} was handled after {last}");
                (last, handled) = (id, handled + 1);
            } else {
                ensure!(ack["code"] == "busy" || ack["code"] == "rate_limited", "{ack}");
                refused += 1;
            }
        }
    }
    ensure!(handled + refused == BURSTS * BURST && handled >= BURSTS, "{handled} handled, {refused} refused");
    still_serves(&server).await
}

async fn a_flood_ends_its_connection_and_costs_bounded_memory(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("gateway.event_burst = 20\ngateway.events_per_sec = 5").start().await?;
    let mut client = server.connect().open().await?;
    let before = server.resident_bytes()?;
    let answer = script(&[json!({ "text": "x" })]);
    for n in 0..20_000 {
        let message = json!({ "text": answer, "clientMessageId": format!("m-{n}") });
        if client.feed(format!("42{}", json!(["message", message]))).await.is_err() {
            break;
        }
    }
    let _ = client.flush().await;
    client.until_closed().await?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    ensure!(grown < 64 << 20, "the server grew by {grown} bytes");
    still_serves(&server).await
}

async fn session_ids_do_not_reach_into_the_store(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    for odd in ["index", "__proto__", "sessions", "0", "-", "x-y_Z"] {
        server.connect().session(odd).open().await.with_context(|| format!("{odd} is a session like any other"))?;
    }
    let long = "x".repeat(129);
    for bad in ["a:b", "%7Bid%7D", "..%2F..%2Fetc", "a%20b", "a%0Ab", "%00", long.as_str()] {
        let mut client = server.connect().session(bad).open_raw().await?;
        ensure!(client.next().await?.name == "error", "{bad} was taken");
        client.until_closed().await?;
    }
    still_serves(&server).await
}

async fn a_polling_body_over_the_limit_is_refused(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let opened = http(&server, "GET /socket.io/?EIO=4&transport=polling", "").await?;
    let sid = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).context("no sid")?;
    let body = format!("42[\"message\",\"{}\"]", "a".repeat(2 << 20));
    let answer = http(&server, &format!("POST /socket.io/?EIO=4&transport=polling&sid={sid}"), &body).await;
    // Either it says no, or it hangs up in the middle of the body.
    if let Ok(answer) = answer {
        ensure!(answer.starts_with("HTTP/1.1 4"), "{}", &answer[..answer.len().min(200)]);
    }
    still_serves(&server).await
}

async fn a_foreign_origin_is_refused(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    is_refused_over_both_transports(&server, "Origin: https://evil.example\r\n").await
}

/// As a page's own name comes that was pointed at this machine.
async fn a_foreign_host_is_refused(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    is_refused_over_both_transports(&server, "Host: evil.example\r\n").await
}

async fn is_refused_over_both_transports(server: &Server, header: &str) -> Result<()> {
    let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    for (transport, headers) in [("polling", ""), ("websocket", upgrade)] {
        let request = format!("GET /socket.io/?EIO=4&transport={transport} HTTP/1.1\r\n{header}{headers}");
        let answer = send(server, &request, "").await?;
        ensure!(answer.starts_with("HTTP/1.1 403"), "{transport}: {}", &answer[..answer.len().min(200)]);
    }
    still_serves(server).await
}

pub(crate) async fn http(server: &Server, line: &str, body: &str) -> Result<String> {
    send(server, &format!("{line} HTTP/1.1\r\n"), body).await
}

/// The same with further headers.
pub(crate) async fn http_with(server: &Server, line: &str, headers: &[(&str, &str)], body: &str) -> Result<String> {
    let headers: String = headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
    send(server, &format!("{line} HTTP/1.1\r\n{headers}"), body).await
}

async fn send(server: &Server, head: &str, body: &str) -> Result<String> {
    let address = server.url().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let host = if head.contains("Host: ") { String::new() } else { format!("Host: {address}\r\n") };
    let head = format!("{head}{host}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(lockkeeper_tests::PATIENCE, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
