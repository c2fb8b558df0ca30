//! A session with a log and a stored history beside it, as a server would have them.

use super::invariants;
use crate::*;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) struct World {
    pub(super) session: Session,
    pub(super) rules: Rules,
    pub(super) now: Timestamp,
    pub(super) log: Vec<Event>,
    /// The history as a store would hold it.
    pub(super) stored: Vec<Message>,
    /// What the last command asked for.
    pub(super) effects: Vec<Effect>,
    /// Whether calls are sent as soon as they may be, as by a server whose budget suffices.
    pub(super) sends: bool,
    checkpoint: (SessionState, usize),
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            session: Session::fold(SessionState::default(), Vec::new(), []),
            rules: Rules::default(),
            now: Timestamp::from_millis(1_000),
            log: Vec::new(),
            stored: Vec::new(),
            effects: Vec::new(),
            sends: true,
            checkpoint: (SessionState::default(), 0),
        }
    }

    /// A session whose model has just asked for these calls.
    pub(super) fn acting(calls: impl IntoIterator<Item = JudgedCall>) -> Self {
        let mut world = Self::new();
        world.submit("go").expect("accepted");
        world.does(Command::ModelDone(tools(calls)));
        world
    }

    /// Follows a command as a server would: writes what it must, and checks what must hold.
    pub(super) fn follow(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.now = self.now.after(Duration::from_millis(1));
        let before = self.session.clone();
        let reaction = match self.session.handle(command, self.now, &self.rules) {
            Ok(reaction) => reaction,
            Err(refusal) => {
                assert_eq!(self.session, before, "a refused command changes nothing");
                return Err(refusal);
            }
        };
        let Changes { events, append, drop_front, clear } = reaction.changes;
        for (turn, body) in events {
            let seq = Seq::new(self.log.len() as u64 + 1);
            self.log.push(Event {
                id: EventId { epoch: Epoch::new(1), seq },
                turn,
                at: self.now,
                body,
                link: None,
                request: None,
            });
        }
        if clear {
            self.stored.clear();
        }
        self.stored.extend(append);
        self.stored.drain(..drop_front);
        if let Some(state) = self.session.checkpoint() {
            self.checkpoint = (state.clone(), self.log.len());
        }
        self.effects = reaction.effects;
        invariants::check(self);
        if self.sends {
            let effects = self.effects.clone();
            for effect in &effects {
                if let Effect::RunCall(call) = effect {
                    self.does(Command::StartCall(call.id.clone()));
                }
            }
            self.effects = effects;
        }
        Ok(reaction.reply)
    }

    pub(super) fn does(&mut self, command: Command) {
        self.follow(command).expect("the command is followed");
    }

    pub(super) fn submit(&mut self, text: &str) -> Result<Reply, Refusal> {
        self.follow(Command::Submit(said(text, None)))
    }

    pub(super) fn submit_as(&mut self, name: &str, text: &str) -> Result<Reply, Refusal> {
        self.follow(Command::Submit(said(text, Some(name))))
    }

    pub(super) fn approve(&mut self, call: &str) -> Result<Reply, Refusal> {
        self.answer(call, true, Scope::Once, None, None)
    }

    pub(super) fn answer(
        &mut self,
        call: &str,
        approved: bool,
        scope: Scope,
        reason: Option<&str>,
        args: Option<Value>,
    ) -> Result<Reply, Refusal> {
        let call = CallId::parse(call).expect("a call id");
        let reason = reason.map(str::to_owned);
        self.follow(Command::Decide(Answer {
            call,
            approved,
            scope,
            reason,
            args,
            digest: None,
            grant: None,
            by: someone(),
            constraints: std::collections::BTreeMap::new(),
            rule: None,
            via: Via::default(),
        }))
    }

    pub(super) fn settles(&mut self, call: &str, text: &str) {
        let call = CallId::parse(call).expect("a call id");
        let result = ToolResult::succeeded(vec![Content::text(text)]);
        self.does(Command::CallSettled { call, result });
    }

    /// The session as its successor folds it, on the same ground.
    pub(super) fn folded(&self) -> Session {
        let (state, seq) = self.checkpoint.clone();
        let mut folded = Session::fold(state, self.stored.clone(), &self.log[seq..]);
        folded.stand_on(self.session.ground.clone());
        folded
    }

    /// The server dies, and another one takes the session over.
    pub(super) fn crash(&mut self) {
        self.session = self.folded();
        self.does(Command::Resume);
    }

    pub(super) fn kinds(&self) -> String {
        let kind = |event: &Event| {
            let json = serde_json::to_value(&event.body).expect("json");
            json["type"].as_str().expect("a type").to_owned()
        };
        self.log.iter().map(kind).collect::<Vec<_>>().join(" ")
    }

    fn find<'a, T>(&'a self, pick: impl Fn(&'a EventBody) -> Option<T>) -> Vec<T> {
        self.log.iter().filter_map(|event| pick(&event.body)).collect()
    }

    pub(super) fn result_of(&self, call: &str) -> ToolResult {
        let found = self.find(|body| match body {
            EventBody::ToolSettled(settled) if settled.call.as_str() == call => Some(settled.result.clone()),
            _ => None,
        });
        assert_eq!(found.len(), 1, "{call} has one result");
        found[0].clone()
    }

    pub(super) fn questions(&self) -> Vec<&ApprovalRequired> {
        self.find(|body| match body {
            EventBody::ApprovalRequired(asked) => Some(asked),
            _ => None,
        })
    }

    pub(super) fn resolutions(&self) -> Vec<&ApprovalResolved> {
        self.find(|body| match body {
            EventBody::ApprovalResolved(resolved) => Some(resolved),
            _ => None,
        })
    }

    pub(super) fn deltas(&self) -> Vec<(u32, &str)> {
        self.find(|body| match body {
            EventBody::Delta { attempt, text, .. } => Some((*attempt, text.as_str())),
            _ => None,
        })
    }

    pub(super) fn ends(&self) -> Vec<StopReason> {
        self.find(|body| match body {
            EventBody::TurnCompleted(completed) => Some(completed.stop_reason),
            _ => None,
        })
    }
}

