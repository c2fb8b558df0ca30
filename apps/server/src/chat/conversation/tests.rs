use super::*;

const QUESTION: &str = "  y once, e edit, n [reason] no > ";

fn conversation(manner: Manner) -> Conversation {
    Conversation::new(Manner { run: "r".to_owned(), ..manner })
}

fn event(name: &str, payload: Value) -> News {
    News::Event(Event { name: name.to_owned(), payload, meta: Value::Null })
}

fn ready() -> News {
    event("system:ready", json!({"sessionId": "s", "provider": "demo", "model": "demo-1", "tools": [], "pending": []}))
}

fn question(call: &str) -> News {
    event("tool:approval_required", json!({"callId": call, "name": "t", "server": "w", "args": {}}))
}

fn sent(acts: &[Act]) -> Vec<(&'static str, Value)> {
    let sent = |act: &Act| match act {
        Act::Send { event, payload } => Some((*event, payload.clone().unwrap_or_default())),
        _ => None,
    };
    acts.iter().filter_map(sent).collect()
}

fn accepted(chat: &mut Conversation, turn: &str) {
    assert_eq!(chat.reply("message", None, Ok(json!({"ok": true, "turn": turn, "duplicate": false}))), []);
}

fn completed(turn: &str) -> News {
    let meta = json!({"turn": turn});
    News::Event(Event { name: "turn:completed".to_owned(), payload: json!({}), meta })
}

fn answer(acts: Vec<Act>) -> String {
    let piece = |act| if let Act::Answer(text) = act { text } else { String::new() };
    acts.into_iter().map(piece).collect()
}

#[test]
fn one_message_is_sent_when_the_session_is_ready_and_ends_with_its_turn() {
    let mut chat = conversation(Manner { once: Some("hi".to_owned()), ..Manner::default() });
    let acts = chat.news(ready());
    assert_eq!(sent(&acts), [("message", json!({"text": "hi", "clientMessageId": "r-1"}))]);
    accepted(&mut chat, "t1");
    assert_eq!(chat.news(completed("t0")), [], "the end of another one's turn");
    assert_eq!(chat.news(completed("t1")), [Act::Quit(Ending::Done)]);
}

#[test]
fn answer_about_a_budget_names_the_question_that_is_open() {
    let mut chat = conversation(Manner { interactive: true, ..Manner::default() });
    chat.news(ready());
    assert_eq!(sent(&chat.line("/go")), []);
    let asked = |question: &str| {
        let payload = json!({"question": question, "of": "day", "measure": "tokens", "taken": 9, "limit": 10});
        event("budget:asked", payload)
    };
    assert_eq!(sent(&chat.news(asked("q1"))), []);
    assert_eq!(sent(&chat.line("/go")), [("budget:answer", json!({"goOn": true, "question": "q1"}))]);
    chat.news(event("budget:answered", json!({"goOn": true, "question": "q1"})));
    chat.news(asked("q2"));
    assert_eq!(sent(&chat.line("/stop")), [("budget:answer", json!({"goOn": false, "question": "q2"}))]);
}

#[test]
fn a_turn_may_end_before_its_message_is_acknowledged() {
    let mut chat = conversation(Manner { once: Some("hi".to_owned()), ..Manner::default() });
    chat.news(ready());
    assert_eq!(chat.news(completed("t1")), []);
    let acts = chat.reply("message", None, Ok(json!({"ok": true, "turn": "t1"})));
    assert_eq!(acts, [Act::Quit(Ending::Done)]);
}

#[test]
fn another_attempt_begins_a_new_line() {
    let mut chat = conversation(Manner::default());
    let mut shown = String::new();
    for (text, attempt) in [("ab", 0), ("c", 1), ("d", 1)] {
        shown += &answer(chat.news(event("agent:delta", json!({"text": text, "attempt": attempt}))));
    }
    shown += &answer(chat.news(event("agent:response", json!("cde"))));
    assert_eq!(shown, "ab\ncde\n");
}

