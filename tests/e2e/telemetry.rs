use crate::{
    case::{Case, Ground, cases},
    conversation::{find, stdout},
    script::{calls, run, script},
};
use anyhow::{Context as _, Result, ensure};
use lockkeeper_tests::{Binaries, Client, Collector, PATIENCE, Server, Setup, attribute};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, rc::Rc, time::Duration};
use tokio::time::{interval, timeout};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_turn_with_an_approved_call_is_one_trace_and_its_figures_are_sent;
        nothing_that_was_said_is_sent_and_no_key_but_the_collectors;
        what_was_said_is_sent_where_that_is_asked_for;
        nothing_is_sent_where_no_collector_is_named;
        prometheus_reads_what_happened_from_this_machine_or_with_the_token;
        the_health_of_mcp_servers_is_told_to_clients_and_over_http;
        s12_mcp_servers_change_while_the_server_runs_and_a_bad_file_changes_nothing;
    ]
}

/// Words that must be found where content is sent, and nowhere else.
const SAID: [&str; 3] = ["canary-of-the-message", "canary-of-the-argument", "canary-of-the-output"];
const KEY: &str = "canary-of-the-providers-key-4711";
const TOKEN: &str = "canary-of-the-clients-token-4711";

/// A server that sends to the collector what it has, soon.
fn sends_to(ground: &Ground, collector: &Collector) -> Setup {
    ground.setup().config(&format!(
        "telemetry.endpoint = '{}'
         telemetry.headers = {{ x-collector-key = 'of-the-collector' }}
         telemetry.spans_ms = 50
         telemetry.metrics_secs = 1",
        collector.url()
    ))
}

/// A turn with a call that a human approves, in which all canaries are sung.
async fn turn(setup: &Setup) -> Result<Server> {
    let setup = setup.clone().config(&format!("auth.tokens.ann = '{TOKEN}'")).env("OPENAI_API_KEY", KEY);
    let server = setup.start().await?;
    let mut client = server.connect().session("traced").auth("token", TOKEN).open().await?;
    // What it writes does not stand in its arguments.
    let command = format!("echo {}; : {}", SAID[2].replace("output", "out''put"), SAID[1]);
    client.say(&script(&[run(&command), json!({ "text": SAID[0] })])).await?;
    let asked = client.until("tool:approval_required").await?;
    client.approve(asked.call().context("no call")?, true).await?;
    let ended = client.until("turn:completed").await?;
    ensure!(ended.payload["stopReason"] == "end_turn", "{ended:?}");
    ensure!(stdout(find(client.journal(), "tool:output")?).contains(SAID[2]), "{:?}", client.journal());
    Ok(server)
}

async fn a_turn_with_an_approved_call_is_one_trace_and_its_figures_are_sent(ground: Rc<Ground>) -> Result<()> {
    let collector = Collector::start().await?;
    let server = turn(&sends_to(&ground, &collector)).await?;
    let ended = |collector: &Collector| collector.spans().iter().any(|span| span.name == "invoke_agent lockkeeper");
    collector.wait_for("the turn", ended).await?;
    let spans = collector.spans();
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).with_context(|| format!("no {name}: {spans:?}"));
    let turn = named("invoke_agent lockkeeper")?;
    ensure!(attribute(turn, "gen_ai.conversation.id") == Some("traced"), "{turn:?}");
    let call = named("execute_tool execute_command")?;
    let asked = named("approval execute_command")?;
    let request = named("tools/call execute_command")?;
    let chats: Vec<_> = spans.iter().filter(|span| span.name.starts_with("chat ")).collect();
    ensure!(chats.len() == 2, "the model was asked twice: {chats:?}");
    for span in chats.iter().copied().chain([call, asked]) {
        ensure!(span.trace_id == turn.trace_id && span.parent_span_id == turn.span_id, "{span:?}");
    }
    ensure!(attribute(chats[0], "gen_ai.provider.name") == Some("demo"), "{chats:?}");
    ensure!(attribute(asked, "lockkeeper.approval.decision") == Some("approved"), "{asked:?}");
    ensure!(request.parent_span_id == call.span_id && request.trace_id == turn.trace_id, "{request:?}");
    ensure!(attribute(request, "mcp.method.name") == Some("tools/call"), "{request:?}");
    ensure!(spans.iter().any(|span| span.name == "sandbox.start"));
    let wanted = [
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "gen_ai.invoke_agent.duration",
        "mcp.client.operation.duration",
        "lockkeeper.turns",
        "lockkeeper.tool.calls",
        "lockkeeper.approvals",
        "lockkeeper.approval.wait",
        "lockkeeper.store.operation.duration",
        "lockkeeper.sandbox.starts",
        "lockkeeper.sessions",
        "lockkeeper.connections",
        "lockkeeper.mcp.servers",
    ];
    let all_there = |collector: &Collector| {
        let metrics = collector.metrics();
        wanted.iter().all(|name| metrics.contains(*name))
    };
    collector.wait_for("all metrics", all_there).await?;
    drop(server);
    Ok(())
}

