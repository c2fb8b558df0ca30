use crate::{
    checks::{Checked, Schemas},
    output::Output,
};
use lockkeeper_domain::{
    Asked, Code, DecisionRule, GrantScope, JudgedCall, Judgement, Policy, Rule, RuleId, Session, StoredRule, ToolCall,
    ToolDefinition, ToolName, Verdict,
};
use lockkeeper_ports::ProposedCall;
use lockkeeper_sanitizer::Found;
use serde_json::Value;
use std::sync::Arc;

/// What decides over calls.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    pub(crate) policy: &'a Policy,
    /// What the user's approvals have stored.
    pub(crate) stored: &'a [StoredRule],
    pub(crate) output: &'a Output,
    /// Whose session it is.
    pub(crate) user: &'a str,
}

/// A session's tools, with their schemas ready to check arguments.
pub(crate) struct Catalog {
    tools: Arc<[ToolDefinition]>,
    schemas: Schemas,
}

impl Catalog {
    pub(crate) fn new(tools: Arc<[ToolDefinition]>) -> Self {
        let schemas = Schemas::of(&tools);
        Self { tools, schemas }
    }

    /// The same tools, but this one as it is now.
    pub(crate) fn with(&self, now: &ToolDefinition) -> Self {
        let redefined = |tool: &ToolDefinition| if tool.name == now.name { now.clone() } else { tool.clone() };
        Self { tools: self.tools.iter().map(redefined).collect(), schemas: self.schemas.with(now) }
    }

    /// Returns these tools with those of `now` that are not among them, and the latter alone. `None` if there are none.
    pub(crate) fn grown(&self, now: &[ToolDefinition]) -> Option<(Self, Vec<ToolDefinition>)> {
        let is_new = |tool: &&ToolDefinition| !self.tools.iter().any(|known| known.name == tool.name);
        let added: Vec<_> = now.iter().filter(is_new).cloned().collect();
        if added.is_empty() {
            return None;
        }
        let mut all: Vec<_> = self.tools.iter().chain(&added).cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Some((Self::new(all.into()), added))
    }

    pub(crate) fn tools(&self) -> &Arc<[ToolDefinition]> {
        &self.tools
    }

    /// What arguments are checked against.
    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// What the gate says of a call that the model proposes, and whose arguments were checked.
    pub(crate) fn judge(
        &self,
        (call, checked): (ProposedCall, Checked),
        session: &Session,
        gate: Gate<'_>,
    ) -> JudgedCall {
        let name = ToolName::as_written(call.name);
        let Some(tool) = self.tools.iter().find(|t| t.name == name) else {
            let known: Vec<_> = self.tools.iter().map(|t| t.name.as_str()).collect();
            let message = format!("No tool is called {name}. The tools are: {}.", known.join(", "));
            return JudgedCall {
                provider_id: call.provider_id,
                tool: name.as_str().to_owned(),
                name,
                server: None,
                args: call.args,
                judgement: Judgement::Refuse { code: Code::UnknownTool, message },
                annotations: lockkeeper_domain::Annotations::default(),
                fingerprint: String::new(),
                rule: None,
                always: None,
                scopes: Vec::new(),
                granted: false,
                pin: None,
            };
        };
        let args = if call.args.is_null() { Value::Object(serde_json::Map::new()) } else { call.args };
        let asked = Asked::of(tool, &args, gate.user);
        let considered = match checked {
            _ if session.is_quarantined(&tool.name) => {
                let message =
                    "The tool's definition changed; it is held back until a human trusts it again.".to_owned();
                Judgement::Refuse { code: Code::ToolChanged, message }.into()
            }
            Err(message) => Judgement::Refuse { code: Code::InvalidArguments, message }.into(),
            Ok(()) => consider(asked, session, gate),
        };
        let Considered { judgement, rule, always, scopes, granted } =
            hold_back(considered, gate.output.secret_in(&args).as_ref());
        JudgedCall {
            provider_id: call.provider_id,
            name,
            server: Some(tool.server.clone()),
            tool: tool.tool.clone(),
            args,
            judgement,
            annotations: tool.annotations.clone(),
            fingerprint: tool.fingerprint.clone(),
            rule,
            always,
            scopes,
            granted,
            pin: (!session.has_pinned(&tool.name)).then(|| Box::new(tool.kept())),
        }
    }

    /// Why a call must not run, though it was let through: the tool is not the one that was judged, or a rule denies it as
    /// it is now.
    pub(crate) fn objection(&self, call: &ToolCall, judged: Option<&str>, gate: Gate<'_>) -> Option<(Code, String)> {
        let Some(tool) = self.tools.iter().find(|tool| tool.name == call.name) else {
            return Some((Code::ToolChanged, "The tool is not offered any more; the call was not run.".to_owned()));
        };
        if judged.is_none_or(|judged| judged != tool.fingerprint) {
            let said = "The tool's definition changed after the call was let through; the call was not run.";
            return Some((Code::ToolChanged, said.to_owned()));
        }
        self.denial(call, &call.args, gate).map(|said| (Code::Denied, said))
    }

    /// The fingerprint of a tool's definition as it is now.
    pub(crate) fn fingerprint(&self, tool: &ToolName) -> Option<&str> {
        self.tools.iter().find(|offered| offered.name == *tool).map(|offered| offered.fingerprint.as_str())
    }

    /// The rule that denies the call with these arguments, for people.
    pub(crate) fn denial(&self, call: &ToolCall, args: &Value, gate: Gate<'_>) -> Option<String> {
        let tool = self.tools.iter().find(|tool| tool.name == call.name)?;
        match gate.policy.judge(Asked::of(tool, args, gate.user)) {
            Verdict::Deny { why } => Some(denied_by(&why)),
            Verdict::Ask { .. } | Verdict::Allow { .. } => None,
        }
    }
}

