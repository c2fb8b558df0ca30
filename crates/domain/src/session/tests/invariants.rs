//! What must hold after every command, and random commands to hold it against.

use super::{
    oracle,
    world::{World, ask, refuse, run, someone, text, tools},
};
use crate::*;
use proptest::prelude::*;
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// Checks the log, the history and the session against each other.
pub(super) fn check(world: &World) {
    fold_gives_the_same_session(world);
    assert_eq!(world.stored, world.session.history(), "the store's history is the session's");
    assert!(world.stored.len() <= world.rules.history.max_messages);
    history_is_whole(&world.stored);
    calls_and_turns_end_once(&world.log);
    oracle::only_what_was_started_may_have_had_effects(&world.log);
    oracle::each_budget_answer_is_to_the_open_question(&world.log);
    oracle::no_time_of_waiting_counts(world);
}

fn fold_gives_the_same_session(world: &World) {
    let mut live = world.session.clone();
    let mut folded = world.folded();
    live.asked = None;
    live.preparing.clear();
    // A live session begins a turn before the turn's first event; a fold begins it with the event.
    if folded.turn.is_none() {
        folded.open_next();
    }
    if live.turn.is_none() {
        live.open_next();
    }
    assert_eq!(folded, live, "the log tells the session");
}

fn history_is_whole(history: &[Message]) {
    for (at, message) in history.iter().enumerate() {
        let results = match history.get(at + 1) {
            Some(Message::Tool { results, .. }) => results.iter().map(|r| &r.call).collect(),
            _ => Vec::new(),
        };
        let calls: Vec<_> = match message {
            Message::Assistant { message, .. } => message.calls.iter().map(|c| &c.id).collect(),
            _ => Vec::new(),
        };
        assert_eq!(calls, results, "calls and results stand together");
    }
    assert!(!matches!(history.first(), Some(Message::Tool { .. })), "no result without its call");
}

#[derive(Default)]
struct Seen {
    allowed: HashSet<CallId>,
    started: HashSet<CallId>,
    settled: HashSet<CallId>,
    calls: HashMap<TurnId, Vec<CallId>>,
    asked: Option<CallId>,
    ended: HashSet<TurnId>,
    open: Option<TurnId>,
}

fn calls_and_turns_end_once(log: &[Event]) {
    let mut seen = Seen::default();
    for event in log {
        if let (Some(turn), false) = (event.turn, matches!(event.body, EventBody::UserMessage { .. })) {
            assert!(!seen.ended.contains(&turn), "nothing follows a turn's end");
            assert_eq!(*seen.open.get_or_insert(turn), turn, "one turn at a time");
        }
        seen.take(event);
    }
}

