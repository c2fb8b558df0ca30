//! What the tools are called, take and promise.

use std::{borrow::Cow, sync::Arc};

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::limits::Limits;

pub(crate) const READ_FILE: &str = "read_file";
pub(crate) const WRITE_FILE: &str = "write_file";
pub(crate) const LIST_FILES: &str = "list_files";
pub(crate) const EXECUTE_COMMAND: &str = "execute_command";

/// The tools as `tools/list` shows them, in that order.
pub(crate) fn definitions(limits: &Limits) -> Vec<Tool> {
    vec![read_file(limits), write_file(limits), list_files(limits), execute_command(limits)]
}

fn read_file(limits: &Limits) -> Tool {
    let description = format!(
        "Read a file: UTF-8 text, at most {} bytes a call, or a whole PNG, JPEG, GIF or WebP image.",
        limits.max_read_bytes
    );
    let input = input(
        &["path"],
        &json!({
            "path": path("The file"),
            "offset": {
                "type": "integer",
                "minimum": 0,
                "description": "Where to start: a line counted from 1, or a byte counted from 0."
            },
            "limit": { "type": "integer", "minimum": 1, "description": "Most lines or bytes to return." },
            "unit": {
                "type": "string",
                "enum": ["lines", "bytes"],
                "default": "lines",
                "description": "What offset and limit count."
            }
        }),
    );
    tool(READ_FILE, "Read file", description, input, reads())
}

fn write_file(limits: &Limits) -> Tool {
    let description = format!(
        "Create a file or replace its whole content, at most {} bytes. Missing directories are made.",
        limits.max_write_bytes
    );
    let input = input(
        &["path", "content"],
        &json!({
            "path": path("The file"),
            "content": { "type": "string", "description": "The whole new content." }
        }),
    );
    let replaces = ToolAnnotations::new().read_only(false).destructive(true).idempotent(true).open_world(false);
    tool(WRITE_FILE, "Write file", description, input, replaces)
}

fn list_files(limits: &Limits) -> Tool {
    let description =
        format!("List a directory: kind, name, and size or link target, at most {} entries.", limits.max_entries);
    let mut directory = path("The directory");
    directory["default"] = json!(".");
    let input = input(
        &[],
        &json!({
            "path": directory,
            "recursive": {
                "type": "boolean",
                "default": false,
                "description": "List the whole tree. Links are not followed."
            }
        }),
    );
    tool(LIST_FILES, "List files", description, input, reads())
}

fn execute_command(limits: &Limits) -> Tool {
    let description = "Run a shell command in the workspace, without standard input. \
        A background process must redirect its output to a file.";
    let input = input(
        &["command"],
        &json!({
            "command": { "type": "string", "description": "What `sh -c` runs." },
            "cwd": path("The directory to run in"),
            "timeout_ms": {
                "type": "integer",
                "minimum": 1,
                "maximum": limits.max_timeout_ms,
                "default": limits.timeout_ms,
                "description": "Milliseconds after which the command and its children are killed."
            }
        }),
    );
    let does_anything = ToolAnnotations::new().read_only(false).destructive(true).idempotent(false).open_world(true);
    tool(EXECUTE_COMMAND, "Run command", description, input, does_anything)
        .with_raw_output_schema(Arc::new(command_output()))
}

fn command_output() -> JsonObject {
    object(json!({
        "type": "object",
        "properties": {
            "exitCode": { "type": ["integer", "null"], "description": "Null if a signal ended it." },
            "signal": { "type": ["integer", "null"], "description": "The signal that ended it." },
            "timedOut": { "type": "boolean" },
            "stdout": { "type": "string" },
            "stderr": { "type": "string" },
            "durationMs": { "type": "integer", "minimum": 0 },
            "truncated": { "type": "boolean", "description": "Whether output was left out." }
        },
        "required":
            ["exitCode", "signal", "timedOut", "stdout", "stderr", "durationMs", "truncated"],
        "additionalProperties": false
    }))
}

fn tool(
    name: &'static str,
    title: &str,
    description: impl Into<Cow<'static, str>>,
    input: JsonObject,
    annotations: ToolAnnotations,
) -> Tool {
    Tool::new(name, description, input).with_title(title).with_annotations(annotations)
}

fn reads() -> ToolAnnotations {
    ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false)
}

fn path(what: &str) -> Value {
    json!({ "type": "string", "description": format!("{what}, relative to the workspace.") })
}

fn input(required: &[&str], properties: &Value) -> JsonObject {
    object(json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false
    }))
}

fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}
