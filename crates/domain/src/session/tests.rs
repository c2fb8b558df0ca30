//! The session, step by step and under random commands.

mod always;
mod binding;
mod budgets;
mod invariants;
mod limits;
mod oracle;
mod pins;
mod sending;
mod world;

use crate::*;
use serde_json::{Value, json};
use world::{World, ask, refuse, run, someone, text, tools};

#[test]
fn a_call_waits_for_a_human_then_runs_and_its_result_goes_to_the_model() {
    let mut world = World::new();
    world.submit("list").expect("accepted");
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 0 }]);
    world.does(Command::ModelDone(tools([ask("ls")])));
    assert_eq!(world.effects, []);
    world.approve("call_1_0_0").expect("approved");
    assert!(matches!(&world.effects[..], [Effect::RunCall(call)] if call.tool == "ls"));
    world.settles("call_1_0_0", "a.txt");
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 1 }]);
    let shown = world.session.conversation(HistoryLimits::default());
    assert!(matches!(&shown[..], [Message::User { .. }, Message::Assistant { .. }, Message::Tool { .. }]));
    world.does(Command::ModelDone(text("one file")));
    assert_eq!(
        world.kinds(),
        "user_message tool_calls approval_required approval_resolved tool_started tool_settled response turn_completed"
    );
    assert_eq!(world.session.history().len(), 4);
    assert!(!world.session.is_busy());
}

#[test]
fn a_denials_reason_reaches_the_model_and_nothing_runs() {
    let mut world = World::acting([ask("rm")]);
    world.answer("call_1_0_0", false, Scope::Once, Some("too risky"), None).expect("denied");
    assert!(!world.kinds().contains("tool_started"));
    let result = world.result_of("call_1_0_0");
    assert_eq!(result.outcome, Outcome::Failed(Code::Denied));
    assert!(result.text().contains("too risky"));
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 1 }]);
}

#[test]
fn calls_are_asked_one_at_a_time_and_answered_in_any_order() {
    let mut world = World::acting([ask("a"), run("b"), ask("c")]);
    let asked = |world: &World| world.questions().last().map(|q| (q.tool.clone(), q.position, q.total));
    assert_eq!(asked(&world), Some(("a".to_owned(), 1, 2)));
    world.approve("call_1_0_2").expect("any order");
    assert_eq!(world.questions().len(), 1, "the first is still being asked");
    world.approve("call_1_0_0").expect("approved");
    assert_eq!(world.questions().len(), 1, "nothing is left to ask");
    for call in ["call_1_0_2", "call_1_0_1", "call_1_0_0"] {
        world.settles(call, call);
    }
    let Some(Message::Tool { results, .. }) = world.session.history().last() else { panic!("results") };
    let order: Vec<_> = results.iter().map(|r| r.call.as_str()).collect();
    assert_eq!(order, ["call_1_0_0", "call_1_0_1", "call_1_0_2"], "in the order of the calls");
}

#[test]
fn the_first_answer_holds() {
    let mut world = World::acting([ask("a"), ask("b")]);
    world.approve("call_1_0_0").expect("first");
    let code = |answer: Result<Reply, Refusal>| answer.expect_err("refused").code;
    assert_eq!(code(world.answer("call_1_0_0", false, Scope::Once, None, None)), Code::AlreadyResolved);
    assert_eq!(code(world.approve("call_1_0_9")), Code::UnknownCall);
    assert_eq!(code(world.approve("call_9_0_0")), Code::UnknownCall);
    assert_eq!(code(world.approve("nonsense")), Code::UnknownCall);
    world.answer("call_1_0_1", false, Scope::Once, None, None).expect("denied");
    world.settles("call_1_0_0", "done");
    assert_eq!(code(world.approve("call_1_0_1")), Code::AlreadyResolved, "also when its step is over");
    world.does(Command::Cancel);
    assert_eq!(code(world.approve("call_1_0_1")), Code::AlreadyResolved, "also when its turn is over");
}

