use super::{Actor, persist::Lost, words::Words};
use crate::{
    LiveEvent,
    checks::{Checked, Checks},
    purse::{Denied, Grant, OverBudget},
    standing,
    tools::{Catalog, Gate},
};
use futures::{StreamExt, future::join_all};
use lockkeeper_domain::{
    Changes, Code, Command, Failure, HistoryLimits, Message, ModelOutcome, Said, Spend, TurnId, Usage,
};
use lockkeeper_ports::{Completion, GenerateRequest, LlmError, LlmProvider, ModelEvent, Notice, RecordChange};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// What a model's stream yields.
pub(super) type ModelItem = Result<Heard, NoAnswer>;

/// A piece of a model's answer, or all of it with the arguments of its calls checked.
pub(super) enum Heard {
    Piece(ModelEvent),
    All(Completion, Vec<Checked>),
}

/// A model's answer, and what the checks of its calls said.
type Answered = (Completion, Vec<Checked>);

/// Why a model's answer is not complete.
pub(super) enum NoAnswer {
    /// It failed.
    Failed(Failure),
    /// It was not asked, because the budget does not suffice.
    OverBudget(OverBudget),
}

/// How many pieces may wait while a step is being written. They then become one event.
const PIECES: usize = 64;
/// How long a model says nothing until what it said last is shown, also if its last word may go on.
const STALL: Duration = Duration::from_millis(300);
/// How long the text of one event gets, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// A model that is being asked. Dropping it closes the connection to the provider.
pub(super) struct ModelCall {
    items: mpsc::Receiver<ModelItem>,
    turn: TurnId,
    step: u32,
    /// The tools that the model was shown: its calls are judged by them.
    catalog: Arc<Catalog>,
    /// Whether anything of the answer is in the log: after that an error is final.
    spoke: bool,
    /// The window that the model was shown, when it had to be made smaller than configured.
    shrunk: bool,
    shown_tokens: usize,
    _task: AbortOnDropHandle<()>,
}

impl ModelCall {
    /// All that came since the last time; at least one item. Whatever arrives while a step is written is one batch, so
    /// that a fast model costs one write per round trip and not one per token.
    pub(super) async fn hear(&mut self) -> Vec<ModelItem> {
        let mut items = Vec::new();
        self.items.recv_many(&mut items, PIECES).await;
        if items.is_empty() {
            let cut = LlmError::Cut("the adapter ended without a word".to_owned());
            items.push(Err(NoAnswer::Failed(failure(&cut, None))));
        }
        items
    }
}

impl Actor {
    /// Asks the model for a step of the turn, once the tools are there.
    pub(super) fn ask_model(&mut self, turn: TurnId, step: u32) {
        if self.shared.soft.is_cancelled() && step == 0 {
            return;
        }
        let Some(catalog) = self.catalog() else {
            self.model_wanted = Some((turn, step));
            self.want_bench();
            return;
        };
        let limits = self.shared.rules.history;
        self.model = Some(self.call_model(turn, step, catalog, limits, false));
        self.live.send(self.last, LiveEvent::Thinking(turn));
    }

    fn call_model(
        &mut self,
        turn: TurnId,
        step: u32,
        catalog: Arc<Catalog>,
        limits: HistoryLimits,
        shrunk: bool,
    ) -> ModelCall {
        let agent = self.choice.of_turn(turn);
        let messages = self.session.conversation(limits);
        let shown_tokens = messages.iter().map(Message::estimated_tokens).sum();
        let mut request = GenerateRequest {
            session: self.id.clone(),
            model: agent.model,
            system: self.shared.config.system_prompt.as_str().into(),
            messages,
            tools: self.offered(&catalog),
            max_output_tokens: self.shared.config.max_output_tokens,
        };
        let (sender, items) = mpsc::channel(PIECES * 4);
        let idle = Duration::from_secs(self.shared.config.model_idle_secs);
        let (purse, errand) = (Arc::clone(&self.shared.purse), self.errand());
        let read = estimated_input(&request, shown_tokens);
        let (checks, tools) = (Arc::clone(&self.shared.checks), Arc::clone(&catalog));
        let words = Words::new(Arc::clone(&self.shared.output));
        let counting = std::mem::take(&mut self.counting);
        let listening = async move {
            join_all(counting).await;
            let provider = match agent.provider {
                Ok(provider) => provider,
                Err(failure) => return drop(sender.send(Err(NoAnswer::Failed(failure))).await),
            };
            let (want, least) = step_cost(read, request.max_output_tokens);
            match purse.reserve(&errand, want, least).await {
                Ok(grant) => {
                    let written = grant.granted().tokens.saturating_sub(read);
                    let most = u32::try_from(written).unwrap_or(u32::MAX);
                    request.max_output_tokens = request.max_output_tokens.min(most);
                    listen(provider, (request, words), idle, sender, grant, read, (&checks, &tools)).await;
                }
                Err(Denied::Over(over)) => drop(sender.send(Err(NoAnswer::OverBudget(over))).await),
                Err(Denied::Unknown(failure)) => drop(sender.send(Err(NoAnswer::Failed(failure))).await),
            }
        };
        let task = AbortOnDropHandle::new(self.shared.tasks.spawn(listening));
        ModelCall { items, turn, step, catalog, spoke: false, shrunk, shown_tokens, _task: task }
    }

