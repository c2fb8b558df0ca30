//! What a session's owner may see of the files in its sandbox.
//!
//! A human looks at what is theirs: no model asked for it, no rule decides over it, and nothing of it is in the log. The built-in
//! server answers, from inside the sandbox, so that its own care with paths and links is all that leads to a file.

mod listing;

use crate::output::Output;
use listing::listed;
use lockkeeper_domain::{CallId, Code, Content, Failure, Outcome, ServerName, SessionId, ToolResult};
use lockkeeper_ports::{CallContext, ToolHostError, ToolSession};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

/// What a directory of the workspace holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Directory")]
pub struct Listing {
    /// Which directory, as it was asked for.
    pub path: String,
    /// What is in it, by name.
    pub entries: Vec<Entry>,
    /// How many more there are at least.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub left_out: u64,
}

/// What lies in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FileEntry")]
pub struct Entry {
    /// Its name; characters that could not be seen are written as escapes.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes, for files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Where it leads, for links.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FileKind")]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which is not followed.
    Link,
    /// A socket, a device, a pipe; or it went away while it was looked at.
    Other,
}

/// A part of a file of the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilePart {
    /// Which file, as it was asked for.
    pub path: String,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// Where the next part begins; none at the end of the file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_offset: Option<u64>,
    /// Text, cleaned as the output of tools is, or a whole image.
    pub content: Vec<Content>,
}

/// What somebody wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Look {
    List { path: String },
    Read { path: String, offset: u64, limit: u64 },
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen {
    Listing(Listing),
    Part(FilePart),
}

/// Has the built-in server, called `server`, show something within `patience`.
pub(crate) async fn look(
    session: &SessionId,
    look: Look,
    server: &ServerName,
    tools: &dyn ToolSession,
    output: &Output,
    patience: Duration,
) -> Result<Seen, Failure> {
    let (tool, args) = match &look {
        Look::List { path } => ("list_files", json!({ "path": path })),
        Look::Read { path, offset, limit } => {
            ("read_file", json!({ "path": path, "offset": offset, "limit": limit, "unit": "bytes" }))
        }
    };
    let result = ask(session, tool, args, server, tools, patience).await?;
    match (result.outcome, look) {
        (Outcome::Failed(Code::Cancelled), _) => {
            Err(Failure::new(Code::ToolTimeout, "The sandbox did not show it in time.").with_hint("Try again later."))
        }
        (Outcome::Failed(code), _) => {
            let said = output.clean(result).content.into_iter().find_map(|part| part.as_text().map(str::to_owned));
            Err(Failure::new(code, said.unwrap_or_else(|| "The sandbox cannot show it.".to_owned())))
        }
        (Outcome::Succeeded, Look::List { path }) => {
            let text = result.content.first().and_then(Content::as_text).unwrap_or_default();
            Ok(Seen::Listing(listed(path, text, output)))
        }
        (Outcome::Succeeded, Look::Read { path, offset, .. }) => Ok(Seen::Part(part(path, offset, result, output))),
    }
}

async fn ask(
    session: &SessionId,
    tool: &str,
    args: Value,
    server: &ServerName,
    tools: &dyn ToolSession,
    patience: Duration,
) -> Result<ToolResult, Failure> {
    let offered = tools.tools();
    let found = offered.iter().find(|offer| offer.server == *server && offer.tool == tool).map(|offer| &offer.name);
    let name = found.ok_or_else(|| {
        Failure::new(Code::SandboxUnavailable, "The sandbox's workspace server does not run.")
            .with_hint("Remove the sandbox; the next message starts a new one.")
    })?;
    let cancel = CancellationToken::new();
    let context = CallContext {
        session: session.clone(),
        call: CallId::parse("look").expect("four letters"),
        // Nobody hears of progress.
        progress: mpsc::channel(1).0,
        cancel: cancel.clone(),
        trace: None,
    };
    let mut call = pin!(tools.call(name, args, context));
    let outcome = tokio::select! {
        outcome = &mut call => outcome,
        () = sleep(patience) => {
            cancel.cancel();
            call.await
        }
    };
    outcome.map_err(|error| match error {
        ToolHostError::SandboxGone => no_sandbox(),
        ToolHostError::Unavailable(_) => {
            Failure::new(Code::SandboxUnavailable, format!("The files cannot be shown: {error}."))
                .with_hint("Try again later.")
        }
        ToolHostError::UnknownTool(_) => Failure::new(Code::Internal, "The sandbox cannot show files."),
    })
}

/// The first part is what the file holds; a second one is a notice, which says where it goes on.
fn part(path: String, offset: u64, result: ToolResult, output: &Output) -> FilePart {
    let mut content = result.content;
    let next_offset = content.get(1).and_then(Content::as_text).and_then(listing::next_offset);
    content.truncate(1);
    let content = output.clean(ToolResult::succeeded(content)).content;
    FilePart { path, offset, next_offset, content }
}

/// Why nothing can be seen while there is no sandbox.
pub(crate) fn no_sandbox() -> Failure {
    Failure::new(Code::SandboxUnavailable, "The session has no sandbox at the moment, so there are no files to show.")
        .with_hint("One that starts is there in a moment; after it was removed, the next message starts a new one.")
}

/// Why nothing can ever be seen here.
pub(crate) fn no_workspace() -> Failure {
    Failure::new(
        Code::UnknownTool,
        "The sandboxes of this server have no built-in workspace server, which shows files.",
    )
    .with_hint("`mcp.workspace = true` in the server's configuration brings it.")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
