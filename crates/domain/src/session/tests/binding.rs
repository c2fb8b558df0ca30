//! What was let through is what was shown, to the letter.

use super::world::{World, ask, run, someone, tools};
use crate::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A session whose one call, of tool `a`, a human is asked about.
fn asking() -> World {
    let mut world = World::new();
    world.session.stand_on(ground("1"));
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(tools([ask("a")])));
    world
}

fn ground(policy: &str) -> Ground {
    Ground {
        session: "s".into(),
        user: "someone".into(),
        image: Some("sha256:1".into()),
        policy: policy.into(),
        workspace: Some(workspace("w1")),
        ..Ground::default()
    }
}

fn workspace(name: &str) -> WorkspaceId {
    WorkspaceId::parse(name).expect("an id")
}

fn answer(digest: Option<Digest>, args: Option<Value>) -> Command {
    let call = CallId::minted(TurnId::new(1), 0, 0);
    Command::Decide(Answer { args, digest, ..yes(call) })
}

fn yes(call: CallId) -> Answer {
    Answer {
        call,
        approved: true,
        scope: Scope::Once,
        reason: None,
        args: None,
        constraints: std::collections::BTreeMap::new(),
        digest: None,
        grant: None,
        by: someone(),
        via: Via::default(),
        rule: None,
    }
}

fn shown(world: &World) -> Digest {
    world.questions().last().and_then(|question| question.digest).expect("a question with its digest")
}

fn started(world: &World) -> ToolCall {
    match &world.effects[..] {
        [Effect::RunCall(call)] => call.clone(),
        other => panic!("a call runs: {other:?}"),
    }
}

#[test]
fn c6_an_answer_to_another_question_is_refused_and_the_call_waits_on() {
    let mut world = asking();
    let other = Digest::of_bytes(b"another");
    for edited in [None, Some(json!({"edited": true}))] {
        let refusal = world.follow(answer(Some(other), edited)).expect_err("refused");
        assert_eq!(refusal.code, Code::ApprovalMismatch);
    }
    assert_eq!((world.session.open_calls().len(), world.resolutions().len()), (1, 0));
    let digest = shown(&world);
    world.does(answer(Some(digest), None));
    assert_eq!(world.resolutions()[0].digest, Some(digest));
    assert!(world.session.is_bound(&started(&world), "f-a"));
}

#[test]
fn an_answer_without_a_digest_counts_unless_one_is_required() {
    let mut world = asking();
    world.rules.require_digest = true;
    assert_eq!(world.follow(answer(None, None)).expect_err("required").code, Code::ApprovalMismatch);
    world.rules.require_digest = false;
    world.does(answer(None, None));
    started(&world);
}

fn listed(world: &World, call: &CallId) -> Digest {
    let open = world.session.open_calls();
    open.iter().find(|open| open.call.id == *call).and_then(|open| open.gate.digest).expect("listed with its digest")
}

/// Covers: S2-11
#[test]
fn waiting_calls_are_answered_in_any_order_by_digest() {
    let mut world = World::new();
    world.session.stand_on(ground("1"));
    world.rules.require_digest = true;
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(tools([ask("a"), ask("b"), ask("c")])));
    let [a, b, c] = [0, 1, 2].map(|n| CallId::minted(TurnId::new(1), 0, n));
    let answer = |call: &CallId, digest| Command::Decide(Answer { digest, ..yes(call.clone()) });
    let (asked, of_b) = (shown(&world), listed(&world, &b));
    for other in [None, Some(asked), Some(listed(&world, &c))] {
        assert_eq!(world.follow(answer(&b, other)).expect_err("another").code, Code::ApprovalMismatch);
    }
    world.does(answer(&b, Some(of_b)));
    assert!(world.session.is_bound(&started(&world), "f-b"));
    // The listed digest is as good as that of the question, which binds the time to answer too.
    world.does(answer(&a, Some(listed(&world, &a))));
    assert!(world.session.is_bound(&started(&world), "f-a"));
    let of_c = listed(&world, &c);
    world.session.stand_on(ground("2"));
    world.does(Command::Tick);
    assert_eq!(world.follow(answer(&c, Some(of_c))).expect_err("other rules").code, Code::ApprovalMismatch);
    world.does(answer(&c, Some(shown(&world))));
    assert!(world.session.is_bound(&started(&world), "f-c"));
}