#[test]
fn silence_is_a_refusal() {
    let mut world = World::acting([ask("a")]);
    let deadline = world.session.next_deadline(&world.rules).expect("a question runs out");
    assert_eq!(deadline, world.now.after(world.rules.approval_ttl));
    world.now = deadline;
    world.does(Command::Tick);
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::ApprovalExpired));
    assert!(world.resolutions().iter().any(|r| r.decision == Decision::Expired));
}

#[test]
fn an_expired_question_says_so_while_its_step_is_open() {
    let mut world = World::acting([ask("a"), run("b")]);
    world.now = world.session.next_deadline(&world.rules).expect("a question");
    world.does(Command::Tick);
    assert_eq!(world.approve("call_1_0_0").expect_err("late").code, Code::ApprovalExpired);
}

#[test]
fn edited_arguments_run_and_are_recorded() {
    let mut world = World::acting([ask("a")]);
    world.answer("call_1_0_0", true, Scope::Once, None, Some(json!({"edited": true}))).expect("approved");
    assert!(matches!(&world.effects[..], [Effect::RunCall(call)] if call.args == json!({"edited": true})));
    assert_eq!(world.resolutions()[0].edited_args, Some(json!({"edited": true})));
}

#[test]
fn a_session_scope_is_a_grant_for_that_very_tool_until_the_session_ends() {
    let mut world = World::acting([ask("a")]);
    world.answer("call_1_0_0", true, Scope::Session, None, None).expect("approved");
    let (args, hints) = (json!({"any": 1}), ask("a").annotations);
    let grants = |world: &World, tool, fingerprint| {
        let asked = Asked { server: "s", tool, hints: &hints, fingerprint, args: &args, user: "someone" };
        world.session.grant_for(asked).is_some()
    };
    assert!(grants(&world, "a", "f-a") && grants_after_fold(&world, grants));
    assert!(!grants(&world, "a", "changed"));
    assert!(!grants(&world, "b", "f-a"));
    world.does(Command::End);
    assert!(!grants(&world, "a", "f-a"));
}

/// Whether a successor grants the same.
fn grants_after_fold(world: &World, grants: impl Fn(&World, &'static str, &'static str) -> bool) -> bool {
    let mut after = World::new();
    after.session = world.folded();
    grants(&after, "a", "f-a")
}

/// Covers: S2-3
#[test]
fn session_scope_that_is_not_offered_is_refused() {
    let granting = |judged: JudgedCall, grant: Option<GrantScope>, args: Option<Value>| {
        let mut world = World::acting([judged]);
        let call = CallId::parse("call_1_0_0").expect("an id");
        let (scope, reason, digest, rule) = (Scope::Session, None, None, None);
        let (constraints, via) = (std::collections::BTreeMap::new(), Via::default());
        let answer =
            Answer { call, approved: true, scope, reason, args, constraints, grant, digest, by: someone(), via, rule };
        world.follow(Command::Decide(answer)).map_err(|refusal| refusal.code)
    };
    let risky = || JudgedCall { annotations: Annotations::default(), ..ask("a") };
    let by_rule = JudgedCall { scopes: Vec::new(), ..ask("a") };
    assert_eq!(granting(by_rule.clone(), None, None), Err(Code::ScopeUnavailable));
    assert_eq!(granting(by_rule, Some(GrantScope::Exact), None), Err(Code::ScopeUnavailable));
    assert_eq!(granting(risky(), None, None), Err(Code::ScopeUnavailable));
    assert_eq!(granting(risky(), Some(GrantScope::Exact), None), Ok(Reply::Done));
    let wide = GrantScope::Path { argument: "path".to_owned(), within: "a".to_owned() };
    assert_eq!(granting(risky(), Some(wide.clone()), None), Err(Code::ScopeUnavailable));
    assert_eq!(granting(risky(), Some(wide.clone()), Some(json!({"path": "b/c"}))), Err(Code::ScopeUnavailable));
    assert_eq!(granting(risky(), Some(wide), Some(json!({"path": "a/c"}))), Ok(Reply::Done), "the call as it runs");
    assert_eq!(granting(ask("a"), None, None), Ok(Reply::Done));
}