    /// Takes a batch of what the model said.
    pub(super) async fn hear(&mut self, items: Vec<ModelItem>) -> Result<(), Lost> {
        let (notices, said, end) = sort(items);
        self.notice(notices).await?;
        let mut changes = Changes::default();
        let (now, rules) = (self.shared.now(), self.shared.rules);
        if !said.is_empty() {
            if let Some(model) = &mut self.model {
                model.spoke = true;
            }
            if let Ok(reaction) = self.session.handle(Command::ModelSaid(said), now, &rules) {
                changes = joined(changes, reaction.changes);
            }
        }
        let Some(end) = end else {
            return self.persist(changes, RecordChange::default()).await;
        };
        let Some(model) = self.model.take() else { return Ok(()) };
        let command = match end {
            Ok(answer) => Command::ModelDone(self.judge(answer, &model.catalog).await),
            Err(NoAnswer::OverBudget(over)) => return self.over_budget(over, None).await,
            Err(NoAnswer::Failed(failure)) if failure.code == Code::ContextTooLong && !model.spoke && !model.shrunk => {
                return self.shrink(model).await;
            }
            Err(NoAnswer::Failed(failure)) => {
                let message = self.shared.output.text(&failure.message);
                Command::ModelFailed(Failure { message, ..failure })
            }
        };
        if let Ok(mut reaction) = self.session.handle(command, now, &rules) {
            reaction.changes = joined(changes, reaction.changes);
            self.carry_out(reaction, RecordChange::default()).await?;
        }
        Ok(())
    }

    async fn judge(&self, (completion, checked): Answered, catalog: &Catalog) -> ModelOutcome {
        let ports = &self.shared.ports;
        let stored =
            if completion.calls.is_empty() { Vec::new() } else { standing::rules_of(ports, &self.owner).await };
        let policy = ports.policy.now();
        let gate = Gate { stored: &stored, ..self.gate(&policy) };
        let calls: Vec<_> =
            completion.calls.into_iter().zip(checked).map(|call| catalog.judge(call, &self.session, gate)).collect();
        let used: Vec<_> = calls.iter().filter_map(|call| call.rule.clone()).collect();
        if !used.is_empty() {
            self.shared.tasks.spawn(standing::tell_used(ports.clone(), self.owner.clone(), used));
        }
        ModelOutcome {
            text: completion.text,
            reasoning: completion.reasoning,
            calls,
            stop: completion.stop,
            usage: completion.usage,
            replay: completion.replay,
        }
    }

    /// The model cannot take so much: it is shown half of it, once. The history itself stays.
    async fn shrink(&mut self, model: ModelCall) -> Result<(), Lost> {
        let text = "The conversation is too long for the model; it is shown the newer half of it.".to_owned();
        let kind = lockkeeper_domain::NoticeKind::WindowShrunk;
        self.follow(Command::Notify { kind, text }).await?;
        let limits = HistoryLimits { max_tokens: model.shown_tokens / 2, ..self.shared.rules.history };
        self.model = Some(self.call_model(model.turn, model.step, model.catalog, limits, true));
        Ok(())
    }
}

