//! What clients without a token can do to others: connections, headers, bodies, and packets over real sockets.

use crate::{
    case::{Case, Ground, cases},
    hostile::{http, http_with},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{PATIENCE, Server};
use serde_json::Value;
use std::rc::Rc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        refused_handshakes_do_not_lock_the_owner_out;
        users_behind_a_trusted_proxy_have_own_limits;
        half_heads_of_one_address_leave_room;
        slow_bodies_of_one_polling_session_leave_room;
        foreign_pages_are_refused_on_every_route;
        wrong_admin_tokens_lock_nobody_out;
        many_packets_without_a_handshake_end_the_connection;
    ]
}

const TOKEN: &str = "token-of-the-owner-0123456789";
const ADMIN: &str = "token-of-operators-0123456789";

fn address(server: &Server) -> &str {
    server.url().trim_start_matches("http://").trim_end_matches('/')
}

async fn connect(server: &Server, first: &str) -> Result<TcpStream> {
    let mut stream = timeout(PATIENCE, TcpStream::connect(address(server))).await??;
    stream.write_all(first.as_bytes()).await?;
    Ok(stream)
}

async fn is_healthy(server: &Server) -> Result<()> {
    for path in ["/healthz", "/readyz"] {
        let answer = http(server, &format!("GET {path}"), "").await.with_context(|| path.to_owned())?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    Ok(())
}

/// Covers: S1-3
async fn refused_handshakes_do_not_lock_the_owner_out(ground: Rc<Ground>) -> Result<()> {
    let settings = format!("auth.tokens.ann = '{TOKEN}'\ngateway.connection_burst = 200");
    let server = ground.setup().config(&settings).start().await?;
    let mut refused = Vec::new();
    for _ in 0..55 {
        let mut client = server.connect().auth("token", "wrong").unchecked().open_raw().await?;
        client.until("error").await?;
        refused.push(client);
    }
    server.connect().auth("token", TOKEN).open().await.context("the owner is locked out")?;
    for client in &mut refused {
        client.until_closed().await.context("a refused transport stays open")?;
    }
    Ok(())
}

/// Opens an Engine.IO session in the name of `client`, and returns the head and body of the answer.
async fn poll_as(server: &Server, client: &str) -> Result<String> {
    http_with(server, "GET /socket.io/?EIO=4&transport=polling", &[("X-Forwarded-For", client)], "").await
}

/// Covers: S1-3
async fn users_behind_a_trusted_proxy_have_own_limits(ground: Rc<Ground>) -> Result<()> {
    let limit = "gateway.max_connections_per_address = 2";
    let trusting = ground.setup().config(&format!("server.trusted_proxies = ['127.0.0.0/8']\n{limit}")).start().await?;
    for user in 1..=60 {
        let answer = poll_as(&trusting, &format!("192.0.2.{user}")).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "user {user}: {answer}");
    }
    // Whoever forges the left part is still one address.
    let mut statuses = Vec::new();
    for forged in 0..4 {
        let answer = poll_as(&trusting, &format!("203.0.113.{forged}, 198.51.100.7")).await?;
        statuses.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    ensure!(statuses == ["200", "200", "429", "429"], "{statuses:?}");
    drop(trusting);
    let plain = ground.setup().config(limit).start().await?;
    let mut statuses = Vec::new();
    for user in 0..4 {
        let answer = poll_as(&plain, &format!("192.0.2.{user}")).await?;
        statuses.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    ensure!(statuses == ["200", "200", "429", "429"], "a header of an untrusted peer was believed: {statuses:?}");
    Ok(())
}

/// Covers: S1-4
async fn half_heads_of_one_address_leave_room(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut held = Vec::new();
    for _ in 0..600 {
        held.push(connect(&server, "GET /healthz HTTP/1.1\r\nHost: local").await?);
    }
    is_healthy(&server).await?;
    server.connect().open().await.context("a client of the same address is locked out")?;
    Ok(())
}

/// Covers: S1-4
async fn slow_bodies_of_one_polling_session_leave_room(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let opened = http(&server, "GET /socket.io/?EIO=4&transport=polling", "").await?;
    let sid = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).context("no sid")?;
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: {}\r\nContent-Length: 200000\r\n\r\n4",
        address(&server)
    );
    let mut bodies = Vec::new();
    for _ in 0..600 {
        bodies.push(connect(&server, &head).await?);
    }
    is_healthy(&server).await?;
    server.connect().open().await.context("a client of the same address is locked out")?;
    for stream in &mut bodies {
        let mut rest = Vec::new();
        // A reset ends it as well.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.context("a body has no deadline")?;
    }
    Ok(())
}

/// Covers: S2-7
async fn foreign_pages_are_refused_on_every_route(ground: Rc<Ground>) -> Result<()> {
    let settings = format!("http.metrics_local = true\nhttp.admin_token = '{ADMIN}'");
    let server = ground.setup().config(&settings).start().await?;
    let bearer = format!("Bearer {ADMIN}");
    let paths = ["/", "/healthz", "/readyz", "/version", "/metrics", "/api/models", "/api/mcp/health", "/nothing"];
    for path in paths.into_iter().chain(["/api/admin/approvals", "/socket.io/?EIO=4&transport=polling"]) {
        let own = http_with(&server, &format!("GET {path}"), &[("Authorization", &bearer)], "").await?;
        ensure!(!own.starts_with("HTTP/1.1 403"), "{path}: {own}");
        for (name, value) in [
            ("Host", "evil.example"),
            ("Host", "localhost.evil.example:3000"),
            ("Origin", "http://evil.example"),
            ("Origin", "http://localhost:9999"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let foreign = [("Authorization", bearer.as_str()), (name, value)];
            let answer = http_with(&server, &format!("GET {path}"), &foreign, "").await?;
            ensure!(answer.starts_with("HTTP/1.1 403"), "{path} {name}: {value}: {answer}");
        }
    }
    Ok(())
}

/// Covers: S2-8
async fn wrong_admin_tokens_lock_nobody_out(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(&format!("http.admin_token = '{ADMIN}'")).start().await?;
    let ask = async |token: &str| -> Result<String> {
        let bearer = format!("Bearer {token}");
        let answer = http_with(&server, "GET /api/admin/approvals", &[("Authorization", &bearer)], "").await?;
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    };
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(ask("wrong").await?);
    }
    ensure!(statuses.iter().filter(|status| *status == "429").count() == 2, "{statuses:?}");
    ensure!(ask(ADMIN).await? == "200", "operators are locked out");
    Ok(())
}

/// Covers: S3-packets
async fn many_packets_without_a_handshake_end_the_connection(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    for packet in ["40/aaaa,", "3", "2"] {
        let mut client = server.connect().unchecked().open_raw().await?;
        let mut is_closed = false;
        for _ in 0..100_000 {
            is_closed = client.raw(packet).await.is_err();
            if is_closed {
                break;
            }
        }
        ensure!(is_closed, "{packet}: the connection stays open");
    }
    let ready: Value = serde_json::from_str(&server.get("/readyz", &[]).await?.1)?;
    ensure!(ready["ready"] == true, "{ready}");
    Ok(())
}