#[test]
fn a_scope_that_is_not_offered_changes_nothing() {
    let mut world = World::acting([ask("a")]);
    let before = world.log.len();
    let refusal = world.answer("call_1_0_0", true, Scope::Always, None, None).expect_err("not offered");
    assert_eq!((refusal.code, world.log.len()), (Code::ScopeUnavailable, before));
}

#[test]
fn a_cancel_gives_every_call_its_result_and_late_results_are_dropped() {
    let mut world = World::acting([run("a"), ask("b")]);
    world.does(Command::Cancel);
    let stop = Effect::StopCall(CallId::parse("call_1_0_0").expect("id"));
    assert!(world.effects.contains(&stop), "{:?}", world.effects);
    for call in ["call_1_0_0", "call_1_0_1"] {
        assert_eq!(world.result_of(call).outcome, Outcome::Failed(Code::Cancelled));
    }
    assert_eq!(world.ends(), [StopReason::Cancelled]);
    let written = world.log.len();
    world.settles("call_1_0_0", "late");
    assert_eq!(world.log.len(), written);
}

#[test]
fn what_was_said_before_a_cancel_stays_in_the_history() {
    let mut world = World::new();
    world.submit("tell").expect("accepted");
    world.does(Command::ModelSaid(vec![Said::Text("Once upon".to_owned()), Said::Text(" a time".to_owned())]));
    world.does(Command::Cancel);
    assert_eq!(world.effects, [Effect::StopModel]);
    let Some(Message::Assistant { message, .. }) = world.session.history().last() else { panic!("an answer") };
    assert_eq!(message.text, "Once upon a time");
    world.does(Command::ModelDone(text("late")));
    assert_eq!(world.ends(), [StopReason::Cancelled]);
}

#[test]
fn the_same_client_message_is_one_message() {
    let mut world = World::new();
    let first = world.submit_as("m1", "hi").expect("accepted");
    assert_eq!(first, Reply::Accepted { turn: TurnId::new(1), duplicate: false });
    let again = world.submit_as("m1", "hi").expect("accepted");
    assert_eq!(again, Reply::Accepted { turn: TurnId::new(1), duplicate: true });
    world.does(Command::ModelDone(text("ho")));
    let later = world.submit_as("m1", "hi").expect("accepted");
    assert_eq!(later, Reply::Accepted { turn: TurnId::new(1), duplicate: true });
    assert_eq!(world.ends().len(), 1);
}

#[test]
fn reused_client_message_id_with_other_text_is_refused() {
    let mut world = World::new();
    world.submit_as("m1", "hi").expect("accepted");
    let refusal = world.submit_as("m1", "something else").expect_err("another message");
    assert_eq!(refusal.code, Code::InvalidPayload);
    let folded = Session::fold(SessionState::default(), Vec::new(), &world.log);
    world.session = folded;
    assert_eq!(world.submit_as("m1", "something else").expect_err("still").code, Code::InvalidPayload);
    assert!(matches!(world.submit_as("m1", "hi"), Ok(Reply::Accepted { duplicate: true, .. })));
}

#[test]
fn messages_wait_their_turn_up_to_a_limit() {
    let mut world = World::new();
    for n in 0..=world.rules.max_queued {
        world.submit(&format!("m{n}")).expect("accepted");
    }
    assert_eq!(world.submit("one too many").expect_err("full").code, Code::Busy);
    world.does(Command::ModelDone(text("first")));
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(2), step: 0 }]);
    world.submit("room again").expect("accepted");
}