#[test]
fn an_error_of_the_agent_is_a_failed_ending() {
    let mut chat = conversation(Manner { once: Some("hi".to_owned()), ..Manner::default() });
    chat.news(ready());
    accepted(&mut chat, "t1");
    chat.news(event("agent:error", json!({"message": "no", "code": "internal"})));
    assert_eq!(chat.news(completed("t1")), [Act::Quit(Ending::Failed)]);
}

#[test]
fn a_refused_message_is_a_failed_ending() {
    let mut chat = conversation(Manner { once: Some("hi".to_owned()), ..Manner::default() });
    chat.news(ready());
    let acts = chat.reply("message", None, Ok(json!({"ok": false, "code": "busy", "message": "full"})));
    assert_eq!(acts.last(), Some(&Act::Quit(Ending::Failed)));
}

#[test]
fn the_answer_is_written_once_whether_it_streamed_or_not() {
    let delta = |text: &str| event("agent:delta", json!({"text": text}));
    let cases = [(vec![], "ab\n"), (vec!["a"], "ab\n"), (vec!["a", "b"], "ab\n"), (vec!["x"], "x\nab\n")];
    for (deltas, expected) in cases {
        let mut chat = conversation(Manner::default());
        let mut shown = String::new();
        for text in &deltas {
            shown += &answer(chat.news(delta(text)));
        }
        shown += &answer(chat.news(event("agent:response", json!("ab"))));
        assert_eq!(shown, expected, "{deltas:?}");
    }
}

#[test]
fn questions_are_asked_one_after_the_other_and_each_only_once() {
    let mut chat = conversation(Manner::default());
    chat.news(ready());
    chat.line("go");
    assert!(!chat.wants_input(), "a pipe waits for its turn");
    assert_eq!(chat.news(question("a")).len(), 2);
    assert!(chat.wants_input());
    assert_eq!(chat.news(question("a")), []);
    assert_eq!(chat.news(question("b")), []);
    assert_eq!(sent(&chat.line("y")), [("tool:approval", json!({"callId": "a", "approved": true}))]);
    let acts = chat.news(event("tool:approval_resolved", json!({"callId": "a", "decision": "approved"})));
    assert!(matches!(acts.as_slice(), [_, Act::Say(card), _] if card.contains("? t of w")), "{acts:?}");
    assert_eq!(
        sent(&chat.line("n no")),
        [("tool:approval", json!({"callId": "b", "approved": false, "reason": "no"}))]
    );
}

