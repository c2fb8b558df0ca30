//! MCP servers that attack the server that started them, while another session goes on.

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{calls, run, script},
};
use anyhow::{Context as _, Result, ensure};
use futures::future::{join, join_all};
use lockkeeper_tests::{Client, Server};
use serde_json::{Value, json};
use std::{
    rc::Rc,
    time::{Duration, Instant},
};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        schemas_over_budget_are_left_out_with_a_reason;
        a_costly_check_is_refused_while_others_go_on;
        another_session_goes_on_beside_a_hostile_server;
    ]
}

/// An MCP server that lists the tools of its first argument, and answers calls of `good`. What it does beside is its second
/// argument, a line of the shell.
const SERVER: &str = r#"
eval "$1" &
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"hostile","version":"1"}}}\n' "$id" ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":%s}}\n' "$id" "$0" ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"it ran"}]}}\n' "$id" ;;
    *'"ping"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{}}\n' "$id" ;;
  esac
done
"#;

/// Changes of the list, notifications that answer nothing, lines that are no messages, and a torrent on standard error.
const NOISE: &str = r#"
while :; do
  printf '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n'
  printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%01000d"}}\n' 7
  printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"%s","progress":1}}\n' x
  printf '%04000d\n' 7 >&2
done
"#;

fn tool(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "inputSchema": schema })
}

/// `levels` definitions, each made of references to the next, and one that takes anything.
fn doubled(levels: usize, level: impl Fn(&Value) -> Value) -> Value {
    let mut defs: serde_json::Map<_, _> =
        (0..levels).map(|at| (format!("a{at}"), level(&json!({ "$ref": format!("#/$defs/a{}", at + 1) })))).collect();
    defs.insert(format!("a{levels}"), json!({ "type": "string" }));
    json!({ "type": "object", "$defs": defs, "properties": { "x": { "$ref": "#/$defs/a0" } } })
}

fn hostile_tools() -> Vec<Value> {
    let deep = (0..50).fold(json!({}), |inner, _| json!({ "not": inner }));
    let patterns: serde_json::Map<_, _> =
        (0..200).map(|at| (format!("p{at}"), json!({ "pattern": format!("^(a|a?)+{at}$") }))).collect();
    vec![
        tool("all_of", &doubled(40, |next| json!({ "allOf": [next, next] }))),
        tool("any_of", &doubled(24, |next| json!({ "anyOf": [next, next] }))),
        tool("if_then", &doubled(40, |next| json!({ "if": next, "then": next, "else": next }))),
        tool("properties", &doubled(40, |next| json!({ "properties": { "a": next, "b": next } }))),
        tool("dependent", &doubled(40, |next| json!({ "dependentSchemas": { "a": next, "b": next } }))),
        tool("recursive", &json!({ "properties": { "x": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } } })),
        tool("endless", &json!({ "type": "object", "allOf": [{ "$ref": "#" }] })),
        tool("remote", &json!({ "$ref": "http://127.0.0.1:1/schema" })),
        tool("backward", &json!({ "not": { "pattern": "^(.+)\\1$" } })),
        tool("patterns", &json!({ "properties": patterns })),
        tool(
            "deep",
            &json!({ "properties": { "x": deep }, "$defs": doubled(200, |next| json!({ "allOf": [next] })), "$ref": "#/$defs/$defs/a0" }),
        ),
        tool("large", &json!({ "type": "object", "title": "x".repeat(70_000) })),
    ]
}

/// A server with this MCP server beside the built-in one; calls of both run without a question.
async fn with_server(ground: &Ground, tools: &[Value], beside: &str, settings: &str) -> Result<Server> {
    let allowed =
        "policy.rules = [{ server = 'workspace', decision = 'allow' }, { server = 'hostile', decision = 'allow' }]";
    let args = json!(["-c", SERVER, Value::from(tools.to_vec()).to_string(), beside]);
    let server = format!("mcp_servers.hostile = {{ command = '/bin/sh', args = {args} }}");
    ground.setup().config(&format!("{allowed}\n{server}\n{settings}")).start().await
}

/// Covers: S1-1
async fn schemas_over_budget_are_left_out_with_a_reason(ground: Rc<Ground>) -> Result<()> {
    let mut tools = hostile_tools();
    tools.push(tool("good", &json!({ "type": "object" })));
    let server = with_server(&ground, &tools, ":", "").await?;
    let mut client = server.connect().open().await?;
    let told = client.until_matching("left-out tools", |event| event.payload["leftOut"].is_array()).await?;
    ensure!(
        told.name == "mcp:status" && told.payload["server"] == "hostile" && told.payload["state"] == "up",
        "{told:?}"
    );
    let left_out = told.payload["leftOut"].as_array().context("no list")?;
    for hostile in hostile_tools() {
        let reason = left_out.iter().find(|left_out| left_out["tool"] == hostile["name"]);
        let reason = reason.and_then(|left_out| left_out["reason"].as_str());
        ensure!(reason.is_some_and(|reason| reason.contains("its input schema")), "{}: {reason:?}", hostile["name"]);
    }
    let steps = [calls(&[("all_of", json!({ "x": "y" }))]), calls(&[("good", json!({}))]), json!({ "text": "over" })];
    client.say(&script(&steps)).await?;
    let refused = client.until("tool:error").await?;
    ensure!(refused.payload["code"] == "unknown_tool", "{refused:?}");
    ensure!(stdout(&client.until("tool:output").await?).contains("it ran"));
    client.until("turn:completed").await?;
    ensure!(ground.setup().log().contains("left out a tool over its schema budget"), "the log does not name them");
    Ok(())
}

