//! What operators do: by `lockkeeper sessions`, and over HTTP.

use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, Server};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, rc::Rc};
use tokio::process::Command;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        sessions_are_listed_shown_and_ended_from_the_command_line;
        a_call_is_decided_over_http_and_the_log_names_the_operator;
        what_is_wrong_is_said_with_what_to_do;
    ]
}

const TOKEN: &str = "an-operators-token-of-these-tests";

async fn server(ground: &Ground) -> Result<Server> {
    ground.setup().config(&format!("http.admin_token = '{TOKEN}'")).start().await
}

/// `lockkeeper sessions` with the server's own configuration: the exit code, and what it says.
async fn sessions(folder: &Path, url: &str, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(&Binaries::find()?.server);
    command.arg("sessions").args(arguments).args(["--url", url, "--config", "lockkeeper.toml"]);
    let output = command.current_dir(folder).env_clear().stdin(Stdio::null()).output().await?;
    let text = |bytes| String::from_utf8(bytes);
    Ok((output.status.code(), text(output.stdout)?, text(output.stderr)?))
}

/// One question to the admin API: the status and the JSON of the answer.
async fn ask(server: &Server, line: &str, body: &str) -> Result<(u16, Value)> {
    let answer =
        crate::hostile::http_with(server, line, &[("Authorization", &format!("Bearer {TOKEN}"))], body).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok((status, serde_json::from_str(body)?))
}

async fn sessions_are_listed_shown_and_ended_from_the_command_line(ground: Rc<Ground>) -> Result<()> {
    let server = server(&ground).await?;
    let mut client = server.connect().session("mine").open().await?;
    client.say(&script(&[run("echo never")])).await?;
    client.until("tool:approval_required").await?;
    let (code, listed, said) = sessions(ground.folder(), server.url(), &["list"]).await?;
    ensure!(code == Some(0), "{code:?}: {said}");
    ensure!(listed.starts_with("SESSION") && listed.contains("mine") && listed.contains("busy"), "{listed}");
    let (_, json, _) = sessions(ground.folder(), server.url(), &["list", "--json", "--owner", "nobody"]).await?;
    ensure!(serde_json::from_str::<Value>(&json)? == json!({ "sessions": [] }), "{json}");
    let (_, shown, _) = sessions(ground.folder(), server.url(), &["show", "mine"]).await?;
    ensure!(shown.contains("session      mine") && shown.contains("execute_command waits"), "{shown}");
    ensure!(!shown.contains("echo never"), "what was said and asked for is not shown: {shown}");
    let (code, ended, said) = sessions(ground.folder(), server.url(), &["end", "mine"]).await?;
    ensure!(code == Some(0) && ended.contains("mine is ended"), "{code:?}: {ended}{said}");
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "cancelled");
    client.until("system:message").await?;
    let (_, json, _) = sessions(ground.folder(), server.url(), &["show", "mine", "--json"]).await?;
    let shown: Value = serde_json::from_str(&json)?;
    ensure!(shown["busy"] == false && shown["hasSandbox"] == false, "{shown}");
    Ok(())
}

async fn a_call_is_decided_over_http_and_the_log_names_the_operator(ground: Rc<Ground>) -> Result<()> {
    let server = server(&ground).await?;
    let mut client = server.connect().session("mine").open().await?;
    client.say(&script(&[run("echo by an operator"), json!({ "text": "done" })])).await?;
    client.until("tool:approval_required").await?;
    let (status, inbox) = ask(&server, "GET /api/admin/approvals", "").await?;
    ensure!(status == 200, "{status}: {inbox}");
    let call = &inbox["approvals"][0];
    ensure!(call["sessionId"] == "mine" && call["args"]["command"] == "echo by an operator", "{inbox}");
    let path = format!("POST /api/admin/approvals/mine/{}", call["callId"].as_str().context("no call")?);
    let (status, answer) = ask(&server, &path, r#"{"approved": true}"#).await?;
    ensure!(status == 200 && answer == json!({ "ok": true }), "{status}: {answer}");
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["by"] == "operator (admin API)", "{resolved:?}");
    ensure!(client.until("tool:output").await?.text().contains("by an operator"));
    client.until("turn:completed").await?;
    let (status, again) = ask(&server, &path, r#"{"approved": false}"#).await?;
    ensure!(status == 409 && again["code"] == "already_resolved", "{status}: {again}");
    ensure!(!server.setup().log().contains(TOKEN), "the token is in the log");
    Ok(())
}

async fn what_is_wrong_is_said_with_what_to_do(ground: Rc<Ground>) -> Result<()> {
    let with_api = server(&ground).await?;
    let (code, _, said) = sessions(ground.folder(), with_api.url(), &["show", "none"]).await?;
    ensure!(code == Some(1) && said.contains("There is no such session"), "{code:?}: {said}");
    let (code, _, said) = sessions(ground.folder(), with_api.url(), &["list", "--token", "wrong"]).await?;
    ensure!(code == Some(1) && said.contains("http.admin_token"), "{code:?}: {said}");
    ensure!(!said.contains(TOKEN) && !said.contains("wrong"), "{said}");
    let url = with_api.url().to_owned();
    with_api.crash().await?;
    let (code, _, said) = sessions(ground.folder(), &url, &["list"]).await?;
    ensure!(code == Some(69) && said.contains("cannot be reached"), "{code:?}: {said}");
    let without = ground.setup().start().await?;
    let (code, _, said) = sessions(ground.folder(), without.url(), &["list"]).await?;
    ensure!(code == Some(1) && said.contains("the server's admin token is needed"), "{code:?}: {said}");
    let (code, _, said) = sessions(ground.folder(), without.url(), &["list", "--token", TOKEN]).await?;
    ensure!(code == Some(1) && said.contains("has no admin API"), "{code:?}: {said}");
    Ok(())
}