#[test]
fn what_is_no_answer_approves_nothing() {
    let mut chat = conversation(Manner { interactive: true, ..Manner::default() });
    chat.news(ready());
    chat.line("go");
    chat.news(question("a"));
    for line in ["", "ok", "e", "no json", "e", ""] {
        assert_eq!(sent(&chat.line(line)), [], "{line}");
    }
    chat.line("e");
    let expected = json!({"callId": "a", "approved": true, "argsText": "{\"x\": 1}"});
    assert_eq!(sent(&chat.line(r#"{"x": 1}"#)), [("tool:approval", expected)]);
}

#[test]
fn edited_arguments_that_the_server_refuses_are_asked_for_again() {
    let mut chat = conversation(Manner { interactive: true, ..Manner::default() });
    chat.news(ready());
    chat.news(question("a"));
    chat.line(r#"e {"x": 1}"#);
    let acts = chat.reply("tool:approval", None, Ok(json!({"ok": false, "code": "invalid_arguments", "message": "m"})));
    assert!(matches!(acts.as_slice(), [_, Act::Say(_), Act::Say(question)] if question == QUESTION));
}

#[test]
fn an_approval_of_everything_is_said_and_sent() {
    let mut chat = conversation(Manner { yes: true, once: Some("go".to_owned()), ..Manner::default() });
    chat.news(ready());
    let acts = chat.news(question("a"));
    assert!(acts.contains(&say("  approved by --yes".to_owned())), "{acts:?}");
    assert_eq!(sent(&acts), [("tool:approval", json!({"callId": "a", "approved": true}))]);
}

#[test]
fn input_that_ends_denies_what_is_asked_later_and_waits_for_the_turn() {
    let mut chat = conversation(Manner::default());
    chat.news(ready());
    chat.line("go");
    accepted(&mut chat, "t1");
    assert_eq!(chat.end_of_input(), []);
    let acts = chat.news(question("a"));
    assert_eq!(sent(&acts)[0].1.get("approved"), Some(&json!(false)));
    chat.news(event("tool:error", json!({"callId": "a", "name": "echo", "code": "denied", "message": "no"})));
    assert_eq!(chat.news(completed("t1")), [Act::Quit(Ending::Denied)]);
}

#[test]
fn ending_tells_of_turns_that_were_cut_off() {
    for (reason, ending) in [
        ("end_turn", Ending::Done),
        ("cancelled", Ending::Failed),
        ("turn_limit", Ending::Failed),
        ("interrupted", Ending::Failed),
        ("error", Ending::Failed),
    ] {
        let mut chat = conversation(Manner { once: Some("hi".to_owned()), ..Manner::default() });
        chat.news(ready());
        accepted(&mut chat, "t1");
        let News::Event(mut whole) = completed("t1") else { panic!("an event") };
        whole.payload = json!({ "stopReason": reason });
        assert_eq!(chat.news(News::Event(whole)), [Act::Quit(ending)], "{reason}");
    }
}

#[test]
fn a_pending_question_of_a_resumed_session_is_asked() {
    let mut chat = conversation(Manner { interactive: true, ..Manner::default() });
    let pending = json!([{"callId": "a", "name": "t", "server": "w", "args": {}}]);
    let acts = chat.news(event("system:ready", json!({"sessionId": "s", "pending": pending, "resumed": true})));
    assert!(acts.contains(&Act::Say(QUESTION.to_owned())), "{acts:?}");
}

#[test]
fn a_lost_acknowledgement_is_sent_again_where_that_is_safe() {
    let mut chat = conversation(Manner::default());
    for (event, again) in [("message", 1), ("tool:approval", 1), ("history:reset", 0), ("turn:cancel", 0)] {
        assert_eq!(sent(&chat.reply(event, Some(json!({})), Err(Lost))).len(), again, "{event}");
    }
}

#[test]
fn commands_are_sent_or_explained() {
    let mut chat = conversation(Manner::default());
    assert_eq!(sent(&chat.line("/cancel")), [("turn:cancel", Value::Null)]);
    assert_eq!(sent(&chat.line("/reset")), [("history:reset", Value::Null)]);
    assert_eq!(chat.line("/quit"), [Act::Quit(Ending::Done)]);
    assert!(matches!(chat.line("/what").as_slice(), [Act::Say(_)]));
}

#[test]
fn an_ending_tells_a_refusal_from_an_absent_server() {
    let mut chat = conversation(Manner::default());
    assert_eq!(chat.news(News::Refused("no".to_owned())).last(), Some(&Act::Quit(Ending::Failed)));
    assert_eq!(chat.news(News::Unreachable("gone".to_owned())).last(), Some(&Act::Quit(Ending::Unreachable)));
}

#[test]
fn a_question_that_is_answered_is_not_answered_again() {
    let mut chat = conversation(Manner::default());
    chat.news(ready());
    chat.line("go");
    accepted(&mut chat, "t1");
    chat.news(question("a"));
    assert_eq!(sent(&chat.line("y")).len(), 1);
    assert!(!chat.wants_input(), "the next line is for what comes next");
    assert_eq!(chat.end_of_input(), []);
    let acts = chat.news(event("tool:approval_resolved", json!({"callId": "a", "decision": "approved"})));
    assert_eq!(acts, [say("  approved".to_owned())]);
}