/// What people and the model are told of a call that a rule denies.
pub(crate) fn denied_by(why: &str) -> String {
    format!("The operator's {why} does not let this tool run.")
}

/// A judgement, and what comes with it.
struct Considered {
    judgement: Judgement,
    /// The stored rule that lets the call run.
    rule: Option<RuleId>,
    /// The rule that an approval for always would store.
    always: Option<Rule>,
    /// The scopes that an approval for the session may have.
    scopes: Vec<GrantScope>,
    /// Whether a grant for the session lets the call run.
    granted: bool,
}

impl From<Judgement> for Considered {
    fn from(judgement: Judgement) -> Self {
        Self { judgement, rule: None, always: None, scopes: Vec::new(), granted: false }
    }
}

fn consider(asked: Asked<'_>, session: &Session, gate: Gate<'_>) -> Considered {
    let why = match gate.policy.judge(asked) {
        Verdict::Deny { why } => return Judgement::Refuse { code: Code::Denied, message: denied_by(&why) }.into(),
        Verdict::Allow { why } => return Judgement::Run { why }.into(),
        Verdict::Ask { why } => why,
    };
    // A rule of the operator's that asks is answered by a human each time: by no grant and by no stored rule.
    if gate.policy.decisive(asked).is_some() {
        return Judgement::Ask { why }.into();
    }
    if let Some(grant) = session.grant_for(asked) {
        let why = format!("allowed for this session by {}", grant.by);
        return Considered { granted: true, ..Judgement::Run { why }.into() };
    }
    let lets_run = |stored: &&StoredRule| stored.rule.decision == DecisionRule::Allow && stored.rule.covers(asked);
    if let Some(stored) = gate.stored.iter().find(lets_run).filter(|_| !session.denials().hold(asked)) {
        let why = format!("always allowed by {}, rule {}", gate.user, stored.id);
        return Considered { rule: Some(stored.id.clone()), ..Judgement::Run { why }.into() };
    }
    let always = Rule::always(asked).filter(|rule| !session.denials().any_within(rule));
    Considered { always, scopes: GrantScope::offered(asked), ..Judgement::Ask { why }.into() }
}

/// Asks before a secret leaves, whatever rule would let the call run.
fn hold_back(considered: Considered, secret: Option<&Found>) -> Considered {
    let Some(Found { kind }) = secret else { return considered };
    let seen = format!("its arguments hold what looks like a secret ({kind})");
    match considered.judgement {
        Judgement::Run { why } => Judgement::Ask { why: format!("{seen}, though {why}") },
        Judgement::Ask { why } => Judgement::Ask { why: format!("{seen}; {why}") },
        refused @ Judgement::Refuse { .. } => refused,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckLimits, checks::Checks};
    use lockkeeper_domain::{ServerName, SessionState};
    use lockkeeper_sanitizer::Config;
    use serde_json::json;

    fn catalog() -> Catalog {
        let server = ServerName::new("fs");
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
        let tool = |name: &str, schema: Value| ToolDefinition {
            name: ToolName::namespaced(&server, name),
            server: server.clone(),
            tool: name.to_owned(),
            title: None,
            description: String::new(),
            input_schema: schema,
            annotations: lockkeeper_domain::Annotations::default(),
            fingerprint: "f".to_owned(),
        };
        Catalog::new(
            [tool("read", schema), tool("odd", json!({"type": 7})), tool("now", json!({"type": "object"}))].into(),
        )
    }

    async fn check(name: &str, args: Value, policy: &Policy) -> Judgement {
        let session = Session::fold(SessionState::default(), Vec::new(), []);
        let call = ProposedCall { provider_id: None, name: name.to_owned(), args };
        let output = Output::new(&Config::default(), &[], &[]);
        let catalog = catalog();
        let checks = Checks::new(CheckLimits::default());
        let checked = checks.of_calls(catalog.schemas(), std::slice::from_ref(&call)).await.remove(0);
        catalog.judge((call, checked), &session, Gate { policy, stored: &[], output: &output, user: "ann" }).judgement
    }

    #[tokio::test]
    async fn a_call_is_judged_by_its_name_then_its_arguments_then_the_policy() {
        let asks = Policy::default();
        let rule = |decision| Rule { decision, ..Rule::default() };
        let allows = Policy::new(vec![rule(DecisionRule::Allow)]);
        let denies = Policy::new(vec![rule(DecisionRule::Deny)]);
        let refused = |judgement| match judgement {
            Judgement::Refuse { code, .. } => Some(code),
            _ => None,
        };
        assert_eq!(refused(check("fs__none", json!({}), &allows).await), Some(Code::UnknownTool));
        for bad in [json!({}), json!({"path": 1}), json!([]), json!("{\"path\":"), json!(null)] {
            assert_eq!(refused(check("fs__read", bad, &allows).await), Some(Code::InvalidArguments));
        }
        assert_eq!(refused(check("fs__odd", json!({}), &allows).await), Some(Code::InvalidArguments));
        assert!(matches!(check("fs__now", json!(null), &asks).await, Judgement::Ask { .. }));
        assert!(matches!(check("fs__read", json!({"path": "a"}), &asks).await, Judgement::Ask { .. }));
        assert!(matches!(check("fs__read", json!({"path": "a"}), &allows).await, Judgement::Run { .. }));
        assert_eq!(refused(check("fs__read", json!({"path": "a"}), &denies).await), Some(Code::Denied));
        let secret = json!({"path": "AKIAIOSFODNN7EXAMPLE"});
        assert!(matches!(check("fs__read", secret, &allows).await, Judgement::Ask { why } if why.contains("aws_key")));
    }
}