/// Arguments that cost too much for a schema within its budget; many of them at once, from two sessions.
///
/// Covers: S1-1
async fn a_costly_check_is_refused_while_others_go_on(ground: Rc<Ground>) -> Result<()> {
    let many: Vec<_> = (0..1_000).map(|at| json!({ "type": "string", "const": at })).collect();
    let costly = tool("costly", &json!({ "type": "object", "properties": { "x": { "items": { "anyOf": many } } } }));
    let server = with_server(&ground, &[costly], ":", "").await?;
    let mut attackers = [server.connect().open().await?, server.connect().open().await?];
    let mut other = server.connect().open().await?;
    let args = json!({ "x": vec![-1; 5_000] });
    let attack = calls(&[("costly", args.clone()), ("costly", args)]);
    let attacking = async {
        join_all(attackers.iter_mut().map(|client| async {
            client.say(&script(&[attack.clone(), json!({ "text": "over" })])).await?;
            let refused = client.until("tool:error").await?;
            ensure!(refused.payload["code"] == "invalid_arguments", "{refused:?}");
            ensure!(
                refused.payload["message"]
                    .as_str()
                    .is_some_and(|said| said.contains("too long") || said.contains("within"))
            );
            client.until("turn:completed").await.map(drop)
        }))
        .await
    };
    let beside = async {
        ensure!(server.get("/healthz", &[]).await?.0 == 200);
        turn(&mut other).await
    };
    let (attacked, beside) = join(attacking, beside).await;
    attacked.into_iter().collect::<Result<()>>()?;
    beside.map(drop)
}

/// A turn with a call; gives how long its acknowledgement took.
async fn turn(client: &mut Client) -> Result<Duration> {
    let started = Instant::now();
    client.say(&script(&[run("echo well"), json!({ "text": "over" })])).await?;
    let acknowledged = started.elapsed();
    ensure!(stdout(&client.until("tool:output").await?).contains("well"));
    client.until("turn:completed").await?;
    Ok(acknowledged)
}

/// How long acknowledgements and health checks took, the shortest first.
struct Times {
    acks: Vec<Duration>,
    health: Vec<Duration>,
}

impl Times {
    async fn measure(server: &Server, rounds: usize) -> Result<Self> {
        let mut client = server.connect().open().await?;
        let mut times = Self { acks: Vec::new(), health: Vec::new() };
        for _ in 0..rounds {
            times.acks.push(turn(&mut client).await?);
            let started = Instant::now();
            ensure!(server.get("/healthz", &[]).await?.0 == 200);
            times.health.push(started.elapsed());
        }
        times.acks.sort();
        times.health.sort();
        Ok(times)
    }

    fn median_ack(&self) -> Duration {
        self.acks[self.acks.len() / 2]
    }

    fn p99_ack(&self) -> Duration {
        self.acks[(self.acks.len() * 99 / 100).min(self.acks.len() - 1)]
    }

    fn slowest_health(&self) -> Duration {
        self.health[self.health.len() - 1]
    }
}

/// With `LOCKKEEPER_HOSTILE_ROUNDS`, the figures themselves are held to their limits; by default, their ratio to the same without a
/// hostile server.
///
/// Covers: S1-1
async fn another_session_goes_on_beside_a_hostile_server(ground: Rc<Ground>) -> Result<()> {
    // Far beyond noise: what blocks a worker takes seconds.
    const RATIO: u32 = 20;
    const FLOOR: Duration = Duration::from_millis(20);
    let rounds: Option<usize> = lockkeeper_tests::hostile_rounds();
    let warm = "session.warm_sandboxes = 0";
    let quiet = with_server(&ground, &[tool("good", &json!({ "type": "object" }))], ":", warm).await?;
    let before = Times::measure(&quiet, rounds.unwrap_or(8)).await?;
    drop(quiet);
    let server = with_server(&ground, &hostile_tools(), NOISE, warm).await?;
    let mut attackers = [server.connect().open().await?, server.connect().open().await?];
    let attack = async {
        loop {
            for client in &mut attackers {
                let steps = [
                    calls(&[("all_of", json!({ "x": "y" })), ("any_of", json!({ "x": "y" }))]),
                    json!({ "text": "over" }),
                ];
                client.say(&script(&steps)).await?;
                client.until("turn:completed").await?;
            }
        }
    };
    let during = tokio::select! {
        times = Times::measure(&server, rounds.unwrap_or(8)) => times?,
        attack = attack => return attack,
    };
    let figures = format!(
        "acknowledgements: median {:?} and p99 {:?}, without the hostile server {:?} and {:?}; /healthz at most {:?}",
        during.median_ack(),
        during.p99_ack(),
        before.median_ack(),
        before.p99_ack(),
        during.slowest_health(),
    );
    if rounds.is_some() {
        println!("{figures}");
        ensure!(during.p99_ack() < Duration::from_millis(50), "{figures}");
        ensure!(during.slowest_health() < Duration::from_millis(100), "{figures}");
    }
    ensure!(during.median_ack() < before.median_ack().max(FLOOR) * RATIO, "{figures}");
    Ok(())
}