async fn nothing_that_was_said_is_sent_and_no_key_but_the_collectors(ground: Rc<Ground>) -> Result<()> {
    let collector = Collector::start().await?;
    let mut server = turn(&sends_to(&ground, &collector)).await?;
    // At its end it sends what is left.
    server.terminate()?;
    ensure!(server.ended().await?.code() == Some(0));
    ensure!(!collector.spans().is_empty() && !collector.metrics().is_empty(), "nothing was sent at all");
    for request in collector.received() {
        let sent = String::from_utf8_lossy(&request.body) + &*request.head;
        ensure!(request.head.contains("x-collector-key: of-the-collector"), "{}", request.head);
        for canary in SAID.iter().chain([&KEY, &TOKEN]) {
            ensure!(!sent.contains(canary), "{canary} was sent to {}", request.path);
        }
    }
    let log = server.setup().log();
    ensure!(!log.contains("of-the-collector"), "the log holds the collector's key");
    Ok(())
}

async fn what_was_said_is_sent_where_that_is_asked_for(ground: Rc<Ground>) -> Result<()> {
    let collector = Collector::start().await?;
    let setup = sends_to(&ground, &collector).config("telemetry.capture_content = true");
    let mut server = turn(&setup).await?;
    server.terminate()?;
    ensure!(server.ended().await?.code() == Some(0));
    let bodies: Vec<_> = collector.received().into_iter().map(|request| request.body).collect();
    let sent = String::from_utf8_lossy(&bodies.concat()).into_owned();
    ensure!(SAID.iter().all(|canary| sent.contains(canary)), "content was asked for");
    ensure!(!sent.contains(KEY) && !sent.contains(TOKEN), "keys are no content");
    Ok(())
}

async fn nothing_is_sent_where_no_collector_is_named(ground: Rc<Ground>) -> Result<()> {
    let collector = Collector::start().await?;
    // All but the address.
    let setup = ground.setup().config("telemetry.spans_ms = 50\ntelemetry.metrics_secs = 1");
    let mut server = turn(&setup).await?;
    server.terminate()?;
    ensure!(server.ended().await?.code() == Some(0));
    ensure!(collector.received().is_empty(), "{:?}", collector.received());
    Ok(())
}

async fn prometheus_reads_what_happened_from_this_machine_or_with_the_token(ground: Rc<Ground>) -> Result<()> {
    let server = turn(&ground.setup().config("http.metrics_local = true")).await?;
    let mut page = String::new();
    for line in [
        "lockkeeper_turns_total{stop_reason=\"end_turn\"} 1",
        "lockkeeper_tool_calls_total{outcome=\"succeeded\",server=\"workspace\"} 1",
        "lockkeeper_approvals_total{decision=\"approved\"} 1",
        "lockkeeper_model_requests_total{outcome=\"succeeded\",provider=\"demo\"} 2",
        "lockkeeper_sessions_created_total 1",
        "lockkeeper_sessions 1",
        "lockkeeper_mcp_servers{server=\"workspace\",state=\"restarting\"} 0",
    ] {
        // Clients see what is written a moment before it is counted.
        until(line, async || {
            let (status, body) = server.get("/metrics", &[]).await?;
            ensure!(status == 200, "{status} {body}");
            page = body;
            Ok(page.lines().any(|found| found == line))
        })
        .await
        .with_context(|| page.clone())?;
    }
    for canary in SAID.iter().chain([&KEY, &TOKEN]) {
        ensure!(!page.contains(canary), "{canary} is on the page");
    }
    let names: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    ensure!(names.iter().all(|name| ["lockkeeper_", "gen_ai_", "mcp_"].iter().any(|own| name.starts_with(own))));
    let (status, refused) = server.get("/metrics", &[("X-Forwarded-For", "192.0.2.1")]).await?;
    ensure!(status == 403 && refused.contains("http.metrics_token"), "{status} {refused}");
    drop(server);
    let server = ground.server().await?;
    let (status, refused) = server.get("/metrics", &[]).await?;
    ensure!(status == 403 && refused.contains("http.metrics_token"), "{status} {refused}");
    drop(server);
    let server = ground.setup().config("http.metrics_token = 'a-token-for-prometheus'").start().await?;
    let (status, _) = server.get("/metrics", &[]).await?;
    ensure!(status == 401, "{status}");
    let (status, _) = server.get("/metrics", &[("Authorization", "Bearer a-token-for-prometheus")]).await?;
    ensure!(status == 200, "{status}");
    Ok(())
}

