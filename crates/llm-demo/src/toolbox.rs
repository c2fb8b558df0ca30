//! From an action to a call of a tool that the session offers.

use crate::action::Action;
use lockkeeper_domain::ToolDefinition;
use serde_json::{Value, json};

/// The call that does what `action` says; else the name of the tool that the session lacks for it.
pub(crate) fn propose(action: &Action, tools: &[ToolDefinition]) -> Result<(String, Value), &'static str> {
    let (tool, args) = match action {
        Action::List { path } => ("list_files", json!({"path": path})),
        Action::Read { path } => ("read_file", json!({"path": path})),
        Action::Write { path, content } => ("write_file", json!({"path": path, "content": content})),
        Action::Run { command } => ("execute_command", json!({"command": command})),
        Action::Call { name, args } => return Ok((exposed_name(name, tools), args.clone())),
    };
    tools.iter().find(|t| t.tool == tool).map(|t| (t.name.as_str().to_owned(), args)).ok_or(tool)
}

/// The model's name of the tool that `name` means: its own, or its server's word for it. An unknown one stays as it
/// is: a model, too, may ask for what is not there.
pub(crate) fn exposed_name(name: &str, tools: &[ToolDefinition]) -> String {
    let exact = tools.iter().find(|t| t.name.as_str() == name);
    exact.or_else(|| tools.iter().find(|t| t.tool == name)).map_or(name, |t| t.name.as_str()).to_owned()
}