#[test]
fn a_model_that_never_stops_asking_is_stopped() {
    let mut world = World::new();
    world.rules.max_steps = 3;
    world.submit("loop").expect("accepted");
    for step in 0..3 {
        world.does(Command::ModelDone(tools([run("a")])));
        world.settles(&format!("call_1_{step}_0"), "again");
    }
    assert_eq!(world.ends(), [StopReason::StepLimit]);
    assert_eq!(world.result_of("call_1_2_0").outcome, Outcome::Failed(Code::TurnLimit));
    assert!(!world.session.is_busy());
}

#[test]
fn calls_over_the_limit_of_a_step_and_refused_calls_get_their_results_at_once() {
    let mut world = World::new();
    world.rules.max_calls_per_step = 2;
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(tools([refuse("x"), run("a"), run("b")])));
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::UnknownTool));
    assert_eq!(world.result_of("call_1_0_2").outcome, Outcome::Failed(Code::TooManyCalls));
    assert!(matches!(&world.effects[..], [Effect::RunCall(call)] if call.tool == "a"));
}

#[test]
fn calls_of_an_answer_that_did_not_end_properly_never_run() {
    for stop in [StopReason::MaxTokens, StopReason::Refusal, StopReason::Safety] {
        let mut world = World::new();
        world.submit("go").expect("accepted");
        world.does(Command::ModelDone(ModelOutcome { stop, ..tools([run("a")]) }));
        assert_eq!(world.kinds(), "user_message response turn_completed");
        assert_eq!(world.ends(), [stop]);
    }
}

#[test]
fn an_answer_without_a_word_says_so() {
    let mut world = World::new();
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(text(" \n")));
    let Some(Message::Assistant { message, .. }) = world.session.history().last() else { panic!("an answer") };
    assert!(message.text.contains("without an answer"));
}

#[test]
fn whoever_takes_over_runs_nothing_twice() {
    let mut world = World::acting([run("a"), ask("b")]);
    world.crash();
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::OutcomeUnknown));
    assert!(!world.effects.iter().any(|e| matches!(e, Effect::RunCall(_))));
    assert_eq!(world.session.open_calls().len(), 1, "the question is still open");
    world.approve("call_1_0_1").expect("approved after the crash");
    assert!(matches!(&world.effects[..], [Effect::RunCall(call)] if call.tool == "b"));
}

#[test]
fn a_resumed_answer_is_a_new_attempt_and_a_turn_that_kills_its_server_is_given_up() {
    let mut world = World::new();
    world.submit("tell").expect("accepted");
    for _ in 0..world.rules.max_resumes {
        world.does(Command::ModelSaid(vec![Said::Text("Once".to_owned())]));
        world.crash();
        assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 0 }]);
    }
    let attempts: Vec<_> = world.deltas().iter().map(|(attempt, _)| *attempt).collect();
    assert_eq!(attempts, [0, 1, 2]);
    world.crash();
    assert_eq!(world.ends(), [StopReason::Interrupted]);
}

#[test]
fn a_reset_empties_the_history_after_ending_what_runs_or_waits() {
    let mut world = World::acting([ask("a")]);
    world.submit("waits").expect("accepted");
    world.does(Command::Reset);
    assert_eq!(world.ends(), [StopReason::Cancelled, StopReason::Cancelled]);
    assert!(world.session.history().is_empty() && world.stored.is_empty());
    assert!(!world.session.is_busy());
}

#[test]
fn an_idle_session_expires_and_a_busy_one_does_not() {
    let expire = || Command::Expire { reason: "idle".to_owned() };
    let mut world = World::acting([ask("a")]);
    world.does(expire());
    assert!(!world.kinds().contains("session_expired"));
    world.does(Command::Cancel);
    world.does(expire());
    assert!(world.kinds().ends_with("session_expired"));
}

#[test]
fn the_gates_word_is_in_the_log() {
    let world = World::acting([run("a"), ask("b"), refuse("c")]);
    let gates = world.log.iter().find_map(|event| match &event.body {
        EventBody::ToolCalls(calls) => Some(calls.gates.iter().map(|g| g.status).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(gates, Some(vec![CallStatus::Allowed, CallStatus::Waiting, CallStatus::Refused]));
}
