use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, EventBody, Message, Outcome, Rule, StopReason};
use lockkeeper_orchestrator::{LiveEvent, Provider};
use lockkeeper_ports::LlmError;
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;

fn allow_all() -> Vec<Rule> {
    serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule")
}

#[tokio::test(start_paused = true)]
async fn a_message_leads_to_an_answer_and_both_are_in_the_history() {
    let desk = Desk::new([Step::new().say("Hel").say("lo")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("hi").await.expect("accepted");
    let mut streamed = String::new();
    let answer = ann
        .sees(|body| match body {
            EventBody::Delta { text, .. } => {
                streamed.push_str(text);
                None
            }
            EventBody::Response { message, .. } => Some(message.text.clone()),
            _ => None,
        })
        .await;
    assert_eq!((streamed.as_str(), answer.as_str()), ("Hello", "Hello"));
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    let history = ann.manager.history(&ann.session, &ann.me, None, 10).await.expect("history");
    assert_eq!(history.messages.len(), 2);
    assert_eq!(desk.provider.requests()[0].tools.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_arrives_while_a_step_is_written_is_one_event() {
    let step = (0..1_000).fold(Step::new(), |step, n| step.say(format!("{n} ")));
    let desk = Desk::new([step]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("count").await.expect("accepted");
    ann.sees_end().await;
    let deltas =
        desk.store.log(&ann.session).await.iter().filter(|e| matches!(e.body, EventBody::Delta { .. })).count();
    assert!(deltas <= 1_000 / 16, "{deltas} deltas");
}

#[tokio::test(start_paused = true)]
async fn a_tools_result_goes_back_to_the_model_which_answers() {
    let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    assert_eq!(desk.host.calls().len(), 0, "nothing runs before the approval");
    ann.answers(&call, true).await.expect("approved");
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded);
    assert_eq!(ann.sees_answer().await, "done");
    let second = &desk.provider.requests()[1];
    assert!(matches!(&second.messages[..], [Message::User { .. }, Message::Assistant { .. }, Message::Tool { .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_failing_tool_is_an_event_and_a_result_to_the_model() {
    let mut desk = Desk::new([Step::calls([("box__fail", json!({}))]), Step::text("it failed")]);
    desk.rules = allow_all();
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let settled = ann.sees_result().await;
    assert_eq!(settled.result.outcome, Outcome::Failed(Code::ToolFailed));
    assert_eq!(ann.sees_answer().await, "it failed");
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_step_run_side_by_side_and_go_back_in_order() {
    let calls = [("box__hang", json!({})), ("box__echo", json!({"text": "b"})), ("box__nosuch", json!({}))];
    let mut desk = Desk::new([Step::calls(calls)]);
    desk.rules = allow_all();
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Failed(Code::UnknownTool));
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded, "though the first one hangs");
    ann.manager.cancel(&ann.session, &ann.me).await.expect("cancelled");
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Failed(Code::Cancelled));
    assert_eq!(ann.sees_end().await, StopReason::Cancelled);
    let history = ann.manager.history(&ann.session, &ann.me, None, 10).await.expect("history");
    let Some((_, Message::Tool { results, .. })) = history.messages.last() else { panic!("results") };
    let tools: Vec<_> = results.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(tools, ["box__hang", "box__echo", "box__nosuch"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_closes_the_connection_to_the_provider() {
    let desk = Desk::new([Step::new().say("Once ").hang()]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    ann.manager.cancel(&ann.session, &ann.me).await.expect("cancelled");
    desk.provider.until_dropped(1).await;
    assert_eq!(ann.sees_end().await, StopReason::Cancelled);
    let late = ann.manager.cancel(&ann.session, &ann.me).await.expect_err("nothing runs");
    assert_eq!(late.code, Code::NothingRunning);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_runs_none_of_its_calls() {
    let step = Step::new().say("I will").call("box__echo", json!({"text": "a"})).cut();
    let mut desk = Desk::new([step]);
    desk.rules = allow_all();
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let failure = ann
        .sees(|body| match body {
            EventBody::Failure(failure) => Some(failure.code),
            _ => None,
        })
        .await;
    assert_eq!(failure, Code::ProviderCut);
    assert_eq!(ann.sees_end().await, StopReason::Error);
    assert_eq!(desk.host.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_given_up_after_its_time() {
    let desk = Desk::new([Step::unanswered()]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    assert_eq!(ann.sees_end().await, StopReason::Error);
    let idle = std::time::Duration::from_secs(desk.config.model_idle_secs);
    let log = desk.store.log(&ann.session).await;
    assert!(log[log.len() - 1].at.since(log[0].at) >= idle);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_too_long_is_shown_in_part_and_kept_whole() {
    let long = LlmError::ContextTooLong("8192 tokens".to_owned());
    let desk = Desk::new([Step::text("x".repeat(4_000)), Step::error(long), Step::text("short")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("one").await.expect("accepted");
    ann.sees_end().await;
    ann.says("two").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "short");
    let requests = desk.provider.requests();
    assert_eq!((requests[1].messages.len(), requests[2].messages.len()), (3, 1));
    let history = ann.manager.history(&ann.session, &ann.me, None, 10).await.expect("history");
    assert_eq!(history.messages.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_twice_is_one_message() {
    let desk = Desk::new([Step::text("one"), Step::text("two")]);
    let mut ann = User::ready(&desk.manager()).await;
    let first = ann.says_as(Some("m"), "hi").await.expect("accepted");
    let again = ann.says_as(Some("m"), "hi").await.expect("accepted");
    assert_eq!((first.turn, first.duplicate, again.turn, again.duplicate), (first.turn, false, first.turn, true));
    ann.sees_end().await;
    assert_eq!(desk.provider.remaining(), 1);
}

#[tokio::test(start_paused = true)]
async fn messages_queue_while_a_turn_runs_until_the_queue_is_full() {
    let gate = Gate::new();
    let steps = (0..6).map(|n| if n == 0 { Step::new().wait(&gate).say("0") } else { Step::text(n.to_string()) });
    let desk = Desk::new(steps);
    let mut ann = User::ready(&desk.manager()).await;
    for n in 0..5 {
        ann.says(&format!("m{n}")).await.expect("accepted");
    }
    assert_eq!(ann.says("too many").await.expect_err("full").code, Code::Busy);
    gate.open();
    for n in 0..5 {
        assert_eq!(ann.sees_answer().await, n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn progress_and_thinking_are_live_and_not_logged() {
    let mut desk = Desk::new([Step::calls([("box__slow", json!({}))]), Step::text("done")]);
    desk.rules = allow_all();
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    ann.sees_end().await;
    let (mut thinking, mut progress) = (0, 0);
    while let Ok(live) = ann.attached.live().try_recv() {
        match live.event {
            LiveEvent::Thinking(_) => thinking += 1,
            LiveEvent::Tool(..) => progress += 1,
            LiveEvent::Starting(_) | LiveEvent::Server(_) => {}
        }
    }
    assert_eq!((thinking, progress), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_missing_key_refuses_the_session_before_anything_is_created() {
    let desk = Desk::new([]);
    let provider = Provider::MissingKey { name: "claude", variable: "ANTHROPIC_API_KEY" };
    let manager = desk.manager_with(provider, lockkeeper_ports::mocks::MockSandboxRuntime::new());
    let failure = manager.open(wish(Some("s"), "ann")).await.expect_err("refused");
    assert_eq!(failure.code, Code::MissingKey);
    assert_eq!(manager.list(&principal("ann"), 10).await.expect("listed"), []);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_its_owners_alone() {
    let desk = Desk::new([]);
    let ann = User::ready(&desk.manager()).await;
    let eve = principal("eve");
    let forbidden = |result: Result<(), lockkeeper_domain::Failure>| result.expect_err("forbidden").code;
    let opened = ann.manager.open(wish(Some("s"), "eve")).await.map(|_| ());
    assert_eq!(forbidden(opened), Code::Forbidden);
    assert_eq!(forbidden(ann.manager.cancel(&ann.session, &eve).await), Code::Forbidden);
    assert_eq!(forbidden(ann.manager.end(&ann.session, &eve).await), Code::Forbidden);
    assert_eq!(forbidden(ann.manager.history(&ann.session, &eve, None, 1).await.map(|_| ())), Code::Forbidden);
    assert_eq!(forbidden(ann.manager.snapshot(&ann.session, &eve).await.map(|_| ())), Code::Forbidden);
    let followed = ann.manager.follow(&ann.session, &eve, lockkeeper_domain::Seq::default()).await.map(|_| ());
    assert_eq!(forbidden(followed), Code::Forbidden);
    let unknown = lockkeeper_domain::SessionId::parse("nobodys").expect("an id");
    let none = ann.manager.cancel(&unknown, &eve).await.expect_err("forbidden");
    let theirs = ann.manager.cancel(&ann.session, &eve).await.expect_err("forbidden");
    assert_eq!(none, theirs, "who asks learns nothing");
}

/// An endpoint that ignores `max_output_tokens` is cut off.
///
/// Covers: F11
#[tokio::test(start_paused = true)]
async fn answer_far_beyond_its_length_is_cut() {
    let endless = (0..400).fold(Step::new(), |step, _| step.say("word ".repeat(200)));
    let mut desk = Desk::new([endless]);
    desk.config.max_output_tokens = 1_024;
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let failure = ann
        .sees(|body| match body {
            EventBody::Failure(failure) => Some(failure.clone()),
            _ => None,
        })
        .await;
    assert!(failure.message.contains("more than 1024 tokens"), "{failure:?}");
    assert_eq!(ann.sees_end().await, StopReason::Error);
    let log = desk.store.log(&ann.session).await;
    let heard: usize =
        log.iter().map(|event| if let EventBody::Delta { text, .. } = &event.body { text.len() } else { 0 }).sum();
    assert!(heard < 64 << 10, "{heard} bytes");
}
