//! The contract of `ToolHost`.

use crate::{
    sandbox::FakeSandbox,
    script::{Io, server, tool},
};
use async_trait::async_trait;
use lockkeeper_mcp_client::{Config, McpToolHost};
use lockkeeper_ports::{
    Exec, ExecSpec, ExecStatus, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary,
};
use lockkeeper_testkit::tools::{ToolHostFixture, contract::echo_schema};
use serde_json::json;
use std::sync::Arc;

async fn script(mut io: Io) -> ExecStatus {
    let echo = json!({"name": "echo", "inputSchema": echo_schema(), "annotations": {"readOnlyHint": true}});
    io.tools = vec![echo, tool("fail"), tool("hang"), tool("progress"), tool("crash")];
    while let Some(call) = io.call().await {
        let id = &call["id"];
        match call["params"]["name"].as_str() {
            Some("echo") => io.say(id, call["params"]["arguments"]["text"].as_str().unwrap_or_default()).await,
            Some("fail") => {
                let result = json!({"content": [{"type": "text", "text": "it failed"}], "isError": true});
                io.send(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
            }
            Some("progress") => {
                let token = &call["params"]["_meta"]["progressToken"];
                for step in 1..=3 {
                    let params = json!({"progressToken": token, "progress": step, "total": 3});
                    io.send(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})).await;
                }
                io.say(id, "done").await;
            }
            Some("crash") => return ExecStatus::Exited(3),
            _ => {}
        }
    }
    ExecStatus::Exited(0)
}

async fn fixture() -> ToolHostFixture {
    let sandbox = FakeSandbox::default();
    sandbox.program("alpha", script);
    sandbox.program("beta", script);
    let runtime = OneGone(sandbox);
    let host = McpToolHost::new(Arc::new(runtime), Config::default()).expect("the defaults are valid");
    ToolHostFixture {
        host: Arc::new(host),
        sandbox: SandboxId::new("there"),
        gone: SandboxId::new("gone"),
        alpha: server("alpha"),
        beta: server("beta"),
        dead: server("dead"),
        guard: Box::new(()),
    }
}

lockkeeper_testkit::tool_host_contract!(fixture);

/// A runtime that has lost one sandbox.
struct OneGone(FakeSandbox);

#[async_trait]
impl SandboxRuntime for OneGone {
    fn isolation(&self) -> Isolation {
        self.0.isolation()
    }

    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        self.0.start(spec, progress).await
    }

    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        if sandbox.as_str() == "gone" {
            return Err(SandboxError::Gone);
        }
        self.0.exec(sandbox, spec).await
    }

    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.0.stop(sandbox).await
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        self.0.list().await
    }
}
