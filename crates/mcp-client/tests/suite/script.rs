//! What scripted servers and the tests around them share.

use crate::sandbox::{FakeSandbox, Seen};
use lockkeeper_domain::{CallId, Code, Outcome, ServerName, SessionId, ToolName, ToolResult};
use lockkeeper_mcp_client::{Config, McpToolHost};
use lockkeeper_ports::{CallContext, CallProgress, ExecStatus, McpServer, SandboxId, ToolHost, ToolSession};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// A server's ends of its pipes. It answers what belongs to the protocol, and leaves the calls to the script.
pub(crate) struct Io {
    lines: Lines<BufReader<DuplexStream>>,
    pub(crate) out: DuplexStream,
    pub(crate) err: DuplexStream,
    pub(crate) seen: Arc<Seen>,
    /// What it lists.
    pub(crate) tools: Vec<Value>,
    /// What it says of itself, on top of what it must.
    pub(crate) greeting: Value,
    /// How many tools it lists on a page.
    pub(crate) page: usize,
}

impl Io {
    pub(crate) fn new(stdin: DuplexStream, out: DuplexStream, err: DuplexStream, seen: Arc<Seen>) -> Self {
        let lines = BufReader::new(stdin).lines();
        Self { lines, out, err, seen, tools: vec![tool("x")], greeting: json!({}), page: 1000 }
    }

    /// Writes bytes as they are. Whoever reads them may be gone.
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.out.write_all(bytes.as_ref()).await;
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.raw(format!("{message}\n")).await;
    }

    /// Answers a call with a text.
    pub(crate) async fn say(&mut self, id: &Value, text: &str) {
        self.send(&said(id, text)).await;
    }

    /// The next message, recorded. `None` at the end of the input.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.ok()??;
        let message: Value = serde_json::from_str(&line).expect("the client writes JSON");
        self.seen.messages.send_modify(|all| all.push(message.clone()));
        Some(message)
    }

    /// The next `tools/call`, after all else was answered.
    pub(crate) async fn call(&mut self) -> Option<Value> {
        loop {
            let message = self.message().await?;
            if message["method"] == "tools/call" {
                return Some(message);
            }
            self.answer(&message).await;
        }
    }

    /// Answers a message of the protocol as a server should.
    pub(crate) async fn answer(&mut self, message: &Value) {
        let Some(id) = message.get("id") else { return };
        let result = match message["method"].as_str() {
            Some("initialize") => {
                let mut result = json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {"listChanged": true}},
                    "serverInfo": {"name": "script", "version": "1"},
                });
                for (name, value) in self.greeting.as_object().expect("an object") {
                    result[name] = value.clone();
                }
                result
            }
            Some("tools/list") => self.list(&message["params"]["cursor"]),
            Some("ping") => json!({}),
            _ => return,
        };
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
    }

    fn list(&self, cursor: &Value) -> Value {
        let from: usize = cursor.as_str().map_or(0, |cursor| cursor.parse().expect("a cursor of ours"));
        let to = (from + self.page).min(self.tools.len());
        let mut page = json!({"tools": self.tools[from..to]});
        if to < self.tools.len() {
            page["nextCursor"] = to.to_string().into();
        }
        page
    }
}

pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "description": format!("does {name}"), "inputSchema": {"type": "object"}})
}

pub(crate) fn said(id: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})
}

/// A server that answers every call with the call's argument `text`.
pub(crate) async fn echo(mut io: Io) -> ExecStatus {
    while let Some(call) = io.call().await {
        let text = call["params"]["arguments"]["text"].as_str().unwrap_or_default().to_owned();
        io.say(&call["id"], &text).await;
    }
    ExecStatus::Exited(0)
}

pub(crate) fn server(name: &str) -> McpServer {
    McpServer {
        name: ServerName::new(name),
        command: vec![name.to_owned()],
        env: BTreeMap::new(),
        tools: None,
        advice: None,
    }
}

/// A session of these servers with this configuration.
pub(crate) async fn connect_with(sandbox: &Arc<FakeSandbox>, servers: &[&str], config: Config) -> Arc<dyn ToolSession> {
    let host = McpToolHost::new(sandbox.clone(), config).expect("a valid configuration");
    let servers: Vec<_> = servers.iter().map(|name| server(name)).collect();
    host.connect(None, &SandboxId::new("sandbox"), &servers, Arc::new(|_| ())).await.expect("the sandbox is there")
}

pub(crate) async fn connect(sandbox: &Arc<FakeSandbox>, servers: &[&str]) -> Arc<dyn ToolSession> {
    connect_with(sandbox, servers, Config::default()).await
}

pub(crate) fn context() -> (CallContext, mpsc::Receiver<CallProgress>) {
    let (progress, taken) = mpsc::channel(64);
    let call = CallId::parse("c1").expect("a call id");
    let session = SessionId::parse("s1").expect("a session's id");
    (CallContext { session, call, progress, cancel: CancellationToken::new(), trace: None }, taken)
}

pub(crate) fn name(server: &str, tool: &str) -> ToolName {
    ToolName::namespaced(&ServerName::new(server), tool)
}

/// Calls a tool that exists.
pub(crate) async fn call(session: &dyn ToolSession, server: &str, tool: &str, args: Value) -> ToolResult {
    let (context, _progress) = context();
    session.call(&name(server, tool), args, context).await.expect("the tool exists")
}

pub(crate) async fn echoed(session: &dyn ToolSession, server: &str) -> String {
    call(session, server, "x", json!({"text": "still here"})).await.text()
}

#[track_caller]
pub(crate) fn assert_failed(result: &ToolResult, code: Code, message: &str) {
    let text: String = result.text().chars().take(500).collect();
    assert_eq!(result.outcome, Outcome::Failed(code), "{text}");
    assert!(text.contains(message), "{text}");
}
