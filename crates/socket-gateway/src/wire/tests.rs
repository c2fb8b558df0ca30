//! The wire, pinned: what fails here breaks clients.

use super::*;
use lockkeeper_domain::{
    Annotations, AssistantMessage, CallGate, CallId, CallStatus, Code, Content, Decision, Digest, Epoch, Event,
    EventBody, EventId, Failure, NoticeKind, Rule, Scope, Seq, ServerName, StopReason, Timestamp, ToolName, ToolResult,
    TurnId,
};
use lockkeeper_orchestrator::{Entry, EntryKind, FilePart, Listing, LiveEvent, RuleList, Snapshot};
use lockkeeper_ports::{CallProgress, ServerState, StartProgress, ToolSessionStatus};
use serde_json::{Value, json};

const AT: Timestamp = Timestamp::from_millis(1_767_225_600_123);
const TIME: &str = "2026-01-01T00:00:00.123Z";

fn always() -> Rule {
    let rule = json!({"server": "workspace", "tool": "read_file", "user": "alice", "fingerprint": "f",
                      "args": {"path": {"one_of": ["a"]}}, "decision": "allow"});
    serde_json::from_value(rule).expect("a rule")
}

fn call() -> CallId {
    CallId::minted(TurnId::new(2), 0, 1)
}

/// What goes over the wire for a logged event: `[name, payload, meta]`.
fn check(body: EventBody, name: &str, payload: impl Into<Value>, call_id: bool) {
    let id = EventId { epoch: Epoch::new(3), seq: Seq::new(17) };
    let (event, meta) = logged(Event { id, turn: Some(TurnId::new(2)), at: AT, body, link: None, request: None });
    let mut expected = json!({"id": "3-17", "turn": 2, "at": TIME});
    if call_id {
        expected["callId"] = json!("call_2_0_1");
    }
    assert_eq!(event.name(), name);
    assert_eq!(serde_json::to_value((&event, &meta)).expect("JSON"), json!([payload.into(), expected]));
}

#[test]
fn what_is_said_is_text() {
    let kind = NoticeKind::HistoryReset;
    check(EventBody::Notice { kind, text: "Emptied.".to_owned() }, "system:message", json!("Emptied."), false);
    let message = AssistantMessage { text: "All done.".to_owned(), ..AssistantMessage::default() };
    let usage = lockkeeper_domain::Usage::default();
    check(EventBody::Response { message, usage }, "agent:response", json!("All done."), false);
    let piece = || json!({"text": "Al", "step": 1, "attempt": 2});
    check(EventBody::Delta { step: 1, attempt: 2, text: "Al".to_owned() }, "agent:delta", piece(), false);
    check(EventBody::Reasoning { step: 1, attempt: 2, text: "Al".to_owned() }, "agent:reasoning", piece(), false);
    let message: lockkeeper_domain::UserMessage = serde_json::from_value(json!({
        "text": "hi", "by": "alice", "clientMessageId": "m1",
        "attachments": [{"mimeType": "image/png", "data": "AA=="}],
    }))
    .expect("a message");
    let shown =
        json!({"text": "hi", "clientMessageId": "m1", "attachments": [{"mimeType": "image/png", "data": "AA=="}]});
    check(EventBody::UserMessage { message }, "user:message", shown, false);
}