async fn the_health_of_mcp_servers_is_told_to_clients_and_over_http(ground: Rc<Ground>) -> Result<()> {
    let settings = format!("mcp_servers.absent = {{ command = '/no/such/program' }}\nauth.tokens.ann = '{TOKEN}'");
    let server = ground.setup().config(&settings).start().await?;
    let bearer = format!("Bearer {TOKEN}");
    let (status, _) = server.get("/api/mcp/health", &[]).await?;
    ensure!(status == 401, "{status}");
    let mut client = server.connect().auth("token", TOKEN).open().await?;
    let told = client.until("mcp:status").await?;
    ensure!(told.payload["server"] == "absent" && told.payload["state"] == "down", "{told:?}");
    ensure!(told.payload["problem"].as_str().is_some_and(|problem| problem.contains("/no/such/program")), "{told:?}");
    ensure!(told.meta.get("id").is_none(), "it is not logged: {told:?}");
    client.say(&script(&[calls(&[("list_files", json!({}))])])).await?;
    client.approve_all().await?;
    let (status, body) = server.get("/api/mcp/health", &[("Authorization", &bearer)]).await?;
    let health: Value = serde_json::from_str(&body)?;
    ensure!(status == 200 && health["status"] == "degraded", "{status} {body}");
    let of = |name: &str| {
        let servers = health["servers"].as_array().into_iter().flatten();
        servers.clone().find(|server| server["name"] == name).cloned().context("it is not named")
    };
    let (absent, workspace) = (of("absent")?, of("workspace")?);
    // It may be held back by now: the pool tries it too.
    ensure!(absent["state"] != "up" && absent["lastError"]["code"] == "tool_crashed", "{absent}");
    ensure!(workspace["state"] == "up" && workspace["tools"] == 4 && workspace["since"].is_string(), "{workspace}");
    Ok(())
}

/// Whether the MCP server `notes` is one of those that hold now.
async fn has_notes(server: &Server) -> Result<bool> {
    let (_, body) = server.get("/api/mcp/health", &[]).await?;
    let health: Value = serde_json::from_str(&body)?;
    let mut servers = health["servers"].as_array().into_iter().flatten();
    Ok(servers.any(|server| server["name"] == "notes" && server["configured"] == true))
}

/// Waits until `reached` holds.
async fn until(what: &str, mut reached: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let wait = async {
        let mut look = interval(Duration::from_millis(50));
        while !reached().await? {
            look.tick().await;
        }
        Ok(())
    };
    timeout(PATIENCE, wait).await.with_context(|| format!("it never was so: {what}"))?
}

/// The servers of a session's tools.
fn offered(client: &Client) -> BTreeSet<&str> {
    client.ready["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["server"].as_str()).collect()
}

async fn s12_mcp_servers_change_while_the_server_runs_and_a_bad_file_changes_nothing(ground: Rc<Ground>) -> Result<()> {
    let file = ground.folder().join("mcp.json");
    // The built-in server's program once more, under another name.
    let program = json!(Binaries::find()?.workspace.canonicalize()?);
    let notes =
        json!({ "mcpServers": { "notes": { "command": program, "args": ["serve", "--root", "{workspace}"] } } });
    fs::write(&file, json!({ "mcpServers": {} }).to_string())?;
    let setup = ground.setup().config("mcp.config_file = 'mcp.json'\nmcp.reload_secs = 1");
    let server = setup.start().await?;
    let mut running = server.connect().session("running").open().await?;
    ensure!(offered(&running) == BTreeSet::from(["workspace"]), "{}", running.ready);
    fs::write(&file, notes.to_string())?;
    until("the new server holds", async || has_notes(&server).await).await?;
    let new = server.connect().session("new").open().await?;
    ensure!(offered(&new) == BTreeSet::from(["notes", "workspace"]), "{}", new.ready);
    let same = server.connect().session("running").open().await?;
    ensure!(offered(&same) == BTreeSet::from(["workspace"]), "a running session keeps its servers: {}", same.ready);
    fs::write(&file, "{\"mcpServers\": {\"notes\": {}")?;
    until("the log tells", async || Ok(setup.log().contains("mcp_servers_invalid"))).await?;
    ensure!(has_notes(&server).await?, "the servers of before are gone");
    running.call_ok("session:end", Value::Null).await?;
    let again = server.connect().session("running").open().await?;
    ensure!(offered(&again) == BTreeSet::from(["notes", "workspace"]), "{}", again.ready);
    fs::write(&file, json!({ "mcpServers": {} }).to_string())?;
    until("the server is gone", async || Ok(!has_notes(&server).await?)).await
}