pub(super) fn someone() -> PrincipalId {
    PrincipalId::parse("someone").expect("an id")
}

fn said(text: &str, name: Option<&str>) -> UserMessage {
    let client_message_id = name.map(|name| ClientMessageId::parse(name).expect("an id"));
    UserMessage { text: text.to_owned(), attachments: Vec::new(), client_message_id, by: someone() }
}

pub(super) fn text(text: &str) -> ModelOutcome {
    ModelOutcome {
        text: text.to_owned(),
        reasoning: None,
        calls: Vec::new(),
        stop: StopReason::EndTurn,
        usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
        replay: None,
    }
}

pub(super) fn tools(calls: impl IntoIterator<Item = JudgedCall>) -> ModelOutcome {
    ModelOutcome { calls: calls.into_iter().collect(), ..text("") }
}

fn call(tool: &str, judgement: Judgement) -> JudgedCall {
    let server = ServerName::new("s");
    JudgedCall {
        provider_id: None,
        name: ToolName::namespaced(&server, tool),
        server: Some(server),
        tool: tool.to_owned(),
        args: json!({}),
        judgement,
        annotations: Annotations {
            destructive_hint: Some(false),
            open_world_hint: Some(false),
            ..Annotations::default()
        },
        fingerprint: format!("f-{tool}"),
        rule: None,
        always: None,
        scopes: vec![GrantScope::Exact, GrantScope::Tool],
        granted: false,
        pin: None,
    }
}

/// A call that may be approved for always.
pub(super) fn offered(tool: &str, args: Value) -> JudgedCall {
    let call = ask(tool);
    let rule = Rule {
        server: "s".to_owned(),
        tool: tool.to_owned(),
        user: someone().as_str().to_owned(),
        fingerprint: Some(call.fingerprint.clone()),
        decision: DecisionRule::Allow,
        ..Rule::default()
    };
    JudgedCall { args, always: Some(rule), ..call }
}

pub(super) fn ask(tool: &str) -> JudgedCall {
    call(tool, Judgement::Ask { why: "no rule".to_owned() })
}

pub(super) fn run(tool: &str) -> JudgedCall {
    call(tool, Judgement::Run { why: "a rule".to_owned() })
}

pub(super) fn refuse(tool: &str) -> JudgedCall {
    call(tool, Judgement::Refuse { code: Code::UnknownTool, message: "no such tool".to_owned() })
}
