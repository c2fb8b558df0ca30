//! The client's state: what is shown, what is asked, and when it is over. No I/O.

mod manner;
mod output;
mod questions;
mod turns;

pub(super) use manner::{Act, Ending, Manner};

use super::{
    approval::Approval,
    socket::{Event, Lost, News},
    visible,
};
use questions::{Outcome, Questions};
use serde_json::{Value, json};
use turns::Turns;

/// A conversation in progress.
pub(super) struct Conversation {
    manner: Manner,
    ready: bool,
    messages: u64,
    turns: Turns,
    questions: Questions,
    /// The name of the question about a budget that is open; `null` where it has none.
    budget: Option<Value>,
    /// What the model said in this step, and which attempt at it this is.
    streamed: String,
    attempt: u64,
    ends: Ends,
    input_ended: bool,
}

/// How the turns of this conversation went.
#[derive(Clone, Copy, Default)]
struct Ends {
    failed: bool,
    /// A call was denied, by a human, a rule, or because time ran out.
    denied: bool,
}

impl Conversation {
    pub(super) fn new(manner: Manner) -> Self {
        Self {
            manner,
            ready: false,
            messages: 0,
            turns: Turns::default(),
            questions: Questions::default(),
            budget: None,
            streamed: String::new(),
            attempt: 0,
            ends: Ends::default(),
            input_ended: false,
        }
    }

    /// Whether the user's next line can be used now. A terminal's always can; a pipe's waits until it is its turn.
    pub(super) fn wants_input(&self) -> bool {
        let idle = !self.is_busy() && self.manner.once.is_none();
        let asked = self.questions.asked().is_some();
        !self.input_ended && self.ready && (self.manner.interactive || idle || asked)
    }

    /// Whether a turn of ours is open.
    pub(super) fn is_busy(&self) -> bool {
        self.turns.is_busy()
    }

    /// The server said something.
    pub(super) fn news(&mut self, news: News) -> Vec<Act> {
        match news {
            News::Event(event) => self.event(&event),
            News::Lost(reason) => vec![say(format!("! {}; trying to come back", visible::line(&reason)))],
            News::Back => vec![say("! the connection is back".to_owned())],
            News::Refused(reason) => {
                vec![say(format!("! the server refused: {}", visible::line(&reason))), Act::Quit(Ending::Failed)]
            }
            News::Unreachable(reason) => {
                vec![say(format!("! {}", visible::line(&reason))), Act::Quit(Ending::Unreachable)]
            }
        }
    }

    /// The user wrote a line.
    pub(super) fn line(&mut self, line: &str) -> Vec<Act> {
        if let Some(command) = line.trim().strip_prefix('/') {
            return self.command(command.trim());
        }
        if self.questions.are_open() {
            return self.decide(line);
        }
        if line.trim().is_empty() { self.prompt() } else { self.submit(line) }
    }

    /// The user's input ended.
    pub(super) fn end_of_input(&mut self) -> Vec<Act> {
        self.input_ended = true;
        let idle = !self.is_busy() && self.manner.once.is_none();
        if idle || self.manner.interactive { vec![Act::Quit(self.ending())] } else { self.ask() }
    }

    /// The server acknowledged `event`, or could not.
    pub(super) fn reply(
        &mut self,
        event: &'static str,
        payload: Option<Value>,
        reply: Result<Value, Lost>,
    ) -> Vec<Act> {
        let Ok(reply) = reply else {
            // Both are safe to send again: the server knows a message by its name and a call by its id.
            let again = matches!(event, "message" | "tool:approval");
            return if again { vec![Act::Send { event, payload }] } else { vec![] };
        };
        if reply.get("ok") != Some(&Value::Bool(false)) {
            let over = event == "message" && self.turns.accepted(&reply);
            return if over { self.rest() } else { vec![] };
        }
        let text = |key| reply.get(key).and_then(Value::as_str).map(visible::line).unwrap_or_default();
        let mut acts =
            vec![say(format!("! {} [{}] {}", text("message"), text("code"), text("hint")).trim_end().to_owned())];
        match event {
            "message" => {
                self.ends.failed = true;
                self.turns.refused();
                acts.extend(self.rest());
            }
            "tool:approval" if REOPENING.contains(&text("code").as_str()) => {
                self.questions.reopen();
                acts.extend(self.ask());
            }
            _ => {}
        }
        acts
    }

