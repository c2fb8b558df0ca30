//! Turns that cost more than there is.

use super::world::{World, ask, run, someone, text};
use crate::*;
use std::time::Duration;

fn question(world: &World) -> BudgetAsked {
    let expires_at = world.now.after(Duration::from_mins(1));
    let question = Some(QuestionId::parse(format!("q{}", world.log.len())).expect("an id"));
    BudgetAsked { question, of: BudgetOf::Day, measure: Measure::Tokens, taken: 9, limit: 10, expires_at }
}

fn asks(world: &mut World) -> BudgetAsked {
    let question = question(world);
    world.does(Command::AskBudget { question: question.clone(), call: None });
    question
}

/// Answers the question that was asked last.
fn answer(world: &mut World, go_on: bool) -> Result<Reply, Refusal> {
    let asked = |event: &Event| match &event.body {
        EventBody::BudgetAsked(asked) => Some(asked.question.clone()),
        _ => None,
    };
    let question = world.log.iter().rev().find_map(asked).flatten();
    answer_to(world, question, go_on)
}

fn answer_to(world: &mut World, question: Option<QuestionId>, go_on: bool) -> Result<Reply, Refusal> {
    world.follow(Command::AnswerBudget(BudgetAnswer { question, go_on, by: someone(), via: Via::default() }))
}

#[test]
fn a_turn_that_may_not_go_on_ends_with_its_code_and_each_call_with_its_result() {
    let mut world = World::acting([run("a"), run("b"), ask("c")]);
    let failure = Failure::new(Code::BudgetExceeded, "No more.");
    let call = Some(CallId::parse("call_1_0_0").expect("an id"));
    world.does(Command::OverBudget { call, failure });
    assert_eq!(world.ends(), [StopReason::Error]);
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::BudgetExceeded));
    for cut in ["call_1_0_1", "call_1_0_2"] {
        assert_eq!(world.result_of(cut).outcome, Outcome::Failed(Code::Cancelled));
    }
    assert!(!world.session.is_busy());
}

#[test]
fn a_turn_that_asks_begins_nothing_until_it_is_answered() {
    let mut world = World::new();
    world.submit("go").expect("accepted");
    asks(&mut world);
    assert_eq!(world.effects, []);
    assert!(world.session.turn().is_some_and(|turn| !turn.is_waived()));
    world.does(Command::Tick);
    assert_eq!(world.effects, [], "there is time");
    asks(&mut world);
    assert_eq!(world.kinds().matches("budget_asked").count(), 1, "one question at a time");
    answer(&mut world, true).expect("answered");
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 0 }]);
    assert!(world.session.turn().is_some_and(Turn::is_waived));
    assert_eq!(answer(&mut world, false).expect_err("nothing is asked").code, Code::AlreadyResolved);
    world.does(Command::ModelDone(text("done")));
    assert_eq!(world.ends(), [StopReason::EndTurn]);
    world.submit("more").expect("accepted");
    assert!(world.session.turn().is_some_and(|turn| !turn.is_waived()), "a word is for one turn");
}

#[test]
fn no_and_silence_end_the_turn() {
    for silent in [false, true] {
        let mut world = World::new();
        world.submit("go").expect("accepted");
        let asked = asks(&mut world);
        assert_eq!(world.session.next_deadline(&world.rules), Some(asked.expires_at));
        if silent {
            world.now = asked.expires_at;
            world.does(Command::Tick);
        } else {
            answer(&mut world, false).expect("answered");
        }
        assert_eq!(world.ends(), [StopReason::Error]);
        assert!(world.kinds().ends_with("budget_asked budget_answered failure turn_completed"), "{}", world.kinds());
    }
}

#[test]
fn calls_that_run_while_a_human_is_asked_settle_and_the_step_waits() {
    let mut world = World::acting([run("a"), run("b")]);
    asks(&mut world);
    world.settles("call_1_0_0", "done");
    world.settles("call_1_0_1", "done");
    assert_eq!(world.effects, [], "the model is not asked");
    answer(&mut world, true).expect("answered");
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 1 }]);
}

