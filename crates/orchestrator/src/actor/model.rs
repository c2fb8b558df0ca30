use super::{Actor, persist::Lost};
use crate::{
    LiveEvent, standing,
    tools::{Catalog, Gate},
};
use futures::StreamExt;
use lockkeeper_domain::{Changes, Code, Command, Failure, HistoryLimits, Message, ModelOutcome, Said, TurnId};
use lockkeeper_ports::{Completion, GenerateRequest, LlmError, LlmProvider, ModelEvent, RecordChange};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// What a model's stream yields.
pub(super) type ModelItem = Result<ModelEvent, Failure>;

/// How many pieces may wait while a step is being written. They then become one event.
const PIECES: usize = 64;
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
            items.push(Err(failure(&LlmError::Cut("the adapter ended without a word".to_owned()), None)));
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
        let request = GenerateRequest {
            session: self.id.clone(),
            model: agent.model,
            system: self.shared.config.system_prompt.as_str().into(),
            messages,
            tools: Arc::clone(catalog.tools()),
            max_output_tokens: self.shared.config.max_output_tokens,
        };
        let (sender, items) = mpsc::channel(PIECES * 4);
        let idle = Duration::from_secs(self.shared.config.model_idle_secs);
        let listening = async move {
            match agent.provider {
                Ok(provider) => listen(provider, request, idle, sender).await,
                Err(failure) => drop(sender.send(Err(failure)).await),
            }
        };
        let task = AbortOnDropHandle::new(self.shared.tasks.spawn(listening));
        ModelCall { items, turn, step, catalog, spoke: false, shrunk, shown_tokens, _task: task }
    }

    /// Takes a batch of what the model said.
    pub(super) async fn hear(&mut self, items: Vec<ModelItem>) -> Result<(), Lost> {
        let (said, end) = sort(items);
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
            Ok(completion) => Command::ModelDone(self.judge(completion, &model.catalog).await),
            Err(failure) if failure.code == Code::ContextTooLong && !model.spoke && !model.shrunk => {
                return self.shrink(model).await;
            }
            Err(failure) => Command::ModelFailed(failure),
        };
        if let Ok(mut reaction) = self.session.handle(command, now, &rules) {
            reaction.changes = joined(changes, reaction.changes);
            self.carry_out(reaction, RecordChange::default()).await?;
        }
        Ok(())
    }

    async fn judge(&self, completion: Completion, catalog: &Catalog) -> ModelOutcome {
        let ports = &self.shared.ports;
        let stored =
            if completion.calls.is_empty() { Vec::new() } else { standing::rules_of(ports, &self.owner).await };
        let policy = ports.policy.now();
        let gate = Gate { stored: &stored, ..self.gate(&policy) };
        let calls: Vec<_> = completion.calls.into_iter().map(|call| catalog.judge(call, &self.session, gate)).collect();
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

/// Asks the provider and passes on what it says. Ends with a completion or an error, whatever the provider does.
async fn listen(
    provider: Arc<dyn LlmProvider>,
    request: GenerateRequest,
    idle: Duration,
    items: mpsc::Sender<ModelItem>,
) {
    let model = request.model.clone();
    let silent = || LlmError::Timeout(format!("nothing came for {} s", idle.as_secs()));
    let asked = tokio::time::timeout(idle, provider.generate(request)).await;
    let mut stream = match asked.unwrap_or_else(|_| Err(silent())) {
        Ok(stream) => stream,
        Err(error) => return drop(items.send(Err(failure(&error, Some(&model)))).await),
    };
    loop {
        let item = match tokio::time::timeout(idle, stream.next()).await {
            Ok(Some(item)) => item,
            Ok(None) => Err(LlmError::Cut("it ended before the answer did".to_owned())),
            Err(_) => Err(silent()),
        };
        let is_end = matches!(item, Err(_) | Ok(ModelEvent::Completed(_)));
        let item = item.map_err(|error| failure(&error, Some(&model)));
        if items.send(item).await.is_err() || is_end {
            return;
        }
    }
}

/// Merges neighbouring pieces, and finds the end.
fn sort(items: Vec<ModelItem>) -> (Vec<Said>, Option<Result<Completion, Failure>>) {
    let mut said: Vec<Said> = Vec::new();
    for item in items {
        match item {
            Ok(ModelEvent::Text(piece)) => match said.last_mut() {
                Some(Said::Text(text)) if text.len() + piece.len() <= PIECE_BYTES => text.push_str(&piece),
                _ if piece.is_empty() => {}
                _ => said.push(Said::Text(piece)),
            },
            Ok(ModelEvent::Reasoning(piece)) => match said.last_mut() {
                Some(Said::Reasoning(text)) if text.len() + piece.len() <= PIECE_BYTES => text.push_str(&piece),
                _ if piece.is_empty() => {}
                _ => said.push(Said::Reasoning(piece)),
            },
            Ok(ModelEvent::Completed(completion)) => return (said, Some(Ok(completion))),
            Err(error) => return (said, Some(Err(error))),
        }
    }
    (said, None)
}

/// What people are told of an error, and what to do about it. Vendors say in words of their own that a model is unknown.
fn failure(error: &LlmError, model: Option<&str>) -> Failure {
    let (code, message) = (error.code(), error.to_string());
    let about_the_model = |model: &str| message.contains(model) || message.to_ascii_lowercase().contains("model");
    let hint = match code {
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

/// Two changes that follow each other, as one.
fn joined(mut first: Changes, second: Changes) -> Changes {
    first.events.extend(second.events);
    first.append.extend(second.append);
    first.drop_front += second.drop_front;
    first.clear |= second.clear;
    first
}
