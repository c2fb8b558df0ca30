//! What a log says of calls, questions, and time, computed apart from the session.

use super::world::World;
use crate::*;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// The calls that were started and have no result.
pub(super) fn started(log: &[Event]) -> BTreeSet<CallId> {
    let mut started = BTreeSet::new();
    for event in log {
        match &event.body {
            EventBody::ToolStarted { call, .. } => _ = started.insert(call.clone()),
            EventBody::ToolSettled(settled) => _ = started.remove(&settled.call),
            EventBody::ApprovalResolved(resolved) => _ = started.remove(&resolved.call),
            _ => {}
        }
    }
    started
}

/// The names of all questions about budgets, in their order.
pub(super) fn questions(log: &[Event]) -> Vec<QuestionId> {
    let asked = |event: &Event| match &event.body {
        EventBody::BudgetAsked(asked) => asked.question.clone(),
        _ => None,
    };
    log.iter().filter_map(asked).collect()
}

pub(super) fn only_what_was_started_may_have_had_effects(log: &[Event]) {
    let mut before = Vec::new();
    for event in log {
        if let EventBody::ToolSettled(ToolSettled { call, result, .. }) = &event.body {
            let was_started = started(&before).contains(call);
            let text = result.text();
            let is_unknown = result.outcome == Outcome::Failed(Code::OutcomeUnknown);
            if is_unknown || text.contains("may have had effects") {
                assert!(was_started, "{call} was not sent: {text}");
            }
            if text.contains("it was not run.") {
                assert!(!was_started, "{call} was sent: {text}");
            }
        }
        // Only these count above.
        if matches!(
            event.body,
            EventBody::ToolStarted { .. } | EventBody::ToolSettled(_) | EventBody::ApprovalResolved(_)
        ) {
            before.push(event.clone());
        }
    }
}

pub(super) fn each_budget_answer_is_to_the_open_question(log: &[Event]) {
    let mut open: Option<&BudgetAsked> = None;
    for event in log {
        match &event.body {
            EventBody::BudgetAsked(asked) => assert_eq!(open.replace(asked), None, "one question at a time"),
            EventBody::BudgetAnswered(answered) => {
                let asked = open.take().expect("a question is open");
                assert_eq!(answered.question, asked.question);
                assert!(!answered.go_on || answered.by.is_some(), "a human lets a turn go on");
                assert!(!answered.go_on || event.at < asked.expires_at || answered.by.is_some());
            }
            EventBody::TurnCompleted(_) => assert_eq!(open, None, "the question is closed before its turn"),
            _ => {}
        }
    }
}

/// A turn's deadline moves by the time in which it waited for a human, or had no server, and by nothing else.
pub(super) fn no_time_of_waiting_counts(world: &World) {
    let Some(turn) = world.session.turn() else { return };
    let mut came = HashMap::new();
    let mut ended = None;
    for event in &world.log {
        match (&event.body, event.turn) {
            (EventBody::UserMessage { .. }, Some(id)) => _ = came.insert(id, event.at),
            (EventBody::TurnCompleted(_), _) => ended = Some(event.at),
            _ => {}
        }
    }
    let opened = ended.max(came.get(&turn.id()).copied()).expect("its message came");
    let (mut waited, mut last) = (Duration::ZERO, opened);
    let (mut call, mut budget, mut since): (Option<&CallId>, bool, Option<Timestamp>) = (None, false, None);
    let of_turn =
        |event: &&Event| event.turn == Some(turn.id()) && !matches!(event.body, EventBody::UserMessage { .. });
    for event in world.log.iter().filter(of_turn) {
        match &event.body {
            EventBody::ApprovalRequired(asked) => call = Some(&asked.call),
            EventBody::ApprovalResolved(resolved) if call == Some(&resolved.call) => call = None,
            EventBody::BudgetAsked(_) => budget = true,
            EventBody::BudgetAnswered(_) => budget = false,
            EventBody::Notice { kind: NoticeKind::TurnResumed, .. } if since.is_none() => {
                waited += event.at.since(last);
            }
            _ => {}
        }
        match (call.is_some() || budget, since) {
            (true, None) => since = Some(event.at),
            (false, Some(began)) => {
                waited += event.at.since(began);
                since = None;
            }
            _ => {}
        }
        last = event.at;
    }
    let most = world.rules.max_turn;
    let expected = since.is_none().then(|| opened.after(most + waited));
    assert_eq!(turn.deadline(most), expected);
}