/// Covers: S2-12
#[test]
fn approval_for_a_lost_workspace_is_asked_again() {
    let mut world = asking();
    let before = shown(&world);
    world.does(answer(Some(before), Some(json!({"edited": true}))));
    let call = started(&world);
    assert!(!world.session.is_approved_for_lost(&call.id));
    world.session.stand_in(Some(workspace("w2")));
    assert!(world.session.is_approved_for_lost(&call.id) && !world.session.is_bound(&call, "f-a"));
    world.does(Command::AskAgain(vec![call.id.clone()]));
    assert!(world.effects.is_empty(), "nothing runs");
    let asked = (*world.questions().last().expect("a question")).clone();
    assert_eq!((&asked.args, asked.why.contains("workspace was lost")), (&json!({"edited": true}), true), "{asked:?}");
    assert_ne!(asked.digest, Some(before));
    assert_eq!(world.follow(answer(Some(before), None)).expect_err("the old one").code, Code::ApprovalMismatch);
    world.crash();
    world.does(answer(asked.digest, None));
    let again = started(&world);
    assert_eq!(again.args, json!({"edited": true}));
    assert!(world.session.is_bound(&again, "f-a"));
}

/// Covers: S2-12
#[test]
fn rules_hold_in_any_workspace_and_grants_in_their_own() {
    let mut world = World::new();
    world.session.stand_on(ground("1"));
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(tools([run("a"), JudgedCall { granted: true, ..run("b") }])));
    let calls = world.effects.iter().filter_map(|effect| match effect {
        Effect::RunCall(call) => Some(call.clone()),
        _ => None,
    });
    let calls: Vec<_> = calls.collect();
    world.session.stand_in(Some(workspace("w2")));
    assert!(world.session.is_bound(&calls[0], "f-a") && !world.session.is_bound(&calls[1], "f-b"));
    world.does(Command::AskAgain(vec![calls[1].id.clone()]));
    let asked = world.questions();
    assert_eq!((asked.len(), &asked[0].call, asked[0].position), (1, &calls[1].id, 1));
}

#[test]
fn edited_arguments_have_a_digest_of_their_own() {
    let mut world = asking();
    let digest = shown(&world);
    world.does(answer(Some(digest), Some(json!({"edited": true}))));
    let resolved = world.resolutions()[0].clone();
    assert_eq!(resolved.edited_args, Some(json!({"edited": true})));
    assert!(resolved.digest.is_some_and(|edited| edited != digest));
    assert!(world.session.is_bound(&started(&world), "f-a"));
    let models = ToolCall { args: json!({}), ..started(&world) };
    assert!(!world.session.is_bound(&models, "f-a"), "what the model wanted was not let through");
}

