//! What is told of a call is what happened to it: made ready, started, or not sent at all.

use super::world::{World, ask, run, someone, text};
use crate::*;
use std::time::Duration;

/// A session with these calls, none of which is sent.
fn unsent(calls: impl IntoIterator<Item = JudgedCall>) -> World {
    let mut world = World::new();
    world.sends = false;
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(super::world::tools(calls)));
    world
}

/// Ends the turn of a world.
type End = fn(&mut World);

fn id(call: &str) -> CallId {
    CallId::parse(call).expect("an id")
}

fn asks_for(world: &mut World, call: &str) -> QuestionId {
    let name = QuestionId::parse("q").expect("an id");
    let expires_at = world.now.after(Duration::from_mins(5));
    let (of, measure) = (BudgetOf::Session, Measure::ToolCalls);
    let question = BudgetAsked { question: Some(name.clone()), of, measure, taken: 1, limit: 1, expires_at };
    world.does(Command::AskBudget { question, call: Some(id(call)) });
    name
}

fn answers(world: &mut World, question: QuestionId, go_on: bool) {
    let answer = BudgetAnswer { question: Some(question), go_on, by: someone(), via: Via::default() };
    world.does(Command::AnswerBudget(answer));
}

fn is_run(effects: &[Effect], call: &str) -> bool {
    matches!(effects, [Effect::RunCall(run)] if run.id == id(call))
}

#[test]
fn start_is_written_when_the_call_is_sent() {
    let mut world = unsent([run("a")]);
    assert!(is_run(&world.effects, "call_1_0_0"));
    assert!(!world.kinds().contains("tool_started"));
    world.does(Command::Tick);
    assert_eq!(world.effects, [], "it is made ready once");
    world.does(Command::StartCall(id("call_1_0_0")));
    assert!(world.kinds().ends_with("tool_calls tool_started"), "{}", world.kinds());
    assert!(matches!(&world.effects[..], [Effect::SendCall(call)] if call.id == id("call_1_0_0")));
}

#[test]
fn cancelled_call_is_not_started_any_more() {
    let mut world = unsent([run("a")]);
    world.does(Command::Cancel);
    let log = world.log.len();
    world.does(Command::StartCall(id("call_1_0_0")));
    assert_eq!((world.log.len(), &world.effects[..]), (log, &[][..]));
}

#[test]
fn call_held_for_the_budget_runs_after_a_crash_and_a_yes() {
    let mut world = unsent([run("a")]);
    let question = asks_for(&mut world, "call_1_0_0");
    world.crash();
    assert_eq!(world.effects, [], "it waits for the answer");
    answers(&mut world, question, true);
    assert!(is_run(&world.effects, "call_1_0_0"));
    assert!(!world.kinds().contains("tool_settled"), "it was never sent, so nothing is unknown");
}

#[test]
fn unsent_call_runs_after_a_crash() {
    let mut world = unsent([run("a"), run("b")]);
    world.does(Command::StartCall(id("call_1_0_0")));
    world.crash();
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::OutcomeUnknown));
    assert!(is_run(&world.effects, "call_1_0_1"));
}

#[test]
fn only_what_was_sent_may_have_had_effects() {
    let ends: [(End, Code); 3] = [
        (|world| world.does(Command::Cancel), Code::Cancelled),
        (
            |world| {
                let failure = Failure::new(Code::BudgetExceeded, "No more.");
                world.does(Command::OverBudget { call: None, failure });
            },
            Code::Cancelled,
        ),
        (
            |world| {
                world.rules.max_turn = Duration::from_millis(1);
                world.answer("call_1_0_2", true, Scope::Once, None, None).expect("approved");
                world.now = world.now.after(Duration::from_hours(1));
                world.does(Command::Tick);
            },
            Code::TurnLimit,
        ),
    ];
    for (end, code) in ends {
        let mut world = unsent([run("sent"), run("unsent"), ask("asked")]);
        world.does(Command::StartCall(id("call_1_0_0")));
        end(&mut world);
        let said = |call| {
            let result = world.result_of(call);
            assert_eq!(result.outcome, Outcome::Failed(code), "{call}");
            result.text()
        };
        assert!(said("call_1_0_0").contains("it may have had effects"), "{}", said("call_1_0_0"));
        for call in ["call_1_0_1", "call_1_0_2"] {
            assert!(said(call).contains("it was not run"), "{}", said(call));
        }
    }
}

#[test]
fn last_resume_tells_of_started_calls_that_their_outcome_is_unknown() {
    let mut world = unsent([run("sent"), run("unsent"), ask("asked")]);
    world.does(Command::StartCall(id("call_1_0_0")));
    world.rules.max_resumes = 0;
    world.crash();
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::OutcomeUnknown));
    for call in ["call_1_0_1", "call_1_0_2"] {
        let result = world.result_of(call);
        assert_eq!(result.outcome, Outcome::Failed(Code::Cancelled));
        assert!(result.text().contains("it was not run"), "{}", result.text());
    }
    assert_eq!(world.ends(), [StopReason::Interrupted]);
}

#[test]
fn waiting_for_a_budget_answer_is_not_the_turns_time() {
    let mut world = unsent([run("a")]);
    world.rules.max_turn = Duration::from_secs(10);
    let question = asks_for(&mut world, "call_1_0_0");
    let until = world.session.next_deadline(&world.rules).expect("the question's");
    assert!(until.since(world.now) > Duration::from_mins(1), "the turn has no deadline of its own");
    world.now = world.now.after(Duration::from_mins(4));
    answers(&mut world, question, true);
    let left = world.session.next_deadline(&world.rules).expect("a deadline").since(world.now);
    assert!(left > Duration::from_secs(9), "{left:?}");
    world.settles("call_1_0_0", "done");
    world.does(Command::ModelDone(text("done")));
    assert_eq!(world.ends(), [StopReason::EndTurn]);
}

#[test]
fn question_asked_anew_keeps_the_time_it_waited() {
    let mut world = unsent([ask("a")]);
    world.rules.max_turn = Duration::from_secs(10);
    world.now = world.now.after(Duration::from_mins(4));
    world.session.stand_on_rules("other".to_owned());
    world.does(Command::Tick);
    assert_eq!(world.questions().len(), 2, "asked anew");
    world.now = world.now.after(Duration::from_mins(1));
    world.approve("call_1_0_0").expect("approved");
    let left = world.session.next_deadline(&world.rules).expect("a deadline").since(world.now);
    assert!(left > Duration::from_secs(9), "{left:?}");
}

/// Two humans are asked at once: the time counts once.
#[test]
fn overlapping_waits_count_once() {
    let mut world = unsent([run("a"), ask("b")]);
    world.rules.max_turn = Duration::from_mins(3);
    let began = world.now;
    let question = asks_for(&mut world, "call_1_0_0");
    world.now = world.now.after(Duration::from_mins(1));
    answers(&mut world, question, true);
    world.approve("call_1_0_1").expect("approved");
    let deadline = world.session.next_deadline(&world.rules).expect("a deadline");
    let counted = deadline.since(began);
    assert!(counted < Duration::from_mins(4) + Duration::from_secs(1), "{counted:?}");
}