    fn command(&mut self, command: &str) -> Vec<Act> {
        let send = |event| vec![Act::Send { event, payload: None }];
        match command {
            "quit" | "q" | "exit" => vec![Act::Quit(self.ending())],
            "cancel" => send("turn:cancel"),
            "reset" => send("history:reset"),
            "go" => self.answer_budget(true),
            "stop" => self.answer_budget(false),
            _ => {
                let help = say("  /cancel stops the turn, /reset forgets the history, /quit leaves");
                [vec![help], self.prompt()].concat()
            }
        }
    }

    fn answer_budget(&self, go_on: bool) -> Vec<Act> {
        let Some(question) = &self.budget else { return vec![say("  no question about a budget is open")] };
        let mut payload = json!({ "goOn": go_on });
        if !question.is_null() {
            payload["question"] = question.clone();
        }
        vec![Act::Send { event: "budget:answer", payload: Some(payload) }]
    }

    /// A budget does not suffice. Nobody but a human says that the turn goes on: neither `--yes` nor the end of the input.
    fn on_budget(&mut self, asked: &Value) -> Vec<Act> {
        self.budget = Some(asked.get("question").cloned().unwrap_or_default());
        [self.end_line(), vec![say(output::budget(asked))]].concat()
    }

    fn submit(&mut self, text: &str) -> Vec<Act> {
        self.messages += 1;
        self.turns.sent();
        let id = format!("{}-{}", self.manner.run, self.messages);
        let payload = json!({"text": text, "clientMessageId": id});
        vec![Act::Send { event: "message", payload: Some(payload) }]
    }

    fn decide(&mut self, line: &str) -> Vec<Act> {
        match self.questions.read(line) {
            Outcome::Decided(payload) => vec![Act::Send { event: "tool:approval", payload: Some(payload) }],
            Outcome::Edit => vec![Act::Say("  the arguments as a JSON object in one line (empty: back) > ".to_owned())],
            Outcome::Again(reason) => [vec![say(format!("  {reason}"))], self.ask()].concat(),
            Outcome::Ignored => vec![],
        }
    }

    fn event(&mut self, event: &Event) -> Vec<Act> {
        match event.name.as_str() {
            "system:ready" => self.on_ready(&event.payload),
            "agent:delta" => self.on_delta(&event.payload),
            "agent:response" => self.on_response(&event.payload),
            "tool:calls" => self.end_line(),
            "tool:approval_required" => self.on_approval(&event.payload),
            "tool:approval_resolved" => self.on_resolved(&event.payload),
            "budget:asked" => self.on_budget(&event.payload),
            "history:snapshot" if event.payload.get("budget").is_some_and(Value::is_object) => {
                self.on_budget(&event.payload["budget"])
            }
            "budget:answered" => {
                self.budget = None;
                vec![]
            }
            "agent:error" => {
                self.ends.failed = true;
                [self.end_line(), vec![say(output::failure(&event.payload))]].concat()
            }
            "turn:completed" => self.on_completed(event),
            "tool:error" => {
                let code = event.payload.get("code").and_then(Value::as_str).unwrap_or_default();
                self.ends.denied |= self.is_busy() && DENIALS.contains(&code);
                self.told(event)
            }
            _ => self.told(event),
        }
    }

    fn told(&self, event: &Event) -> Vec<Act> {
        match output::told(event) {
            Some(told) => [vec![say(told)], self.prompt()].concat(),
            None => vec![],
        }
    }

    fn on_ready(&mut self, payload: &Value) -> Vec<Act> {
        let first = !std::mem::replace(&mut self.ready, true);
        let mut acts = Vec::new();
        if first {
            acts.push(say(output::ready(payload)));
            if self.manner.yes {
                acts.push(say("  --yes: every tool call is approved without a question".to_owned()));
            }
        }
        for pending in payload.get("pending").and_then(Value::as_array).into_iter().flatten() {
            acts.extend(self.on_approval(pending));
        }
        if first {
            acts.extend(match self.manner.once.clone() {
                Some(text) => self.submit(&text),
                None => self.prompt(),
            });
        }
        acts
    }