#[test]
fn the_question_and_the_word_outlive_a_server() {
    let mut world = World::new();
    world.submit("go").expect("accepted");
    let asked = asks(&mut world);
    world.crash();
    assert_eq!(world.effects, []);
    assert_eq!(world.session.turn().and_then(Turn::budget_question), Some(&asked));
    answer(&mut world, true).expect("answered");
    world.crash();
    assert!(world.session.turn().is_some_and(Turn::is_waived));
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 0 }]);
}

/// The question of a turn runs out, and the next turn asks at once: a late yes is to the first question.
#[test]
fn late_answer_pays_for_no_other_turn() {
    let mut world = World::new();
    world.submit("one").expect("accepted");
    world.submit("two").expect("queued");
    let first = asks(&mut world);
    world.now = first.expires_at;
    world.does(Command::Tick);
    let second = asks(&mut world);
    assert_ne!(first.question, second.question);
    let late = answer_to(&mut world, first.question, true).expect_err("it is closed");
    assert_eq!(late.code, Code::AlreadyResolved);
    let unnamed = answer_to(&mut world, None, true).expect_err("it could be to either");
    assert_eq!(unnamed.code, Code::ApprovalMismatch);
    assert!(world.session.turn().is_some_and(|turn| !turn.is_waived()));
    answer_to(&mut world, second.question, true).expect("answered");
    assert!(world.session.turn().is_some_and(Turn::is_waived));
}

/// Logs of earlier versions hold questions without a name.
#[test]
fn question_of_an_earlier_version_is_answered_without_a_name() {
    let mut world = World::new();
    world.submit("go").expect("accepted");
    let unnamed = BudgetAsked { question: None, ..question(&world) };
    world.does(Command::AskBudget { question: unnamed, call: None });
    let named = QuestionId::parse("another").expect("an id");
    assert_eq!(answer_to(&mut world, Some(named), true).expect_err("not this one").code, Code::AlreadyResolved);
    answer_to(&mut world, None, true).expect("answered");
}

/// The reserve of a call was refused before a human let the turn go on, and is heard of after it.
#[test]
fn waived_turn_is_not_asked_again() {
    let mut world = World::new();
    world.submit("go").expect("accepted");
    asks(&mut world);
    answer(&mut world, true).expect("answered");
    asks(&mut world);
    assert_eq!(world.kinds().matches("budget_asked").count(), 1);
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(1), step: 0 }], "the model is asked all the same");
}

#[test]
fn turn_that_ends_closes_its_question() {
    let ends: [fn(&mut World); 4] = [
        |world| world.does(Command::Cancel),
        |world| world.does(Command::Reset),
        |world| world.does(Command::End),
        |world| {
            world.rules.max_resumes = 0;
            world.crash();
        },
    ];
    for end in ends {
        let mut world = World::new();
        world.submit("go").expect("accepted");
        let asked = asks(&mut world);
        end(&mut world);
        let answered = world.log.iter().find_map(|event| match &event.body {
            EventBody::BudgetAnswered(answered) => Some(answered.clone()),
            _ => None,
        });
        let answered = answered.expect("the question is closed");
        assert_eq!((answered.question, answered.go_on, answered.by), (asked.question, false, None));
    }
}

#[test]
fn audit_holds_question_and_answer() {
    let mut world = World::new();
    world.submit("go").expect("accepted");
    let asked = asks(&mut world);
    answer(&mut world, true).expect("answered");
    let records: Vec<_> = world.log.iter().filter_map(|event| AuditRecord::of(&event.body)).collect();
    let [
        AuditRecord::BudgetAsked { question, taken: 9, limit: 10, .. },
        AuditRecord::BudgetAnswered { question: to, go_on: true, by, .. },
    ] = &records[..]
    else {
        panic!("{records:?}")
    };
    assert_eq!((question, to), (&asked.question, &asked.question));
    assert_eq!(by.as_ref(), Some(&someone()));
}
