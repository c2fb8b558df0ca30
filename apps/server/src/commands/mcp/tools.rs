//! `lockkeeper mcp tools`.

use super::probe::probe;
use crate::{
    cli::McpToolsArgs,
    config::{Loaded, policy},
    exit::Stop,
};
use lockkeeper_domain::{Annotations, Asked, Policy, Rule, ToolDefinition, Verdict};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Lists the tools that a session would have, what their servers say of them, and what the gate would.
pub(super) async fn tools(loaded: Loaded, args: &McpToolsArgs) -> Result<ExitCode, Stop> {
    let policy::Rules { policy, problems } = policy::rules(&loaded);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    let probe = probe(loaded, args.name.as_deref(), args.accept_no_isolation).await?;
    let (tools, status) = (probe.session.tools(), probe.session.status());
    let rows: Vec<_> = tools.iter().map(|tool| (tool, Judged::of(&policy, tool, &args.user))).collect();
    if args.json {
        println!("{:#}", rows.iter().map(|(tool, judged)| described(tool, judged)).collect::<Value>());
    } else {
        print(&rows);
    }
    for left_out in status.iter().flat_map(|status| &status.left_out) {
        eprintln!("lockkeeper: left out {}: {}", left_out.tool, left_out.reason);
    }
    let down: Vec<_> = status.into_iter().filter_map(|status| status.problem).collect();
    for problem in &down {
        eprintln!("lockkeeper: {problem}");
    }
    probe.end().await;
    Ok(if down.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the gate would say of a call without arguments.
struct Judged {
    decision: &'static str,
    why: String,
    /// Whether a rule looks at arguments of this tool.
    depends: bool,
}

impl Judged {
    fn of(policy: &Policy, tool: &ToolDefinition, user: &str) -> Self {
        let none = json!({});
        let asked = Asked::of(tool, &none, user);
        let (decision, why) = match policy.judge(asked) {
            Verdict::Allow { why } => ("allow", why),
            Verdict::Ask { why } => ("ask", why),
            Verdict::Deny { why } => ("deny", why),
        };
        let whatever = |rule: &Rule| Rule { args: std::collections::BTreeMap::new(), ..rule.clone() };
        let depends = policy.rules().iter().any(|rule| !rule.args.is_empty() && whatever(rule).covers(asked));
        Self { decision, why, depends }
    }
}

fn print(rows: &[(&ToolDefinition, Judged)]) {
    let name = |tool: &ToolDefinition| format!("{}.{}", tool.server, tool.tool);
    let width = rows.iter().map(|(tool, _)| name(tool).chars().count()).max().unwrap_or_default();
    let hints: Vec<_> = rows.iter().map(|(tool, _)| hints(&tool.annotations)).collect();
    let hint_width = hints.iter().map(String::len).max().unwrap_or_default();
    for ((tool, judged), hints) in rows.iter().zip(&hints) {
        let depends = if judged.depends { "; its arguments may change that" } else { "" };
        println!("{:<width$}  {hints:<hint_width$}  {:<5}  {}{depends}", name(tool), judged.decision, judged.why);
    }
}

/// What its server says of the tool, in a word or two.
fn hints(annotations: &Annotations) -> String {
    let said = [
        ("read-only", annotations.read_only_hint),
        ("destructive", annotations.destructive_hint),
        ("idempotent", annotations.idempotent_hint),
        ("open-world", annotations.open_world_hint),
    ];
    let words: Vec<_> = said.into_iter().filter(|(_, hint)| *hint == Some(true)).map(|(word, _)| word).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

fn described(tool: &ToolDefinition, judged: &Judged) -> Value {
    json!({
        "server": tool.server, "tool": tool.tool, "name": tool.name, "title": tool.title, "description": tool.description,
        "inputSchema": tool.input_schema, "annotations": tool.annotations,
        "decision": judged.decision, "why": judged.why, "dependsOnArguments": judged.depends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{ServerName, ToolName};

    #[test]
    fn a_tool_is_judged_without_arguments_and_rules_about_them_are_told() {
        let server = ServerName::new("fs");
        let tool = ToolDefinition {
            name: ToolName::namespaced(&server, "read"),
            server,
            tool: "read".to_owned(),
            title: None,
            description: String::new(),
            input_schema: json!({}),
            annotations: Annotations {
                read_only_hint: Some(true),
                open_world_hint: Some(true),
                ..Annotations::default()
            },
            fingerprint: String::new(),
        };
        let policy = |text: &str| toml::from_str::<crate::config::Config>(text).expect("a configuration").policy.rules;
        let judged = |text: &str| {
            let Judged { decision, why, depends } = Judged::of(&policy(text), &tool, "local");
            (decision, why, depends)
        };
        assert_eq!(judged(""), ("ask", "no rule covers this tool".to_owned(), false));
        let allow = "[[policy.rules]]\ntool = 'read'\ndecision = 'allow'\n";
        assert_eq!(judged(allow), ("allow", "rule 1 for *.read".to_owned(), false));
        let unless = format!("{allow}[[policy.rules]]\nargs.path.matches = '*.env'\ndecision = 'deny'\n");
        assert_eq!(judged(&unless), ("allow", "rule 1 for *.read".to_owned(), true));
        assert_eq!(hints(&tool.annotations), "read-only,open-world");
    }
}