    fn on_delta(&mut self, payload: &Value) -> Vec<Act> {
        let text = payload.get("text").and_then(Value::as_str).unwrap_or_default();
        let attempt = payload.get("attempt").and_then(Value::as_u64).unwrap_or_default();
        let again = std::mem::replace(&mut self.attempt, attempt) < attempt && !self.streamed.is_empty();
        if again {
            self.streamed.clear();
        }
        self.streamed.push_str(text);
        let start = if again { "\n" } else { "" };
        vec![Act::Answer(format!("{start}{}", visible::prose(text)))]
    }

    /// What streams next is another text.
    fn end_line(&mut self) -> Vec<Act> {
        self.attempt = 0;
        let streamed = std::mem::take(&mut self.streamed);
        if streamed.is_empty() || streamed.ends_with('\n') { vec![] } else { vec![Act::Answer("\n".to_owned())] }
    }

    /// The whole answer: what was not streamed of it is written; where something else was streamed, all of it.
    fn on_response(&mut self, payload: &Value) -> Vec<Act> {
        let text = payload.as_str().unwrap_or_default();
        let streamed = std::mem::take(&mut self.streamed);
        let rest = match text.strip_prefix(streamed.as_str()) {
            Some(rest) => visible::prose(rest),
            None => format!("\n{}", visible::prose(text)),
        };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        vec![Act::Answer(format!("{rest}{end}"))]
    }

    fn on_approval(&mut self, payload: &Value) -> Vec<Act> {
        let Some(approval) = Approval::read(payload) else { return vec![] };
        if self.questions.add(approval) { self.ask() } else { vec![] }
    }

    /// Asks for the first pending call, or answers it where nobody can be asked.
    fn ask(&mut self) -> Vec<Act> {
        let Some(approval) = self.questions.asked() else { return vec![] };
        let card = Act::Say(approval.card());
        if self.manner.yes {
            let approval = approval.approval();
            return vec![card, say("  approved by --yes".to_owned()), self.send_answer(approval)];
        }
        if self.input_ended {
            let refusal = approval.refusal("Nobody was there to approve the call.");
            return vec![card, say("  denied: the input ended before an answer".to_owned()), self.send_answer(refusal)];
        }
        let end = if self.manner.interactive { "" } else { "\n" };
        vec![card, Act::Say(format!("{}{end}", approval.question()))]
    }

    fn send_answer(&mut self, payload: Value) -> Act {
        self.questions.answered();
        Act::Send { event: "tool:approval", payload: Some(payload) }
    }

    fn on_resolved(&mut self, payload: &Value) -> Vec<Act> {
        let id = payload.get("callId").and_then(Value::as_str).unwrap_or_default();
        let next = self.questions.resolve(id);
        let mut acts = vec![say(output::resolved(payload))];
        if next {
            acts.extend(self.ask());
        }
        acts
    }

    fn on_completed(&mut self, event: &Event) -> Vec<Act> {
        let mut acts = self.end_line();
        let is_whole = event.payload.get("stopReason").and_then(Value::as_str).is_none_or(|why| WHOLE.contains(&why));
        self.ends.failed |= !is_whole && self.is_busy();
        if self.turns.completed(&event.meta) {
            acts.extend(self.rest());
        }
        acts
    }

    /// A message has come to its end: the next one, or the end of all.
    fn rest(&self) -> Vec<Act> {
        let last = !self.is_busy() && (self.manner.once.is_some() || self.input_ended);
        if last { vec![Act::Quit(self.ending())] } else { self.prompt() }
    }

    fn prompt(&self) -> Vec<Act> {
        let asks = self.manner.interactive && !self.is_busy();
        if asks { vec![Act::Say("> ".to_owned())] } else { vec![] }
    }

    fn ending(&self) -> Ending {
        match (self.ends.failed, self.ends.denied) {
            (true, _) => Ending::Failed,
            (false, true) => Ending::Denied,
            (false, false) => Ending::Done,
        }
    }
}

/// How a turn stops that says all that it was to say.
const WHOLE: [&str; 2] = ["end_turn", "stop_sequence"];
/// Why a call did not run because somebody, or a rule, did not let it.
const DENIALS: [&str; 2] = ["denied", "approval_expired"];

/// Refusals of an answer after which the same question waits on. After `approval_mismatch` another one comes.
const REOPENING: [&str; 4] = ["invalid_arguments", "scope_unavailable", "denied", "forbidden"];

/// A line of talk.
fn say(text: impl Into<String>) -> Act {
    Act::Say(text.into() + "\n")
}

#[cfg(test)]
mod tests;
