//! What the gate costs a call, in one run that alternates turns with a call at the gate and turns without one.
//!
//! ```text
//! just bench-gate [TURNS]
//! ```
//!
//! A turn with the gate on asks the policy (of a hundred rules), binds the call, asks a human, takes an answer that gives the
//! digest, compares right before the call, and gives all five events their places in the audit under a key. A turn with the gate
//! off is the same turn of the same session with an answer in the place of the call. Nothing is stored and nothing runs: both are
//! the session's own work, so the difference is an upper bound of what the gate adds to a call.

use lockkeeper_domain::{
    Annotations, Answer, Asked, AuditKey, CallId, Command, Content, DecisionRule, Effect, Epoch, Event, EventBody,
    EventId, Ground, JudgedCall, Judgement, ModelOutcome, Policy, Rule, Rules, Scope, Seq, ServerName, Session,
    SessionId, SessionState, StopReason, Timestamp, ToolDefinition, ToolName, ToolResult, TurnId, Usage, UserMessage,
    Verdict, Via,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What the issue allows at the median.
const LIMIT: Duration = Duration::from_micros(200);
const RULES: usize = 100;

fn main() {
    let turns = std::env::args().nth(1).and_then(|turns| turns.parse().ok()).unwrap_or(20_000_u64);
    let mut bench = Bench::new();
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        let (times, with_call) = if turn % 2 == 0 { (&mut on, true) } else { (&mut off, false) };
        let started = Instant::now();
        bench.turn(with_call);
        times.push(started.elapsed());
    }
    println!("gate   p50 µs   p99 µs");
    for (name, times) in [("on", &mut on), ("off", &mut off)] {
        times.sort_unstable();
        println!("{name:<4} {:>8.1} {:>8.1}", micros(times, 50), micros(times, 99));
    }
    let cost = micros(&on, 50) - micros(&off, 50);
    let limit = LIMIT.as_secs_f64() * 1e6;
    println!("the gate adds {cost:.1} µs to a call at the median; the limit is {limit:.0} µs");
    // What is not optimised says nothing of the figure, and shows that all of this works.
    assert!(cfg!(debug_assertions) || cost < limit, "the gate costs too much");
}

/// A percentile of sorted times.
fn micros(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e6
}

struct Bench {
    session: Session,
    id: SessionId,
    key: AuditKey,
    policy: Policy,
    tool: ToolDefinition,
    seq: u64,
    turns: u64,
}

impl Bench {
    fn new() -> Self {
        let rule = |n: usize| Rule {
            server: format!("server-{n}"),
            tool: "delete_*".to_owned(),
            decision: DecisionRule::Deny,
            ..Rule::default()
        };
        let policy = Policy::new((0..RULES).map(rule).collect());
        let server = ServerName::new("workspace");
        let mut session = Session::fold(SessionState::default(), Vec::new(), []);
        session.stand_on(Ground {
            session: "bench".to_owned(),
            user: "ann".to_owned(),
            image: Some(format!("sha256:{}", "0".repeat(64))),
            policy: policy.version(),
            ..Ground::default()
        });
        let tool = ToolDefinition {
            name: ToolName::namespaced(&server, "write_file"),
            server,
            tool: "write_file".to_owned(),
            title: None,
            description: String::new(),
            input_schema: json!({"type": "object"}),
            annotations: Annotations::default(),
            fingerprint: "0".repeat(64),
        };
        let key = AuditKey::new([7; 32]).expect("long enough");
        Self { session, id: SessionId::from_random_bits(1), key, policy, tool, seq: 0, turns: 0 }
    }

    fn turn(&mut self, with_call: bool) {
        self.turns += 1;
        let by = "ann".parse().expect("an id");
        let text = "write it".to_owned();
        let message = UserMessage { text, attachments: Vec::new(), client_message_id: None, by };
        self.follow(Command::Submit(message));
        if with_call {
            self.call();
        }
        self.follow(Command::ModelDone(outcome("done", Vec::new())));
    }

    /// A call of a file's size, with all that the gate does about it.
    fn call(&mut self) {
        let args = json!({"path": "src/notes.txt", "content": "a line of text that somebody wrote\n".repeat(30)});
        let judgement = match self.policy.judge(Asked::of(&self.tool, &args, "ann")) {
            Verdict::Ask { why } => Judgement::Ask { why },
            other => panic!("no rule covers it: {other:?}"),
        };
        let judged = JudgedCall {
            scopes: Vec::new(),
            granted: false,
            provider_id: None,
            name: self.tool.name.clone(),
            server: Some(self.tool.server.clone()),
            tool: self.tool.tool.clone(),
            args,
            judgement,
            annotations: self.tool.annotations.clone(),
            fingerprint: self.tool.fingerprint.clone(),
            pin: None,
            rule: None,
            always: None,
        };
        let asked = self.follow(Command::ModelDone(outcome("", vec![judged])));
        let digest = asked.bodies.iter().find_map(|body| match body {
            EventBody::ApprovalRequired(question) => question.digest,
            _ => None,
        });
        let call = CallId::minted(TurnId::new(self.turns), 0, 0);
        let answer = Answer {
            grant: None,
            call: call.clone(),
            approved: true,
            scope: Scope::Once,
            reason: None,
            args: None,
            constraints: BTreeMap::new(),
            digest,
            by: "ann".parse().expect("an id"),
            via: Via::default(),
            rule: None,
        };
        let answered = self.follow(Command::Decide(answer));
        let [Effect::RunCall(runs)] = &answered.effects[..] else { panic!("the call runs") };
        assert!(self.session.is_bound(runs, &self.tool.fingerprint), "what runs is what was shown");
        let result = ToolResult::succeeded(vec![Content::text("written")]);
        self.follow(Command::CallSettled { call, result });
    }

    fn follow(&mut self, command: Command) -> Followed {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let reaction = self.session.handle(command, now, &Rules::default()).expect("followed");
        let mut events: Vec<_> =
            reaction.changes.events.into_iter().map(|(turn, body)| self.event(turn, body)).collect();
        self.session.link(&self.id, &mut events, Some(&self.key));
        Followed { bodies: events.into_iter().map(|event| event.body).collect(), effects: reaction.effects }
    }

    fn event(&mut self, turn: Option<TurnId>, body: EventBody) -> Event {
        self.seq += 1;
        let id = EventId { epoch: Epoch::new(1), seq: Seq::new(self.seq) };
        Event { id, turn, at: Timestamp::from_millis(1_767_225_600_000), body, link: None, request: None }
    }
}

struct Followed {
    bodies: Vec<EventBody>,
    effects: Vec<Effect>,
}

fn outcome(text: &str, calls: Vec<JudgedCall>) -> ModelOutcome {
    let stop = StopReason::EndTurn;
    ModelOutcome { text: text.to_owned(), reasoning: None, calls, stop, usage: Usage::default(), replay: None }
}
