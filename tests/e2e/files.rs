//! The files of a sandbox, as its owner sees them beside the model's loop.

use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Result, ensure};
use lockkeeper_tests::Client;
use serde_json::{Value, json};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        files_are_listed_and_read_in_parts_without_a_trace_in_the_log;
        a_path_that_leads_out_of_the_workspace_is_refused;
        there_are_no_files_without_a_sandbox_or_without_the_built_in_server;
    ]
}

/// A one-pixel PNG, to write from a shell.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn filled(client: &mut Client, command: &str) -> Result<()> {
    client.say(&script(&[run(command)])).await?;
    client.approve_all().await?;
    Ok(())
}

async fn files_are_listed_and_read_in_parts_without_a_trace_in_the_log(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let command = format!(
        "mkdir sub; printf 'grün und blau' > sub/a.txt; ln -s /etc/passwd out; : > empty; \
         head -c 70000 /dev/zero | tr '\\0' x > long.txt; printf {PIXEL} | base64 -d > pixel.png"
    );
    filled(&mut client, &command).await?;
    let before = client.last_id();
    let listed = client.call_ok("workspace:list", Value::Null).await?;
    let entry =
        |name: &str| listed["entries"].as_array().and_then(|all| all.iter().find(|e| e["name"] == name)).cloned();
    ensure!(entry("sub") == Some(json!({"name": "sub", "kind": "directory"})), "{listed}");
    ensure!(entry("out") == Some(json!({"name": "out", "kind": "link", "target": "/etc/passwd"})), "{listed}");
    ensure!(entry("long.txt") == Some(json!({"name": "long.txt", "kind": "file", "size": 70_000})), "{listed}");
    let below = client.call_ok("workspace:list", json!({"path": "sub"})).await?;
    ensure!(below["entries"] == json!([{"name": "a.txt", "kind": "file", "size": 14}]), "{below}");

    let first = client.call_ok("workspace:read", json!({"path": "sub/a.txt", "limit": 8})).await?;
    ensure!(first["content"][0]["text"] == "grün un" && first["nextOffset"] == 8, "{first}");
    let rest = client.call_ok("workspace:read", json!({"path": "sub/a.txt", "offset": 8})).await?;
    ensure!(rest["content"][0]["text"] == "d blau" && rest.get("nextOffset").is_none(), "{rest}");
    let part = client.call_ok("workspace:read", json!({"path": "long.txt", "limit": 1_000_000})).await?;
    ensure!(part["content"][0]["text"].as_str().map(str::len) == Some(32 << 10), "a part has 32 KiB");
    ensure!(part["nextOffset"] == 32 << 10);
    let empty = client.call_ok("workspace:read", json!({"path": "empty"})).await?;
    ensure!(empty["content"][0]["text"] == "" && empty.get("nextOffset").is_none(), "{empty}");
    let image = client.call_ok("workspace:read", json!({"path": "pixel.png"})).await?;
    ensure!(image["content"] == json!([{"type": "image", "data": PIXEL, "mimeType": "image/png"}]), "{image}");

    // What comes next follows what came before: nothing was logged in between.
    client.say(&script(&[json!({"text": "on"})])).await?;
    let said = client.until("user:message").await?;
    let number = |id: Option<lockkeeper_tests::EventId>| id.map(|id| id.seq);
    ensure!(number(said.id()) == number(before).map(|seq| seq + 1), "{said:?} does not follow {before:?}");
    Ok(())
}

async fn a_path_that_leads_out_of_the_workspace_is_refused(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    filled(&mut client, "ln -s /etc etc; ln -s /etc/passwd passwd; mkfifo pipe").await?;
    for path in ["..", "../..", "/etc", "etc", ""] {
        let answer = client.call("workspace:list", json!({"path": path})).await?;
        ensure!(answer["code"] == "tool_failed", "{path}: {answer}");
    }
    for path in ["../../etc/passwd", "/etc/passwd", "etc/passwd", "passwd", "pipe", ".", "none", "a\0b"] {
        let answer = client.call("workspace:read", json!({"path": path})).await?;
        ensure!(answer["code"] == "tool_failed", "{path}: {answer}");
    }
    for bad in [json!({"path": 7}), json!("a"), json!({"path": "a", "offset": -1}), json!({"path": "a", "limit": "x"})]
    {
        let answer = client.call("workspace:read", bad.clone()).await?;
        ensure!(answer["code"] == "invalid_payload", "{bad}: {answer}");
    }
    let long = client.call("workspace:list", json!({"path": "x".repeat(5_000)})).await?;
    ensure!(long["code"] == "too_large", "{long}");
    Ok(())
}

async fn there_are_no_files_without_a_sandbox_or_without_the_built_in_server(ground: Rc<Ground>) -> Result<()> {
    let mut server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.call_bare("session:end").await?;
    let answer = client.call("workspace:list", json!({})).await?;
    ensure!(answer["code"] == "sandbox_unavailable" && answer["hint"].is_string(), "{answer}");
    server.terminate()?;
    server.ended().await?;
    let server = ground.setup().config("mcp.workspace = false").start().await?;
    let mut client = server.connect().open().await?;
    let answer = client.call("workspace:list", json!({})).await?;
    ensure!(
        answer["code"] == "unknown_tool" && answer["hint"].as_str().is_some_and(|hint| hint.contains("mcp.workspace"))
    );
    Ok(())
}