#[test]
fn a_calls_life() {
    let shown = lockkeeper_domain::ToolCall {
        id: call(),
        provider_id: Some("toolu_1".to_owned()),
        name: ToolName::as_written("workspace__write_file"),
        server: Some(ServerName::new("workspace")),
        tool: "write_file".to_owned(),
        args: json!({"path": "a.txt"}),
    };
    let gate = CallGate {
        status: CallStatus::Waiting,
        why: "the default".to_owned(),
        annotations: Annotations::default(),
        fingerprint: "f".to_owned(),
        rule: None,
        always: None,
        pin: None,
        scopes: Vec::new(),
        granted: false,
        digest: Some(Digest::of_bytes(b"abc")),
    };
    let message = AssistantMessage { calls: vec![shown], ..AssistantMessage::default() };
    let calls = lockkeeper_domain::ToolCalls {
        step: 0,
        message,
        gates: vec![gate],
        usage: lockkeeper_domain::Usage::default(),
    };
    check(
        EventBody::ToolCalls(calls),
        "tool:calls",
        json!([{"callId": "call_2_0_1", "name": "write_file", "server": "workspace", "args": {"path": "a.txt"},
                "argsText": "{\"path\":\"a.txt\"}", "status": "waiting", "why": "the default",
                "digest": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]),
        false,
    );
    let required = lockkeeper_domain::ApprovalRequired {
        call: call(),
        server: Some(ServerName::new("workspace")),
        tool: "write_file".to_owned(),
        args: json!({"id": 1_234_567_890_123_456_789_u64}),
        why: "the default".to_owned(),
        annotations: Annotations { destructive_hint: Some(true), ..Annotations::default() },
        position: 1,
        total: 2,
        expires_at: AT,
        always: Some(always()),
        scopes: vec![lockkeeper_domain::GrantScope::Exact],
        digest: Some(Digest::of_bytes(b"abc")),
    };
    check(
        EventBody::ApprovalRequired(required),
        "tool:approval_required",
        json!({"callId": "call_2_0_1", "name": "write_file", "server": "workspace",
               "args": {"id": 1_234_567_890_123_456_789_u64}, "argsText": "{\"id\":1234567890123456789}",
               "sessionScopes": [{"kind": "exact"}], "queuePosition": 1, "totalInQueue": 2, "expiresAt": TIME, "why": "the default",
               "annotations": {"destructiveHint": true}, "fingerprint": "ba7816bf",
               "digest": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
               "alwaysRule": {"server": "workspace", "tool": "read_file", "user": "alice", "fingerprint": "f",
                              "args": {"path": {"one_of": ["a"]}}, "decision": "allow"}}),
        true,
    );
    let resolved = lockkeeper_domain::ApprovalResolved {
        call: call(),
        decision: Decision::Denied,
        by: Some("alice".parse().expect("an id")),
        scope: Scope::Once,
        reason: Some("no".to_owned()),
        edited_args: None,
        via: lockkeeper_domain::Via { token: Some("secret-id".to_owned()), ..Default::default() },
        rule: None,
        grant: None,
        workspace: None,
        digest: None,
    };
    let shown = json!({"callId": "call_2_0_1", "decision": "denied", "by": "alice", "scope": "once", "reason": "no"});
    check(EventBody::ApprovalResolved(resolved), "tool:approval_resolved", shown, true);
    let started =
        EventBody::ToolStarted { call: call(), server: Some(ServerName::new("workspace")), tool: "ls".to_owned() };
    check(started, "tool:started", json!({"callId": "call_2_0_1", "name": "ls", "server": "workspace"}), true);
}

#[test]
fn a_result_is_output_or_an_error() {
    let settled =
        |result| EventBody::ToolSettled(lockkeeper_domain::ToolSettled { call: call(), tool: "ls".to_owned(), result });
    let content = vec![Content::text("a.txt"), Content::image("AA==", "image/png")];
    let text = r#"[{"type":"text","text":"a.txt"},{"type":"image","data":"AA==","mimeType":"image/png"}]"#;
    check(settled(ToolResult::succeeded(content)), "tool:output", json!(text), true);
    let failed = ToolResult::failed(Code::ToolTimeout, "It took too long.");
    let shown = json!({"callId": "call_2_0_1", "name": "ls", "message": "It took too long.", "code": "tool_timeout"});
    check(settled(failed), "tool:error", shown, true);
}

#[test]
fn how_things_end() {
    let failure = Failure::new(Code::ProviderQuota, "No credit.").with_hint("Top up.");
    let shown = json!({"message": "No credit.", "code": "provider_quota", "retryable": false, "hint": "Top up."});
    check(EventBody::Failure(failure), "agent:error", shown, false);
    let completed = lockkeeper_domain::TurnCompleted {
        stop_reason: StopReason::EndTurn,
        usage: lockkeeper_domain::Usage { input_tokens: 5, output_tokens: 7, ..lockkeeper_domain::Usage::default() },
        tool_calls: 1,
        duration_ms: 1_500,
    };
    check(
        EventBody::TurnCompleted(completed),
        "turn:completed",
        json!({"stopReason": "end_turn", "toolCalls": 1, "durationMs": 1500,
               "usage": {"inputTokens": 5, "outputTokens": 7, "cachedInputTokens": 0, "reasoningTokens": 0}}),
        false,
    );
    let reason = "It was idle.".to_owned();
    check(EventBody::SessionExpired { reason }, "session:expired", json!({"reason": "It was idle."}), false);
}

#[test]
fn what_is_not_logged_has_no_id() {
    let shown = |event| {
        let (event, meta) = live(event, AT);
        (event.name(), serde_json::to_value((&event, &meta)).expect("JSON"))
    };
    let thinking = shown(LiveEvent::Thinking(TurnId::new(2)));
    assert_eq!(thinking, ("agent:thinking", json!([null, {"turn": 2, "at": TIME}])));
    let progress = CallProgress { call_id: call(), progress: 0.5, total: Some(1.0), message: None };
    let meta = json!({"turn": 2, "at": TIME, "callId": "call_2_0_1"});
    let expected = json!([{"callId": "call_2_0_1", "progress": 0.5, "total": 1.0}, meta]);
    assert_eq!(shown(LiveEvent::Tool(TurnId::new(2), progress)), ("tool:progress", expected));
    let starting = StartProgress {
        stage: "creating".to_owned(),
        status: "running".to_owned(),
        message: "Creating".to_owned(),
        current: Some(1),
        total: None,
        unit: None,
        elapsed_ms: 12,
    };
    let expected = json!([{"stage": "creating", "status": "running", "message": "Creating", "current": 1, "elapsedMs": 12},
                          {"at": TIME}]);
    assert_eq!(shown(LiveEvent::Starting(starting)), ("system:progress", expected));
    let server = ServerName::new("notes");
    let up = ToolSessionStatus {
        server,
        state: ServerState::Up,
        tools: Some(3),
        problem: None,
        code: None,
        left_out: Vec::new(),
    };
    let expected = json!([{"server": "notes", "state": "up", "tools": 3}, {"at": TIME}]);
    assert_eq!(shown(LiveEvent::Server(up.clone())), ("mcp:status", expected));
    let problem = Some("MCP server notes ended with exit status 1".to_owned());
    let down = ToolSessionStatus {
        state: ServerState::Restarting,
        tools: None,
        problem: problem.clone(),
        code: Some(Code::ToolCrashed),
        ..up.clone()
    };
    let expected = json!([{"server": "notes", "state": "restarting", "tools": 0, "problem": problem,
                           "code": "tool_crashed"}, {"at": TIME}]);
    assert_eq!(shown(LiveEvent::Server(down)), ("mcp:status", expected));
}

#[test]
fn a_session_is_ready() {
    let ready = ServerEvent::Ready(Box::new(Ready {
        session_id: "s1".parse().expect("an id"),
        container_id: "box".to_owned(),
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        tools: vec![Tool {
            name: "ls".to_owned(),
            server: ServerName::new("workspace"),
            title: None,
            description: "Lists".to_owned(),
            input_schema: json!({"type": "object"}),
            annotations: Annotations::default(),
        }],
        protocol: PROTOCOL,
        last_event_id: EventId::default(),
        resumed: false,
        pending: Vec::new(),
        token_expires_at: None,
    }));
    let expected = json!({
        "sessionId": "s1", "containerId": "box", "provider": "demo", "model": "demo-1", "protocol": 2,
        "tools": [{"name": "ls", "server": "workspace", "description": "Lists", "inputSchema": {"type": "object"},
                   "annotations": {}}],
        "lastEventId": "0-0", "resumed": false, "pending": [],
    });
    assert_eq!((ready.name(), serde_json::to_value(&ready).expect("JSON")), ("system:ready", expected));
}

#[test]
fn a_snapshot_holds_the_conversation() {
    let messages = serde_json::from_value(json!([
        {"role": "user", "turn": 1, "at": 1_767_225_600_123_i64, "text": "list", "by": "alice"},
        {"role": "assistant", "turn": 1, "at": 1_767_225_600_123_i64, "text": "", "calls": [
            {"id": "call_1_0_0", "providerId": "toolu_1", "name": "workspace__ls", "server": "workspace", "tool": "ls", "args": {}}]},
        {"role": "tool", "turn": 1, "at": 1_767_225_600_123_i64, "results": [
            {"call": "call_1_0_0", "name": "workspace__ls",
             "result": {"outcome": {"failed": "denied"}, "content": [{"type": "text", "text": "no"}]}}]},
    ]))
    .expect("messages");
    let last = EventId { epoch: Epoch::new(1), seq: Seq::new(9) };
    let shown = snapshot(Snapshot {
        last,
        messages,
        turn: Some(TurnId::new(2)),
        partial: "Al".to_owned(),
        partial_of: Some((1, 2)),
        thinking: true,
        calls: Vec::new(),
        pending: Vec::new(),
        budget: None,
    });
    let expected = json!({
        "lastEventId": "1-9", "turn": 2, "partial": "Al", "partialStep": 1, "partialAttempt": 2, "thinking": true,
        "calls": [], "pending": [],
        "messages": [
            {"role": "user", "turn": 1, "at": TIME, "text": "list"},
            {"role": "assistant", "turn": 1, "at": TIME, "text": "",
             "calls": [{"callId": "call_1_0_0", "name": "ls", "server": "workspace", "args": {},
                        "argsText": "{}"}]},
            {"role": "tool", "turn": 1, "at": TIME,
             "results": [{"callId": "call_1_0_0", "content": [{"type": "text", "text": "no"}], "code": "denied"}]},
        ],
    });
    assert_eq!(serde_json::to_value(&shown).expect("JSON"), expected);
}

#[test]
fn answers_say_whether_it_was_done() {
    let answer = |answer: Answer| serde_json::to_value(answer).expect("JSON");
    assert_eq!(answer(Answer::Done), json!({"ok": true}));
    assert_eq!(answer(Answer::Decided(Decided { rule_id: None })), json!({"ok": true}));
    let stored = lockkeeper_domain::StoredRule::new(always(), AT);
    let id = stored.id.clone();
    let decided = Answer::Decided(Decided { rule_id: Some(id.clone()) });
    assert_eq!(answer(decided), json!({"ok": true, "ruleId": id}));
    let operator = vec![("rule 2 of policy.toml".to_owned(), always())];
    let shown = json!({"ok": true, "rules": [{"id": id, "rule": always(), "createdAt": TIME}],
                       "fileRules": [{"name": "rule 2 of policy.toml", "rule": always()}]});
    assert_eq!(answer(Answer::Rules(rules::rules(RuleList { stored: vec![stored], operator }))), shown);
    let accepted = Answer::Accepted(Accepted { turn: TurnId::new(2), duplicate: false });
    assert_eq!(answer(accepted), json!({"ok": true, "turn": 2, "duplicate": false}));
    let message = HistoryMessage::Tool { turn: TurnId::new(1), at: Time(AT), results: Vec::new() };
    let page = Answer::History(Page { messages: vec![HistoryEntry { index: 4, message }], before: Some(4) });
    let entry = json!({"index": 4, "role": "tool", "turn": 1, "at": TIME, "results": []});
    assert_eq!(answer(page), json!({"ok": true, "messages": [entry], "before": 4}));
    let entry = Entry { name: "a".to_owned(), kind: EntryKind::File, size: Some(3), target: None };
    let listing = Listing { path: ".".to_owned(), entries: vec![entry], left_out: 2 };
    let expected =
        json!({"ok": true, "path": ".", "entries": [{"name": "a", "kind": "file", "size": 3}], "leftOut": 2});
    assert_eq!(answer(Answer::Directory(listing)), expected);
    let content = vec![Content::text("abc")];
    let part = FilePart { path: "a".to_owned(), offset: 0, next_offset: Some(3), content };
    let content = json!([{"type": "text", "text": "abc"}]);
    let expected = json!({"ok": true, "path": "a", "offset": 0, "nextOffset": 3, "content": content});
    assert_eq!(answer(Answer::File(part)), expected);
    let refused = Refused::from(Failure::new(Code::Busy, "Later."));
    let expected = json!({"ok": false, "code": "busy", "message": "Later.", "retryable": true});
    assert_eq!(serde_json::to_value(refused).expect("JSON"), expected);
}

#[test]
fn times_beyond_the_calendar_are_its_ends() {
    let time = |millis| serde_json::to_string(&Time(Timestamp::from_millis(millis))).expect("JSON");
    assert_eq!(time(0), "\"1970-01-01T00:00:00.000Z\"");
    assert!(time(i64::MAX).contains("9999-12-"), "{}", time(i64::MAX));
    assert!(time(i64::MIN).contains("-009999-"), "{}", time(i64::MIN));
}
