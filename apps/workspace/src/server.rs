//! The MCP side: which tool a call names, and how its outcome is told.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    time::{Instant, interval_at, timeout},
};

use crate::{
    command::{self, ExecuteCommand, Outcome, ProcessGroup},
    files::{self, ListFiles, ReadFile, Reading, Workspace, WriteFile},
    limits::Limits,
    tool_error::ToolError,
    tools,
};

/// Beyond the grace, how long the end of the session waits for commands to end.
const END_MARGIN: Duration = Duration::from_secs(3);

/// The server of one session.
pub(crate) struct WorkspaceServer {
    workspace: Arc<Workspace>,
    limits: Limits,
    tools: Vec<Tool>,
    /// One permit for each command that may run.
    commands: Semaphore,
    /// What commands left running on purpose; it ends with the session.
    background: Mutex<Vec<ProcessGroup>>,
}

impl WorkspaceServer {
    pub(crate) fn new(workspace: Workspace, limits: Limits) -> Self {
        Self {
            workspace: Arc::new(workspace),
            tools: tools::definitions(&limits),
            commands: Semaphore::new(limits.max_commands as usize),
            background: Mutex::default(),
            limits,
        }
    }

    /// Waits for the commands of cancelled calls to be ended, then ends what
    /// runs in the background.
    pub(crate) async fn end_commands(&self) {
        let all = self.commands.acquire_many(self.limits.max_commands);
        // Elapsed: a process does not even obey KILL, and nothing more can be done.
        let _ = timeout(self.limits.kill_grace() + END_MARGIN, all).await;
        self.background.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn call(
        &self,
        name: &str,
        arguments: JsonObject,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ToolError> {
        match name {
            tools::READ_FILE => {
                let request: ReadFile = parse(name, arguments)?;
                let reading = self.with_files(context, move |workspace, limits, cancelled| {
                    files::read(workspace, limits, &request, cancelled)
                });
                reading.await.map(read_result)
            }
            tools::WRITE_FILE => {
                let request: WriteFile = parse(name, arguments)?;
                let written =
                    self.with_files(context, move |workspace, limits, _| files::write(workspace, limits, &request));
                written.await.map(text_result)
            }
            tools::LIST_FILES => {
                let request: ListFiles = parse(name, arguments)?;
                let listing = self.with_files(context, move |workspace, limits, cancelled| {
                    files::list(workspace, limits, &request, cancelled)
                });
                listing.await.map(text_result)
            }
            _ => self.command(&parse(name, arguments)?, context).await,
        }
    }

    /// Runs blocking file access off the one async thread.
    async fn with_files<T: Send + 'static>(
        &self,
        context: RequestContext<RoleServer>,
        access: impl FnOnce(&Workspace, &Limits, &dyn Fn() -> bool) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let workspace = Arc::clone(&self.workspace);
        let limits = self.limits.clone();
        tokio::task::spawn_blocking(move || access(&workspace, &limits, &|| context.ct.is_cancelled()))
            .await
            .unwrap_or_else(|error| Err(ToolError::new(format!("The file access failed: {error}."))))
    }

    async fn command(
        &self,
        request: &ExecuteCommand,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ToolError> {
        let _permit = self.commands.try_acquire().map_err(|_| {
            ToolError::new(format!(
                "{} commands are running already. Wait for one to end, then try again.",
                self.limits.max_commands
            ))
        })?;
        let cancelled = context.ct.cancelled();
        let running = command::execute(&self.workspace, &self.limits, request, cancelled);
        let mut outcome = match context.meta.get_progress_token() {
            Some(token) => {
                let every = Duration::from_millis(self.limits.progress_ms);
                let total = request.timeout(&self.limits)?;
                let reporting = report_progress(&context.peer, token, every, total);
                // Side by side: a client that does not read must not hold the command up.
                tokio::select! {
                    outcome = running => outcome?,
                    () = reporting => return Err(ToolError::new("The progress reports ended.")),
                }
            }
            None => running.await?,
        };
        let result = command_result(&outcome);
        if let Some(group) = outcome.background.take() {
            let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
            background.retain(ProcessGroup::is_alive);
            background.push(group);
        }
        Ok(result)
    }
}

impl ServerHandler for WorkspaceServer {
    fn get_info(&self) -> ServerConfig {
        let identity = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(identity)
            .with_instructions("Files and commands of one sandboxed workspace.")
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name;
        if !self.tools.iter().any(|tool| tool.name == name) {
            return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None));
        }
        let outcome = self.call(&name, request.arguments.unwrap_or_default(), context).await;
        let result = outcome.unwrap_or_else(|error| CallToolResult::error(vec![ContentBlock::text(error.to_string())]));
        Ok(result.into())
    }
}

fn parse<T: DeserializeOwned>(name: &str, arguments: JsonObject) -> Result<T, ToolError> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| ToolError::new(format!("The arguments of {name} are not valid: {error}.")))
}

/// Tells the client every so often that the command still runs; never ends.
async fn report_progress(peer: &Peer<RoleServer>, token: ProgressToken, every: Duration, total: Duration) {
    let started = Instant::now();
    let mut ticks = pin!(interval_at(started + every, every));
    loop {
        let elapsed = ticks.tick().await - started;
        let progress = ProgressNotificationParam::new(token.clone(), elapsed.as_secs_f64())
            .with_total(total.as_secs_f64())
            .with_message(format!("Running for {:.1} s", elapsed.as_secs_f64()));
        // A client that is gone shows on its requests, not here.
        let _ = peer.notify_progress(progress).await;
    }
}

fn text_result(text: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn read_result(reading: Reading) -> CallToolResult {
    CallToolResult::success(match reading {
        Reading::Text { text, notice } => {
            // Apart from the text, which stays exactly what the file holds.
            [Some(text), notice].into_iter().flatten().map(ContentBlock::text).collect()
        }
        Reading::Image(picture) => vec![ContentBlock::image(picture.base64, picture.mime_type)],
    })
}

fn command_result(outcome: &Outcome) -> CallToolResult {
    let content = vec![ContentBlock::text(command_text(outcome))];
    let mut result =
        if outcome.succeeded() { CallToolResult::success(content) } else { CallToolResult::error(content) };
    result.structured_content = Some(json!({
        "exitCode": outcome.exit_code(),
        "signal": outcome.signal(),
        "timedOut": outcome.timed_out,
        "stdout": outcome.stdout.text,
        "stderr": outcome.stderr.text,
        "durationMs": u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        "truncated": outcome.stdout.truncated || outcome.stderr.truncated,
    }));
    result
}

fn command_text(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    if !outcome.stdout.text.is_empty() {
        parts.push(outcome.stdout.text.trim_end_matches('\n').to_owned());
    }
    if !outcome.stderr.text.is_empty() {
        parts.push(format!("[stderr]\n{}", outcome.stderr.text.trim_end_matches('\n')));
    }
    if outcome.timed_out {
        let millis = outcome.duration.as_millis();
        parts.push(format!("[Timed out and killed after {millis} ms. A longer timeout_ms may help.]"));
    } else if let Some(signal) = outcome.signal() {
        parts.push(format!("[Ended by signal {signal}.]"));
    } else if let Some(code @ 1..) = outcome.exit_code() {
        parts.push(format!("[Exit code {code}.]"));
    }
    if outcome.background.is_some() {
        parts.push("[Processes go on in the background.]".to_owned());
    }
    if parts.is_empty() {
        parts.push("[No output.]".to_owned());
    }
    parts.join("\n")
}