/// How many bytes of text are about one token.
const BYTES_PER_TOKEN: u64 = 4;
/// How many bytes a token has at most, averaged over an answer. Words of some languages are one token of 20 bytes.
const LONGEST_TOKEN: u64 = 32;
/// So many bytes of an answer are heard in any case.
const LEAST_HEARD: u64 = 4 << 10;
/// Shorter answers than this are not worth asking for: a budget that leaves less is used up.
const SHORTEST_ANSWER: u32 = 1_024;

const fn tokens(tokens: u64) -> Spend {
    Spend { tokens, tool_calls: 0, wall_ms: 0 }
}

/// What a model reads for a step, about.
fn estimated_input(request: &GenerateRequest, messages: usize) -> u64 {
    let tool = |tool: &lockkeeper_domain::ToolDefinition| {
        tool.name.as_str().len() + tool.description.len() + tool.input_schema.to_string().len()
    };
    let bytes = request.system.len() + request.tools.iter().map(tool).sum::<usize>();
    messages as u64 + bytes as u64 / BYTES_PER_TOKEN
}

/// What a step may cost, and with how much less it is still worth asking. How long it takes nobody knows.
fn step_cost(read: u64, longest: u32) -> (Spend, Spend) {
    let cost = |written: u32, wall_ms| Spend { tokens: read + u64::from(written), tool_calls: 0, wall_ms };
    (cost(longest, 60_000), cost(longest.min(SHORTEST_ANSWER), 1))
}

fn of_usage(usage: Usage) -> Spend {
    tokens(usage.input_tokens.saturating_add(usage.output_tokens))
}

/// Asks the provider and passes on what it says. Ends with a completion or an error, whatever the provider does.
async fn listen(
    provider: Arc<dyn LlmProvider>,
    (request, mut words): (GenerateRequest, Words),
    idle: Duration,
    items: mpsc::Sender<ModelItem>,
    mut grant: Grant,
    read: u64,
    (checks, catalog): (&Checks, &Catalog),
) {
    let model = request.model.clone();
    // An endpoint may ignore how long an answer may get, and write on for ever.
    let (most, mut heard) = (request.max_output_tokens, 0_u64);
    let longest = u64::from(most) * LONGEST_TOKEN + LEAST_HEARD;
    // Where the answer is cut, it has cost what was read and what was heard of it.
    grant.costs(tokens(read));
    let silent = || LlmError::Timeout(format!("nothing came for {} s", idle.as_secs()));
    let asked = tokio::time::timeout(idle, provider.generate(request)).await;
    let stream = match asked.unwrap_or_else(|_| Err(silent())) {
        Ok(stream) => stream,
        Err(error) => {
            // What was not answered costs nothing but time.
            grant.settle(Spend::default()).await;
            return drop(items.send(Err(NoAnswer::Failed(failure(&error, Some(&model))))).await);
        }
    };
    let mut stream = stream.peekable();
    loop {
        if words.holds_word() && tokio::time::timeout(STALL, Pin::new(&mut stream).peek()).await.is_err() {
            pass_on(&items, words.stall(), (checks, catalog)).await;
        }
        let item = match tokio::time::timeout(idle, stream.next()).await {
            Ok(Some(item)) => item,
            Ok(None) => Err(LlmError::Cut("it ended before the answer did".to_owned())),
            Err(_) => Err(silent()),
        };
        let event = match item {
            Ok(ModelEvent::Completed(completion)) => {
                // Counted before it is heard of, so that whoever hears of it sees it counted.
                let used = if completion.usage == Usage::default() { grant.cost() } else { of_usage(completion.usage) };
                grant.settle(used).await;
                let events = words.pass(ModelEvent::Completed(completion));
                return pass_on(&items, events, (checks, catalog)).await;
            }
            Err(error) => {
                let used = grant.cost();
                grant.settle(used).await;
                pass_on(&items, words.finish(), (checks, catalog)).await;
                return drop(items.send(Err(NoAnswer::Failed(failure(&error, Some(&model))))).await);
            }
            Ok(event) => event,
        };
        if let ModelEvent::Text(piece) | ModelEvent::Reasoning(piece) = &event {
            grant.costs(tokens(piece.len() as u64 / BYTES_PER_TOKEN));
            heard = heard.saturating_add(piece.len() as u64);
        }
        if heard > longest {
            let used = grant.cost();
            grant.settle(used).await;
            pass_on(&items, words.finish(), (checks, catalog)).await;
            let error = LlmError::Cut(format!("it wrote {heard} bytes, more than {most} tokens have"));
            return drop(items.send(Err(NoAnswer::Failed(failure(&error, Some(&model))))).await);
        }
        if items.is_closed() {
            return;
        }
        pass_on(&items, words.pass(event), (checks, catalog)).await;
    }
}

