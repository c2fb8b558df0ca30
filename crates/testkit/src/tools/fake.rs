use futures::{FutureExt, future::BoxFuture};
use lockkeeper_domain::{Annotations, Code, Content, ServerName, ToolDefinition, ToolName, ToolResult};
use lockkeeper_ports::{CallContext, CallProgress};
use serde_json::{Value, json};
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// What a fake tool does with a call. The session drops the future when the call is cancelled or the session closed.
pub type Behaviour = Arc<dyn Fn(Value, CallContext) -> BoxFuture<'static, ToolResult> + Send + Sync>;

/// A tool of a [`FakeToolHost`](super::FakeToolHost): a definition, and what a call does.
#[derive(Clone)]
pub struct FakeTool {
    /// What the session offers. May be changed before the tool is handed to a host.
    pub definition: ToolDefinition,
    pub(super) behaviour: Behaviour,
}

impl fmt::Debug for FakeTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTool").field("definition", &self.definition).finish_non_exhaustive()
    }
}

impl FakeTool {
    /// Tool `tool` of server `server`, which takes any object. A call does `behaviour`.
    pub fn new<F, R>(server: &str, tool: &str, behaviour: F) -> Self
    where
        F: Fn(Value, CallContext) -> R + Send + Sync + 'static,
        R: Future<Output = ToolResult> + Send + 'static,
    {
        let server = ServerName::new(server);
        Self {
            definition: ToolDefinition {
                name: ToolName::namespaced(&server, tool),
                fingerprint: format!("fake:{server}:{tool}"),
                tool: tool.to_owned(),
                title: None,
                description: format!("The {tool} of {server}."),
                input_schema: json!({"type": "object"}),
                annotations: Annotations::default(),
                server,
            },
            behaviour: Arc::new(move |args, context| behaviour(args, context).boxed()),
        }
    }

    /// Answers with its argument `text`, or with all arguments as JSON where there is none.
    pub fn echo(server: &str, tool: &str) -> Self {
        let echo = |args: Value, _| async move {
            let text = args.get("text").and_then(Value::as_str).map_or_else(|| args.to_string(), str::to_owned);
            ToolResult::succeeded(vec![Content::text(text)])
        };
        Self::new(server, tool, echo)
            .schema(json!({"type": "object", "properties": {"text": {"type": "string"}}, "x-kept": [1, {"a": null}]}))
    }

    /// Always answers `text`.
    pub fn says(server: &str, tool: &str, text: &str) -> Self {
        Self::answers(server, tool, ToolResult::succeeded(vec![Content::text(text)]))
    }

    /// Always fails with `code` and `message`.
    pub fn fails(server: &str, tool: &str, code: Code, message: &str) -> Self {
        Self::answers(server, tool, ToolResult::failed(code, message))
    }

    /// Always answers `result`.
    pub fn answers(server: &str, tool: &str, result: ToolResult) -> Self {
        Self::new(server, tool, move |_, _| {
            let result = result.clone();
            async move { result }
        })
    }

    /// Never answers: it runs until it is cancelled or its session closed.
    pub fn hangs(server: &str, tool: &str) -> Self {
        Self::new(server, tool, |_, _| std::future::pending())
    }

    /// Answers `text` once `gate` gives it a permit, which it keeps: a test lets calls finish one by one.
    pub fn waits_for(server: &str, tool: &str, gate: Arc<Semaphore>, text: &str) -> Self {
        let text = text.to_owned();
        Self::new(server, tool, move |_, _| {
            let (gate, text) = (gate.clone(), text.clone());
            async move {
                gate.acquire().await.expect("a test does not close its gate").forget();
                ToolResult::succeeded(vec![Content::text(text)])
            }
        })
    }

    /// Tells of `steps` steps of progress, then answers `done`.
    pub fn with_progress(server: &str, tool: &str, steps: u32) -> Self {
        Self::new(server, tool, move |_, context: CallContext| async move {
            for step in 1..=steps {
                let progress = CallProgress {
                    call_id: context.call.clone(),
                    progress: f64::from(step),
                    total: Some(f64::from(steps)),
                    message: Some(format!("step {step}")),
                };
                // A full channel drops progress, as the port says.
                let _ = context.progress.try_send(progress);
            }
            ToolResult::succeeded(vec![Content::text("done")])
        })
    }

    /// With this schema of its arguments.
    #[must_use]
    pub fn schema(mut self, schema: Value) -> Self {
        self.definition.input_schema = schema;
        self
    }

    /// With these hints.
    #[must_use]
    pub fn annotated(mut self, annotations: Annotations) -> Self {
        self.definition.annotations = annotations;
        // Another definition is another tool.
        self.definition.fingerprint += "'";
        self
    }
}
