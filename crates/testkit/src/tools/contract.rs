//! What every `ToolHost` must do, as tests for [`tool_host_contract!`](crate::tool_host_contract).

mod requirements;

pub use requirements::*;

use lockkeeper_ports::{McpServer, SandboxId, ToolHost};
use serde_json::{Value, json};
use std::sync::Arc;

/// A host and what the suite needs around it.
///
/// `alpha` and `beta` are servers with these tools: `echo` answers its argument `text`, has [`echo_schema`] and is
/// hinted to change nothing; `fail` is a tool that runs and says, as an error, `it failed`; `hang` never answers;
/// `progress` tells of three steps and answers `done`; `crash` ends its server, if the host has such a thing,
/// and is else a failed call. `dead` is a server that cannot be started.
pub struct ToolHostFixture {
    /// The host.
    pub host: Arc<dyn ToolHost>,
    /// A sandbox that is there.
    pub sandbox: SandboxId,
    /// A sandbox that is not.
    pub gone: SandboxId,
    /// A working server.
    pub alpha: McpServer,
    /// Another one.
    pub beta: McpServer,
    /// One that does not work.
    pub dead: McpServer,
    /// Held until the test is over.
    pub guard: Box<dyn std::any::Any + Send>,
}

/// The schema that `echo` must have: with a keyword that no typed schema knows, and members in no particular order.
pub fn echo_schema() -> Value {
    json!({
        "type": "object",
        "x-kept": [1, {"z": null, "a": 1.5}],
        "properties": {"text": {"type": "string", "examples": ["a"]}},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    })
}

/// Makes a test of each requirement. `$fixture` is an async function that makes a [`ToolHostFixture`].
#[macro_export]
macro_rules! tool_host_contract {
    ($fixture:path) => {
        $crate::tool_host_contract! {
            @each $fixture;
            tools_of_all_servers_are_merged,
            a_schema_is_kept_as_it_was_sent,
            a_server_that_fails_is_left_out_and_told,
            a_gone_sandbox_is_an_error,
            a_call_gives_what_the_tool_said,
            a_tool_that_reports_an_error_is_a_result,
            an_unknown_tool_is_an_error,
            a_cancelled_call_returns,
            a_call_that_is_cancelled_before_it_starts_is_not_made,
            progress_reaches_the_call,
            progress_that_nobody_takes_blocks_nothing,
            parallel_calls_get_their_own_answers,
            a_server_that_ends_harms_its_own_calls_only,
            close_ends_calls_with_a_result,
            close_is_idempotent_and_no_call_succeeds_after_it,
        }
    };
    (@each $fixture:path; $($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::tools::contract::$name($fixture().await).await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use super::{ToolHostFixture, echo_schema};
    use crate::tools::{FakeTool, FakeToolHost};
    use lockkeeper_domain::{Annotations, Code, ServerName};
    use lockkeeper_ports::{McpServer, SandboxId};
    use std::{collections::BTreeMap, sync::Arc};

    fn server(name: &str) -> McpServer {
        McpServer {
            name: ServerName::new(name),
            command: vec![name.to_owned()],
            env: BTreeMap::new(),
            tools: None,
            advice: None,
        }
    }

    async fn fake() -> ToolHostFixture {
        let read_only = Annotations { read_only_hint: Some(true), ..Annotations::default() };
        let host = FakeToolHost::new(["alpha", "beta"].into_iter().flat_map(|server| {
            [
                FakeTool::echo(server, "echo").schema(echo_schema()).annotated(read_only.clone()),
                FakeTool::fails(server, "fail", Code::ToolFailed, "it failed"),
                FakeTool::hangs(server, "hang"),
                FakeTool::with_progress(server, "progress", 3),
                FakeTool::fails(server, "crash", Code::ToolCrashed, "it ended"),
            ]
        }));
        host.take_down("dead", Code::ToolCrashed, "no such program");
        let gone = SandboxId::new("gone");
        host.lose_sandbox(&gone);
        ToolHostFixture {
            host: Arc::new(host),
            sandbox: SandboxId::new("sandbox"),
            gone,
            alpha: server("alpha"),
            beta: server("beta"),
            dead: server("dead"),
            guard: Box::new(()),
        }
    }

    crate::tool_host_contract!(fake);
}