impl Seen {
    fn take(&mut self, event: &Event) {
        match &event.body {
            EventBody::ToolCalls(calls) => {
                for (call, gate) in calls.message.calls.iter().zip(&calls.gates) {
                    if gate.status == CallStatus::Allowed {
                        self.allowed.insert(call.id.clone());
                    }
                    self.calls.entry(event.turn.expect("a turn")).or_default().push(call.id.clone());
                }
            }
            EventBody::ApprovalRequired(asked) => {
                let anew = self.asked.as_ref() == Some(&asked.call);
                assert!(self.asked.is_none() || anew, "one question at a time");
                self.asked = Some(asked.call.clone());
            }
            EventBody::ApprovalResolved(resolved) => {
                self.asked.take_if(|asked| *asked == resolved.call);
                if resolved.decision == Decision::Approved {
                    self.allowed.insert(resolved.call.clone());
                }
                // It was not sent: it may start once more, when a human approves it again.
                if resolved.decision == Decision::Void {
                    self.allowed.remove(&resolved.call);
                    self.started.remove(&resolved.call);
                }
            }
            EventBody::ToolStarted { call, .. } => {
                assert!(self.allowed.contains(call), "{call} runs only when it was let through");
                assert!(!self.settled.contains(call), "{call} does not run after its result");
                assert!(self.started.insert(call.clone()), "{call} runs once");
            }
            EventBody::ToolSettled(settled) => {
                assert!(self.settled.insert(settled.call.clone()), "{} has one result", settled.call);
            }
            EventBody::TurnCompleted(_) => {
                let turn = event.turn.expect("a turn");
                assert!(self.ended.insert(turn), "turn {turn} ends once");
                for call in self.calls.get(&turn).into_iter().flatten() {
                    assert!(self.settled.contains(call), "{call} has a result when its turn ends");
                }
                self.open = None;
            }
            _ => {}
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Submit(u8),
    Said(u8),
    Done(Vec<u8>),
    Failed,
    Answer { pick: usize, approved: bool, scope: u8, edited: bool },
    Start(usize),
    AskBudget(Option<usize>),
    AnswerBudget { question: u8, go_on: bool },
    OverBudget(Option<usize>),
    Seen(u8),
    Trust(u8),
    Notify,
    Forbid(usize),
    Settle(usize),
    Cancel,
    Reset,
    End,
    Expire,
    Wait(u16),
    Crash,
    Rules(u8),
    Workspace(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => any::<u8>().prop_map(Op::Submit),
        3 => any::<u8>().prop_map(Op::Said),
        6 => prop::collection::vec(any::<u8>(), 0..6).prop_map(Op::Done),
        1 => Just(Op::Failed),
        8 => (any::<usize>(), any::<bool>(), 0_u8..3, any::<bool>())
            .prop_map(|(pick, approved, scope, edited)| Op::Answer { pick, approved, scope, edited }),
        8 => any::<usize>().prop_map(Op::Start),
        2 => prop::option::of(any::<usize>()).prop_map(Op::AskBudget),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(question, go_on)| Op::AnswerBudget { question, go_on }),
        1 => prop::option::of(any::<usize>()).prop_map(Op::OverBudget),
        1 => any::<u8>().prop_map(Op::Seen),
        1 => any::<u8>().prop_map(Op::Trust),
        1 => Just(Op::Notify),
        8 => any::<usize>().prop_map(Op::Settle),
        1 => any::<usize>().prop_map(Op::Forbid),
        1 => Just(Op::Cancel),
        1 => Just(Op::Reset),
        1 => Just(Op::End),
        1 => Just(Op::Expire),
        2 => any::<u16>().prop_map(Op::Wait),
        2 => Just(Op::Crash),
        1 => any::<u8>().prop_map(Op::Rules),
        2 => any::<usize>().prop_map(Op::Workspace),
    ]
}

/// The tool `a` as its server gives it.
fn definition(version: u8) -> ToolDefinition {
    let JudgedCall { name, server, tool, annotations, .. } = run("a");
    ToolDefinition {
        name,
        server: server.expect("a server"),
        tool,
        title: None,
        description: format!("version {}", version % 3),
        input_schema: json!({"type": "object"}),
        annotations,
        fingerprint: format!("f-{}", version % 3),
    }
}

/// What is delivered twice is followed once.
fn twice(world: &mut World, deliver: impl Fn(&mut World) -> Result<Reply, Refusal>) -> Result<Reply, Refusal> {
    let first = deliver(world)?;
    let log = world.log.len();
    let _ = deliver(world);
    assert_eq!(world.log.len(), log, "the second one changes nothing");
    Ok(first)
}

fn perform(world: &mut World, op: Op) {
    let known: Vec<String> = world.session.open_calls().iter().map(|open| open.call.id.as_str().to_owned()).collect();
    let call = |pick: usize| {
        CallId::parse(known.get(pick % (known.len() + 1)).map_or("call_1_0_0", String::as_str)).expect("an id")
    };
    let picked = |pick: usize| known.get(pick % (known.len() + 1)).map_or("call_1_0_0", String::as_str);
    // A refusal is a fine answer; `follow` has checked that it changed nothing.
    let _ = match op {
        Op::Submit(name) => {
            let name = format!("m{}", name % 32);
            twice(world, |world| world.submit_as(&name, "text"))
        }
        Op::Said(n) => {
            let piece =
                |n: u8| if n.is_multiple_of(3) { Said::Reasoning("r".to_owned()) } else { Said::Text("t".to_owned()) };
            world.follow(Command::ModelSaid((0..n % 4).map(piece).collect()))
        }
        Op::Done(kinds) => {
            let judged = |kind: u8| match kind % 4 {
                0 => refuse("x"),
                1 => JudgedCall { pin: Some(Box::new(definition(0))), ..run("a") },
                _ => ask("b"),
            };
            let outcome = if kinds.is_empty() { text("answer") } else { tools(kinds.into_iter().map(judged)) };
            world.follow(Command::ModelDone(outcome))
        }
        Op::Failed => world.follow(Command::ModelFailed(Failure::new(Code::ProviderNetwork, "gone"))),
        Op::Answer { pick, approved, scope, edited } => {
            let scope = [Scope::Once, Scope::Session, Scope::Always][usize::from(scope)];
            let args = edited.then(|| json!({"edited": true}));
            twice(world, |world| world.answer(picked(pick), approved, scope, Some("because"), args.clone()))
        }
        Op::Start(pick) => world.follow(Command::StartCall(call(pick))),
        Op::AskBudget(pick) => {
            let name = QuestionId::parse(format!("q{}", world.log.len())).expect("an id");
            let (of, measure, expires_at) = (BudgetOf::Day, Measure::Tokens, world.now.after(Duration::from_mins(3)));
            let question = BudgetAsked { question: Some(name), of, measure, taken: 9, limit: 10, expires_at };
            world.follow(Command::AskBudget { question, call: pick.map(call) })
        }
        Op::AnswerBudget { question, go_on } => {
            let all = oracle::questions(&world.log);
            // An earlier one now and then, or none.
            let question = all.iter().rev().nth(usize::from(question) % 4).cloned();
            let answer = BudgetAnswer { question, go_on, by: someone(), via: Via::default() };
            twice(world, |world| world.follow(Command::AnswerBudget(answer.clone())))
        }
        Op::OverBudget(pick) => {
            let failure = Failure::new(Code::BudgetExceeded, "no more");
            world.follow(Command::OverBudget { call: pick.map(call), failure })
        }
        Op::Seen(version) => {
            let now = Box::new(definition(version));
            twice(world, |world| world.follow(Command::ToolSeen { now: now.clone(), offered: None }))
        }
        Op::Trust(version) => {
            let ToolDefinition { server, tool, fingerprint, .. } = definition(version);
            let trusted = ToolTrusted { server, tool, fingerprint, by: someone() };
            twice(world, |world| world.follow(Command::Trust(trusted.clone())))
        }
        Op::Notify => world.follow(Command::Notify { kind: NoticeKind::SandboxReplaced, text: "a notice".to_owned() }),
        Op::Forbid(pick) => {
            let call = CallId::parse(picked(pick)).expect("an id");
            world.follow(Command::Forbid(vec![(call.clone(), "a rule".to_owned()), (call, "again".to_owned())]))
        }
        Op::Settle(pick) => {
            let call = picked(pick).to_owned();
            world.settles(&call, "out");
            Ok(Reply::Done)
        }
        Op::Cancel => world.follow(Command::Cancel),
        Op::Reset => world.follow(Command::Reset),
        Op::End => world.follow(Command::End),
        Op::Expire => world.follow(Command::Expire { reason: "idle".to_owned() }),
        Op::Wait(secs) => {
            world.now = world.now.after(Duration::from_secs(u64::from(secs) % 400));
            world.follow(Command::Tick)
        }
        Op::Rules(version) => {
            world.session.stand_on(Ground { policy: (version % 4).to_string(), ..Ground::default() });
            world.follow(Command::Tick)
        }
        Op::Workspace(pick) => {
            world.session.stand_in(WorkspaceId::parse(format!("w{}", pick % 3)).ok());
            let call = CallId::parse(picked(pick)).expect("an id");
            world.follow(Command::AskAgain(vec![call]))
        }
        Op::Crash => {
            let started = oracle::started(&world.log);
            world.crash();
            for call in started {
                let result = world.result_of(call.as_str());
                assert_eq!(result.outcome, Outcome::Failed(Code::OutcomeUnknown), "{call} had been sent");
            }
            Ok(Reply::Done)
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_inputs_every_call_has_one_result_and_every_turn_one_end(
        ops in prop::collection::vec(op(), 1..80),
        max_steps in 1_u32..5,
        max_messages in 4_usize..20,
        (max_turn, max_resumes, max_queued) in (30_u64..3_000, 0_u32..4, 0_usize..5),
        sends in any::<bool>(),
    ) {
        let mut world = World::new();
        world.sends = sends;
        world.rules.max_turn = Duration::from_secs(max_turn);
        (world.rules.max_resumes, world.rules.max_queued) = (max_resumes, max_queued);
        world.rules.max_steps = max_steps;
        world.rules.history.max_messages = max_messages;
        for op in ops {
            perform(&mut world, op);
        }
        while world.session.is_busy() {
            world.does(Command::Cancel);
        }
        let asked = world.log.iter().filter(|e| matches!(e.body, EventBody::UserMessage { .. })).count();
        prop_assert_eq!(world.ends().len(), asked, "every turn ended");
        let log = world.log.len();
        for question in oracle::questions(&world.log) {
            let answer = BudgetAnswer { question: Some(question), go_on: true, by: someone(), via: Via::default() };
            let _ = world.follow(Command::AnswerBudget(answer));
        }
        prop_assert_eq!(world.log.len(), log, "a late answer pays for nothing");
    }
}
