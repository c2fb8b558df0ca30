use crate::{
    content::Content,
    instruments::{Instruments, label},
    journal::Journal,
    outcome::{SUCCEEDED, of_call},
    traces::Traces,
};
use async_trait::async_trait;
use futures::stream::BoxStream;
use lockkeeper_domain::{PrincipalId, ToolDefinition, ToolName, ToolResult};
use lockkeeper_ports::{
    CallContext, McpServer, ProgressSink, SandboxId, ServerHealth, ToolHost, ToolHostError, ToolSession,
    ToolSessionStatus,
};
use opentelemetry::trace::SpanKind;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// What is needed to tell of calls.
#[derive(Clone, Debug)]
pub(crate) struct Clerk {
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) traces: Traces,
    pub(crate) content: Content,
}

/// A host whose calls are measured, and whose servers are told of the trace that a call belongs to.
pub(crate) struct TimedTools {
    pub(crate) inner: Arc<dyn ToolHost>,
    pub(crate) clerk: Clerk,
}

#[async_trait]
impl ToolHost for TimedTools {
    async fn connect(
        &self,
        tenant: Option<PrincipalId>,
        sandbox: &SandboxId,
        servers: &[McpServer],
        progress: ProgressSink,
    ) -> Result<Arc<dyn ToolSession>, ToolHostError> {
        let inner = self.inner.connect(tenant, sandbox, servers, progress).await?;
        Ok(Arc::new(TimedSession { inner, clerk: self.clerk.clone() }))
    }

    fn health(&self) -> Vec<ServerHealth> {
        self.inner.health()
    }
}

struct TimedSession {
    inner: Arc<dyn ToolSession>,
    clerk: Clerk,
}

#[async_trait]
impl ToolSession for TimedSession {
    fn tools(&self) -> Arc<[ToolDefinition]> {
        self.inner.tools()
    }

    fn status(&self) -> Vec<ToolSessionStatus> {
        self.inner.status()
    }

    fn changes(&self) -> BoxStream<'static, ToolSessionStatus> {
        self.inner.changes()
    }

    fn redefinitions(&self) -> BoxStream<'static, ToolDefinition> {
        self.inner.redefinitions()
    }

    fn assign(&self, tenant: &PrincipalId) {
        self.inner.assign(tenant);
    }

    fn accept(&self, tool: &ToolName, fingerprint: &str) {
        self.inner.accept(tool, fingerprint);
    }

    async fn call(&self, tool: &ToolName, args: Value, mut context: CallContext) -> Result<ToolResult, ToolHostError> {
        let tools = self.inner.tools();
        let Some(known) = tools.iter().find(|known| known.name == *tool) else {
            return self.inner.call(tool, args, context).await;
        };
        let Clerk { instruments, journal, traces, content } = &self.clerk;
        let parent = journal.call(&context.session, &context.call);
        let mut attributes = vec![
            label("mcp.method.name", "tools/call"),
            label("gen_ai.operation.name", "execute_tool"),
            label("gen_ai.tool.name", known.tool.clone()),
            label("network.transport", "pipe"),
            label("lockkeeper.mcp.server", known.server.as_str().to_owned()),
        ];
        attributes.extend(content.attribute("gen_ai.tool.call.arguments", || args.to_string()));
        let work = traces.begin(format!("tools/call {}", known.tool), SpanKind::Client, &parent, attributes);
        context.trace = work.place();
        let began = Instant::now();
        let called = self.inner.call(tool, args, context).await;
        let outcome = called.as_ref().map_or("not_sent", |result| of_call(result.outcome));
        // The conventions' word for a tool that ran and says that it failed.
        let error = match outcome {
            SUCCEEDED => None,
            "tool_failed" => Some("tool_error"),
            other => Some(other),
        };
        instruments.called(known.server.as_str(), &known.tool, error, began.elapsed());
        work.end(error);
        called
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
