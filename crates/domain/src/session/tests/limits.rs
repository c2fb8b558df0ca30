//! The ceilings of a turn: each refuses or ends, once, and says which it was.

use super::world::{World, ask, run, text, tools};
use crate::*;
use std::time::Duration;

fn said(world: &World) -> Vec<String> {
    let failure = |event: &Event| match &event.body {
        EventBody::Failure(failure) if failure.code == Code::TurnLimit => Some(failure.message.clone()),
        _ => None,
    };
    world.log.iter().filter_map(failure).collect()
}

fn costing(tokens: u64, outcome: ModelOutcome) -> ModelOutcome {
    ModelOutcome { usage: Usage { input_tokens: tokens, ..Usage::default() }, ..outcome }
}

#[test]
fn calls_beyond_those_of_a_turn_are_refused_and_the_turn_goes_on() {
    let mut world = World::new();
    world.rules.max_calls_per_turn = 3;
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(tools([run("a"), run("b")])));
    world.settles("call_1_0_0", "1");
    world.settles("call_1_0_1", "2");
    world.does(Command::ModelDone(tools([run("c"), run("d")])));
    let refused = world.result_of("call_1_1_1");
    assert_eq!(refused.outcome, Outcome::Failed(Code::TurnLimit));
    assert!(refused.text().contains("session.max_calls_per_turn"), "{}", refused.text());
    world.settles("call_1_1_0", "3");
    world.does(Command::ModelDone(text("enough")));
    assert_eq!(world.ends(), [StopReason::EndTurn]);
}

#[test]
fn no_call_runs_once_the_tools_have_said_too_much() {
    let mut world = World::new();
    world.rules.max_turn_output = 10;
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(tools([run("a")])));
    world.settles("call_1_0_0", "nine byte");
    world.does(Command::ModelDone(tools([run("b")])));
    world.settles("call_1_1_0", "x");
    world.does(Command::ModelDone(tools([run("c")])));
    assert!(world.result_of("call_1_2_0").text().contains("session.max_turn_output_bytes"));
    world.does(Command::ModelDone(text("so be it")));
    assert_eq!(world.ends(), [StopReason::EndTurn]);
}

#[test]
fn the_model_is_not_asked_again_once_it_has_used_its_tokens() {
    let mut world = World::new();
    world.rules.max_turn_tokens = 100;
    world.submit("go").expect("accepted");
    world.does(Command::ModelDone(costing(60, tools([run("a")]))));
    world.settles("call_1_0_0", "1");
    world.does(Command::ModelDone(costing(60, tools([ask("b")]))));
    assert!(world.result_of("call_1_1_0").text().contains("120 tokens of 100"), "its result would be read by nobody");
    assert_eq!(world.ends(), [StopReason::TurnLimit]);
    assert!(said(&world)[0].contains("session.max_turn_tokens"), "{:?}", said(&world));
    world.submit("the next turn begins anew").expect("accepted");
    assert_eq!(world.effects, [Effect::CallModel { turn: TurnId::new(2), step: 0 }]);
    world.does(Command::ModelDone(costing(500, text("an answer is an answer"))));
    assert_eq!(world.ends(), [StopReason::TurnLimit, StopReason::EndTurn]);
}

#[test]
fn a_turn_that_takes_too_long_ends_with_all_that_runs_in_it() {
    let mut world = World::acting([run("a"), run("b")]);
    let deadline = world.session.next_deadline(&world.rules).expect("a deadline");
    world.settles("call_1_0_0", "in time");
    world.now = deadline;
    world.does(Command::Tick);
    assert_eq!(world.result_of("call_1_0_1").outcome, Outcome::Failed(Code::TurnLimit));
    assert!(matches!(&world.effects[..], [Effect::StopCall(call)] if call.as_str() == "call_1_0_1"));
    assert_eq!(world.ends(), [StopReason::TurnLimit]);
    assert!(said(&world)[0].contains("session.max_turn_secs"));
    world.submit("and a model that says nothing").expect("accepted");
    world.now = world.session.next_deadline(&world.rules).expect("a deadline");
    world.does(Command::Tick);
    assert_eq!(world.effects, [Effect::StopModel]);
    assert!(!world.session.is_busy());
}

#[test]
fn neither_the_time_of_a_human_nor_that_without_a_server_counts() {
    let mut world = World::acting([ask("a")]);
    world.rules.approval_ttl = Duration::from_hours(2);
    world.rules.max_turn = Duration::from_secs(10);
    let asked_until = world.session.next_deadline(&world.rules).expect("the question's");
    assert_eq!(asked_until, world.questions()[0].expires_at, "while a human is asked the turn has no other deadline");
    world.now = world.now.after(Duration::from_mins(4));
    world.approve("call_1_0_0").expect("approved");
    let left = world.session.next_deadline(&world.rules).expect("a deadline").since(world.now);
    assert!(left > Duration::from_secs(9), "{left:?}");
    world.settles("call_1_0_0", "done");
    world.now = world.now.after(Duration::from_hours(1));
    world.crash();
    let left = world.session.next_deadline(&world.rules).expect("a deadline").since(world.now);
    assert!(left > Duration::from_secs(9) && left <= Duration::from_secs(10), "{left:?}");
    world.does(Command::ModelDone(text("done")));
    assert_eq!(world.ends(), [StopReason::EndTurn]);
}
