use super::{
    ApprovalRequired, ApprovalResolved, Expired, McpStatus, Meta, Piece, ServerEvent, Time, ToolCall, ToolError,
    ToolQuarantined, ToolShape, ToolStarted, ToolTrusted, TurnCompleted, UserMessage,
};
use lockkeeper_domain::{self as domain, CallId, CallStatus, Event, EventBody, Outcome, Timestamp, ToolSettled};
use lockkeeper_orchestrator::LiveEvent;
use lockkeeper_ports::ToolSessionStatus;

/// A logged event as it goes over the wire.
pub(crate) fn logged(event: Event) -> (ServerEvent, Meta) {
    let mut meta = Meta { id: Some(event.id), turn: event.turn, at: Time(event.at), ..Meta::default() };
    let event = match event.body {
        EventBody::Notice { text, .. } => ServerEvent::SystemMessage(text),
        EventBody::UserMessage { message } => ServerEvent::UserMessage(message.into()),
        EventBody::Delta { step, attempt, text } => ServerEvent::Delta(Piece { text, step, attempt }),
        EventBody::Reasoning { step, attempt, text } => ServerEvent::Reasoning(Piece { text, step, attempt }),
        EventBody::ToolCalls(calls) => ServerEvent::ToolCalls(tool_calls(calls)),
        EventBody::ApprovalRequired(approval) => {
            meta.call_id = Some(approval.call.clone());
            ServerEvent::ApprovalRequired(Box::new(approval.into()))
        }
        EventBody::ApprovalResolved(resolved) => {
            meta.call_id = Some(resolved.call.clone());
            ServerEvent::ApprovalResolved(resolved.into())
        }
        EventBody::ToolQuarantined(found) => ServerEvent::ToolQuarantined(Box::new((*found).into())),
        EventBody::ToolTrusted(trusted) => ServerEvent::ToolTrusted(trusted.into()),
        EventBody::ToolStarted { call, server, tool } => {
            meta.call_id = Some(call.clone());
            ServerEvent::ToolStarted(ToolStarted { call_id: call, name: tool, server })
        }
        EventBody::ToolSettled(settled) => {
            meta.call_id = Some(settled.call.clone());
            tool_settled(settled)
        }
        EventBody::Response { message, .. } => ServerEvent::Response(message.text),
        EventBody::Failure(failure) => ServerEvent::AgentError(failure.into()),
        EventBody::BudgetAsked(asked) => ServerEvent::BudgetAsked(asked.into()),
        EventBody::BudgetAnswered(answered) => ServerEvent::BudgetAnswered(answered.into()),
        EventBody::TurnCompleted(completed) => ServerEvent::TurnCompleted(completed.into()),
        EventBody::SessionExpired { reason } => ServerEvent::Expired(Expired { reason }),
    };
    (event, meta)
}

/// News that is not logged, as it goes over the wire.
pub(crate) fn live(event: LiveEvent, at: Timestamp) -> (ServerEvent, Meta) {
    let meta = Meta::unlogged(at);
    match event {
        LiveEvent::Starting(progress) => (ServerEvent::Progress(progress), meta),
        LiveEvent::Thinking(turn) => (ServerEvent::Thinking, Meta { turn: Some(turn), ..meta }),
        LiveEvent::Tool(turn, progress) => {
            let call_id: Option<CallId> = Some(progress.call_id.clone());
            (ServerEvent::ToolProgress(progress), Meta { turn: Some(turn), call_id, ..meta })
        }
        LiveEvent::Server(status) => (ServerEvent::McpStatus(status.into()), meta),
    }
}

fn tool_calls(calls: domain::ToolCalls) -> Vec<ToolCall> {
    let pairs = calls.message.calls.into_iter().zip(calls.gates);
    let shown = |(call, gate): (domain::ToolCall, domain::CallGate)| ToolCall {
        call_id: call.id,
        name: call.tool,
        server: call.server,
        args_text: call.args.to_string(),
        args: call.args,
        status: gate.status,
        why: gate.why,
        digest: gate.digest.filter(|_| gate.status == CallStatus::Waiting),
    };
    pairs.map(shown).collect()
}

fn tool_settled(settled: ToolSettled) -> ServerEvent {
    match settled.result.outcome {
        Outcome::Succeeded => ServerEvent::ToolOutput(content_json(&settled.result)),
        Outcome::Failed(code) => ServerEvent::ToolError(ToolError {
            message: settled.result.text(),
            call_id: settled.call,
            name: settled.tool,
            code,
        }),
    }
}

/// The content of a result, as the JSON string that older frontends parse.
fn content_json(result: &domain::ToolResult) -> String {
    serde_json::to_string(&result.content).expect("content is JSON with string keys")
}

impl From<ToolSessionStatus> for McpStatus {
    fn from(status: ToolSessionStatus) -> Self {
        let ToolSessionStatus { server, state, tools, problem, code, left_out } = status;
        Self { server, state, tools: tools.unwrap_or_default(), problem, code, left_out }
    }
}

impl From<domain::UserMessage> for UserMessage {
    fn from(message: domain::UserMessage) -> Self {
        let domain::UserMessage { text, attachments, client_message_id, by: _ } = message;
        Self { text, attachments, client_message_id }
    }
}

impl From<domain::ApprovalRequired> for ApprovalRequired {
    fn from(approval: domain::ApprovalRequired) -> Self {
        Self {
            call_id: approval.call,
            name: approval.tool,
            server: approval.server,
            args_text: approval.args.to_string(),
            args: approval.args,
            queue_position: approval.position,
            total_in_queue: approval.total,
            expires_at: Time(approval.expires_at),
            why: approval.why,
            annotations: approval.annotations,
            always_rule: approval.always,
            session_scopes: approval.scopes,
            fingerprint: approval.digest.map(|digest| digest.fingerprint()),
            digest: approval.digest,
        }
    }
}

impl From<domain::ApprovalResolved> for ApprovalResolved {
    fn from(resolved: domain::ApprovalResolved) -> Self {
        let domain::ApprovalResolved { call, decision, by, scope, reason, edited_args, digest, rule, grant, .. } =
            resolved;
        let args_text = edited_args.as_ref().map(ToString::to_string);
        let (call_id, args, rule_id) = (call, edited_args, rule);
        Self { call_id, decision, by, scope, reason, args, args_text, grant, rule_id, digest }
    }
}

impl From<domain::ToolQuarantined> for ToolQuarantined {
    fn from(domain::ToolQuarantined { before, after }: domain::ToolQuarantined) -> Self {
        Self {
            changes: before.changes(&after),
            server: after.server.clone(),
            name: after.tool.clone(),
            fingerprint: after.fingerprint.clone(),
            before: before.into(),
            after: after.into(),
        }
    }
}

impl From<domain::ToolDefinition> for ToolShape {
    fn from(tool: domain::ToolDefinition) -> Self {
        let domain::ToolDefinition { title, description, input_schema, annotations, .. } = tool;
        Self { title, description, input_schema, annotations }
    }
}

impl From<domain::ToolTrusted> for ToolTrusted {
    fn from(domain::ToolTrusted { server, tool, fingerprint, by }: domain::ToolTrusted) -> Self {
        Self { server, name: tool, fingerprint, by }
    }
}

impl From<domain::TurnCompleted> for TurnCompleted {
    fn from(completed: domain::TurnCompleted) -> Self {
        let domain::TurnCompleted { stop_reason, usage, tool_calls, duration_ms } = completed;
        Self { stop_reason, usage, tool_calls, duration_ms }
    }
}