/// Sends the events, unless nobody waits for them any more. Calls are checked here and not by the actor, which goes on to
/// take commands.
async fn pass_on(items: &mpsc::Sender<ModelItem>, events: Vec<ModelEvent>, (checks, catalog): (&Checks, &Catalog)) {
    for event in events {
        let heard = match event {
            ModelEvent::Completed(completion) => {
                let checked = checks.of_calls(catalog.schemas(), &completion.calls).await;
                Heard::All(completion, checked)
            }
            piece => Heard::Piece(piece),
        };
        if items.send(Ok(heard)).await.is_err() {
            return;
        }
    }
}

/// Merges neighbouring pieces, and finds the notices and the end.
fn sort(items: Vec<ModelItem>) -> (Vec<Notice>, Vec<Said>, Option<Result<Answered, NoAnswer>>) {
    let (mut notices, mut said): (_, Vec<Said>) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(Heard::Piece(ModelEvent::Text(piece))) => match said.last_mut() {
                Some(Said::Text(text)) if text.len() + piece.len() <= PIECE_BYTES => text.push_str(&piece),
                _ if piece.is_empty() => {}
                _ => said.push(Said::Text(piece)),
            },
            Ok(Heard::Piece(ModelEvent::Reasoning(piece))) => match said.last_mut() {
                Some(Said::Reasoning(text)) if text.len() + piece.len() <= PIECE_BYTES => text.push_str(&piece),
                _ if piece.is_empty() => {}
                _ => said.push(Said::Reasoning(piece)),
            },
            Ok(Heard::Piece(ModelEvent::Notice(notice))) => notices.push(notice),
            Ok(Heard::All(completion, checked)) => return (notices, said, Some(Ok((completion, checked)))),
            Ok(Heard::Piece(ModelEvent::Completed(_))) => {}
            Err(error) => return (notices, said, Some(Err(error))),
        }
    }
    (notices, said, None)
}

/// What people are told of an error, and what to do about it. Vendors say in words of their own that a model is unknown.
fn failure(error: &LlmError, model: Option<&str>) -> Failure {
    let (code, message) = (error.code(), error.to_string());
    let about_the_model = |model: &str| is_about_the_model(&message, model);
    let hint = match code {
        _ if matches!(error, LlmError::Policy(_)) => {
            "Change the message, or reset the history. Asking again does not help."
        }
        Code::ProviderAuthentication => "Check the provider's API key.",
        Code::ProviderQuota => "Check the provider's billing, or choose another provider.",
        Code::ContextTooLong => "Reset the history, or choose a model with a larger context.",
        Code::ProviderBadRequest if model.is_some_and(about_the_model) => {
            "GET /api/models lists the models that there are; connect with another one as auth.model."
        }
        code if code.is_retryable() => "Send the message again in a moment.",
        _ => return Failure::new(code, message),
    };
    Failure::new(code, message).with_hint(hint)
}

/// Whether a refusal says that there is no such model.
fn is_about_the_model(message: &str, model: &str) -> bool {
    const UNKNOWN: [&str; 9] = [
        "not found",
        "not exist",
        "unknown",
        "no such",
        "no model",
        "not available",
        "not have access",
        "invalid model",
        "deprecated",
    ];
    let lower = message.to_ascii_lowercase();
    (message.contains(model) || lower.contains("model")) && UNKNOWN.iter().any(|words| lower.contains(words))
}

/// Two changes that follow each other, as one.
fn joined(mut first: Changes, second: Changes) -> Changes {
    first.events.extend(second.events);
    first.append.extend(second.append);
    first.drop_front += second.drop_front;
    first.clear |= second.clear;
    first
}
