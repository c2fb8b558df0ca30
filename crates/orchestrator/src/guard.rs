//! A tool host whose every string is clean: what MCP servers say of themselves and their tools passes through [`Output`].
//!
//! The adapter removes what nobody sees; only the orchestrator knows the secrets of the configuration. The results and the
//! progress of calls are cleaned where the actor takes them.

use crate::output::Output;
use futures::{StreamExt as _, future, stream::BoxStream};
use lockkeeper_domain::{PrincipalId, ServerName, ToolDefinition, ToolName, ToolResult};
use lockkeeper_ports::{
    CallContext, LeftOutTool, McpServer, ProgressSink, SandboxId, ServerHealth, ToolHost, ToolHostError, ToolSession,
    ToolSessionStatus,
};
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A tool host behind the cleaning step.
pub(crate) struct CleanHost {
    inner: Arc<dyn ToolHost>,
    output: Arc<Output>,
}

impl CleanHost {
    pub(crate) fn new(inner: Arc<dyn ToolHost>, output: Arc<Output>) -> Self {
        Self { inner, output }
    }
}

#[async_trait::async_trait]
impl ToolHost for CleanHost {
    async fn connect(
        &self,
        tenant: Option<PrincipalId>,
        sandbox: &SandboxId,
        servers: &[McpServer],
        progress: ProgressSink,
    ) -> Result<Arc<dyn ToolSession>, ToolHostError> {
        let inner = self.inner.connect(tenant, sandbox, servers, progress).await?;
        Ok(Arc::new(CleanSession { inner, offered: Mutex::default(), output: Arc::clone(&self.output) }))
    }

    fn health(&self) -> Vec<ServerHealth> {
        self.inner.health()
    }
}

/// The session of a [`CleanHost`].
struct CleanSession {
    inner: Arc<dyn ToolSession>,
    offered: Mutex<Offered>,
    output: Arc<Output>,
}

/// A list of tools, cleaned once.
#[derive(Default)]
struct Offered {
    /// The list as the inner session gave it.
    raw: Arc<[ToolDefinition]>,
    tools: Arc<[ToolDefinition]>,
    left_out: Vec<(ServerName, LeftOutTool)>,
}

impl CleanSession {
    fn offered(&self) -> MutexGuard<'_, Offered> {
        let raw = self.inner.tools();
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&offered.raw, &raw) {
            let mut left_out = Vec::new();
            let clean = |tool: &ToolDefinition| {
                let clean = definition(&self.output, tool.clone());
                if clean.is_none() {
                    let reason = "its definition holds a secret of the configuration".to_owned();
                    let tool_name = self.output.text(&tool.tool);
                    left_out.push((tool.server.clone(), LeftOutTool { tool: tool_name, reason }));
                }
                clean
            };
            let tools = raw.iter().filter_map(clean).collect();
            *offered = Offered { raw, tools, left_out };
        }
        offered
    }
}

#[async_trait::async_trait]
impl ToolSession for CleanSession {
    fn tools(&self) -> Arc<[ToolDefinition]> {
        Arc::clone(&self.offered().tools)
    }

    fn status(&self) -> Vec<ToolSessionStatus> {
        let status = self.inner.status();
        let offered = self.offered();
        let clean = |news: ToolSessionStatus| {
            let mut news = clean_status(&self.output, news);
            let left_out = offered.left_out.iter().filter(|(server, _)| *server == news.server);
            let before = news.left_out.len();
            news.left_out.extend(left_out.map(|(_, tool)| tool.clone()));
            let withheld = news.left_out.len() - before;
            news.tools = news.tools.map(|tools| tools.saturating_sub(withheld));
            news
        };
        status.into_iter().map(clean).collect()
    }

    fn changes(&self) -> BoxStream<'static, ToolSessionStatus> {
        let output = Arc::clone(&self.output);
        self.inner.changes().map(move |news| clean_status(&output, news)).boxed()
    }

    fn redefinitions(&self) -> BoxStream<'static, ToolDefinition> {
        let output = Arc::clone(&self.output);
        self.inner.redefinitions().filter_map(move |tool| future::ready(definition(&output, tool))).boxed()
    }

    fn assign(&self, tenant: &PrincipalId) {
        self.inner.assign(tenant);
    }

    fn accept(&self, tool: &ToolName, fingerprint: &str) {
        self.inner.accept(tool, fingerprint);
    }

    async fn call(&self, tool: &ToolName, args: Value, context: CallContext) -> Result<ToolResult, ToolHostError> {
        self.inner.call(tool, args, context).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

fn clean_status(output: &Output, status: ToolSessionStatus) -> ToolSessionStatus {
    let clean = |tool: LeftOutTool| LeftOutTool { tool: output.text(&tool.tool), reason: output.text(&tool.reason) };
    ToolSessionStatus {
        problem: status.problem.map(|problem| output.text(&problem)),
        left_out: status.left_out.into_iter().map(clean).collect(),
        ..status
    }
}

/// Returns the definition with clean texts. `None` if its name or the schema's structure holds a secret: without it, the schema
/// would mean something else.
fn definition(output: &Output, tool: ToolDefinition) -> Option<ToolDefinition> {
    let input_schema = output.schema(&tool.input_schema);
    let (Some(input_schema), true) = (input_schema, output.text(&tool.tool) == tool.tool) else {
        tracing::warn!(mcp.server = %tool.server, "left out a tool whose definition holds a secret");
        return None;
    };
    let title = tool.title.map(|title| output.text(&title));
    Some(ToolDefinition { title, description: output.text(&tool.description), input_schema, ..tool })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{Annotations, Code, ServerName};
    use lockkeeper_ports::ServerState;
    use lockkeeper_sanitizer::Config;
    use secrecy::SecretString;
    use serde_json::json;

    fn output() -> Output {
        Output::new(&Config::default(), &[SecretString::from("correct-horse")], &[])
    }

    fn tool(schema: Value) -> ToolDefinition {
        let server = ServerName::new("s");
        ToolDefinition {
            name: ToolName::namespaced(&server, "t"),
            server,
            tool: "t".to_owned(),
            title: Some("correct-horse".to_owned()),
            description: "uses correct-horse".to_owned(),
            input_schema: schema,
            annotations: Annotations::default(),
            fingerprint: "f".to_owned(),
        }
    }

    /// Covers: S2-4
    #[test]
    fn problems_of_servers_hold_no_known_secret() {
        let raw = ToolSessionStatus {
            server: ServerName::new("s"),
            state: ServerState::Down,
            tools: None,
            problem: Some("its standard error ends with: KEY=correct-horse\u{1b}[2J".to_owned()),
            code: Some(Code::ToolCrashed),
            left_out: Vec::new(),
        };
        let problem = clean_status(&output(), raw).problem.expect("a problem");
        assert!(problem.starts_with("its standard error ends with: KEY=[REDACTED:secret:"), "{problem}");
        assert!(problem.ends_with(']'), "{problem}");
    }

    /// Covers: S2-5
    #[test]
    fn definitions_hold_no_known_secret() {
        let schema = json!({"properties": {"a": {"description": "say correct-horse", "default": "correct-horse"}}});
        let clean = definition(&output(), tool(schema)).expect("a tool");
        let all = serde_json::to_string(&clean).expect("json");
        assert!(!all.contains("correct-horse") && all.matches("[REDACTED:secret:").count() == 4, "{all}");
        assert_eq!(clean.fingerprint, "f");
        let structural = json!({"properties": {"a": {"const": "correct-horse"}}});
        assert!(definition(&output(), tool(structural)).is_none());
    }
}