/// The next request, the history, and snapshots hold what ran. A provider's own words go back as they are, and the result
/// then says what ran.
#[test]
fn edited_arguments_are_what_the_history_says_ran() {
    let replay = Replay { provider: "p".into(), model: "m".into(), api: "a".into(), raw: json!([]) };
    for replay in [None, Some(replay)] {
        let mut world = World::new();
        world.session.stand_on(ground("1"));
        world.submit("go").expect("accepted");
        world.does(Command::ModelDone(ModelOutcome { replay: replay.clone(), ..tools([ask("a")]) }));
        world.does(answer(None, Some(json!({"command": "echo kept it"}))));
        let result = ToolResult::succeeded(vec![Content::text("kept it")]);
        world.does(Command::CallSettled { call: CallId::minted(TurnId::new(1), 0, 0), result });
        let [.., Message::Assistant { message, .. }, Message::Tool { results, .. }] = world.session.history() else {
            panic!("a whole step: {:?}", world.session.history())
        };
        assert_eq!(message.calls[0].args, json!({"command": "echo kept it"}));
        let text = results[0].result.text();
        assert_eq!(text.contains(r#"They were: {"command":"echo kept it"}"#), replay.is_some(), "{text}");
        assert!(text.ends_with("kept it"));
    }
}

#[test]
fn on_other_ground_a_question_is_asked_anew_and_its_old_answer_refused() {
    let mut world = asking();
    let (before, digest) = (world.log.len(), shown(&world));
    world.session.stand_on(ground("2"));
    assert!(world.session.has_stale_question());
    assert_eq!(world.follow(answer(Some(digest), None)).expect_err("stale").code, Code::ApprovalMismatch);
    assert_eq!(world.follow(answer(None, None)).expect_err("stale").code, Code::ApprovalMismatch);
    world.does(Command::Tick);
    assert_eq!(world.log.len(), before + 1, "one new question");
    assert!(!world.session.has_stale_question());
    assert_ne!(shown(&world), digest);
    assert_eq!(world.follow(answer(Some(digest), None)).expect_err("the old one").code, Code::ApprovalMismatch);
    let anew = shown(&world);
    world.does(answer(Some(anew), None));
    started(&world);
}

#[test]
fn what_was_let_through_on_other_ground_does_not_run() {
    for world in [&mut asking(), &mut World::new()] {
        if world.questions().is_empty() {
            world.session.stand_on(ground("1"));
            world.submit("go").expect("accepted");
            world.does(Command::ModelDone(tools([run("a")])));
        } else {
            world.does(answer(None, None));
        }
        let call = started(world);
        assert!(world.session.is_bound(&call, "f-a"));
        assert!(!world.session.is_bound(&call, "f-b"), "another definition");
        for other in [
            ground("2"),
            Ground { image: None, ..ground("1") },
            Ground { user: "else".into(), ..ground("1") },
            Ground { session: "t".into(), ..ground("1") },
        ] {
            world.session.stand_on(other);
            assert!(!world.session.is_bound(&call, "f-a"));
        }
    }
}

/// The session as a successor folds it from a log in whose JSON somebody changed this.
fn folded_from(log: &[Value]) -> Option<Session> {
    let events: Vec<Event> = serde_json::from_value(Value::Array(log.to_vec())).ok()?;
    let mut session = Session::fold(SessionState::default(), Vec::new(), &events);
    session.stand_on(ground("1"));
    Some(session)
}

/// Whether the call `a` runs, to the letter as it is in the log, if a human who saw `digest` says yes.
fn runs(session: &mut Session, digest: Digest) -> Option<ToolCall> {
    let now = Timestamp::from_millis(2_000);
    let reaction = session.handle(answer(Some(digest), None), now, &Rules::default()).ok()?;
    reaction.effects.into_iter().find_map(|effect| match effect {
        Effect::RunCall(call) if session.is_bound(&call, "f-a") => Some(call),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    /// Whatever bit of the stored question, or of the call that it is about, is another one: the answer to what was shown
    /// runs nothing, unless what runs is what was shown all the same.
    #[test]
    fn any_changed_bit_of_what_is_stored_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8, which in 0_usize..2) {
        let world = asking();
        let digest = shown(&world);
        let mut log: Vec<Value> = world.log.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
        let kind = ["tool_calls", "approval_required"][which];
        let place = log.iter().position(|event| event["body"]["type"] == kind).expect("there");
        let mut bytes = serde_json::to_vec(&log[place]).expect("JSON");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(changed) = serde_json::from_slice::<Value>(&bytes) else { return Ok(()) };
        log[place] = changed;
        let whole = runs(&mut world.folded(), digest).expect("what is whole runs");
        if let Some(call) = folded_from(&log).and_then(|mut session| runs(&mut session, digest)) {
            let same = (&call.id, &call.server, &call.tool, &call.args) == (&whole.id, &whole.server, &whole.tool, &whole.args);
            prop_assert!(same, "{call:?} ran");
        }
    }
}
