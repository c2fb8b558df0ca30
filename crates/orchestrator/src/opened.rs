use crate::{Live, manager::Visit};
use lockkeeper_domain::{
    ApprovalRequired, Attachment, BudgetAsked, CallId, CallView, ClientMessageId, Digest, EventId, Failure, Message,
    RuleId, SessionId, Timestamp, ToolCall, ToolDefinition, TurnId,
};
use lockkeeper_ports::ToolSessionStatus;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

/// A message as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The text.
    pub text: String,
    /// Images.
    pub attachments: Vec<Attachment>,
    /// The client's own name for it.
    pub client_message_id: Option<ClientMessageId>,
}

impl NewMessage {
    /// The size of the text and the images, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let images = self.attachments.iter().map(|image| image.data.len()).sum::<usize>();
        (self.text.len() + images) as u64
    }
}

/// A message was accepted: it is stored, and its turn will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its turn.
    pub turn: TurnId,
    /// Whether it had been accepted before, under the same client message id.
    pub duplicate: bool,
}

/// An approval or a denial was taken: it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The rule that an approval for always has stored.
    pub rule: Option<RuleId>,
}

/// A session that is ready: its sandbox runs, its tools are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The runtime's name for the sandbox.
    pub sandbox: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The tools.
    pub tools: Arc<[ToolDefinition]>,
    /// How each MCP server does.
    #[serde(default)]
    pub servers: Vec<ToolSessionStatus>,
}

/// How far a session's start is. `Err` is final for this start.
pub(crate) type Readiness = Option<Result<Ready, Failure>>;

/// A view's hold on a session.
#[derive(Debug)]
pub struct Attached {
    pub(crate) session: SessionId,
    pub(crate) resumed: bool,
    pub(crate) live: broadcast::Receiver<Live>,
    pub(crate) readiness: watch::Receiver<Readiness>,
    /// Asks the other server, where one drives the session, whether it is ready.
    pub(crate) _asking: Option<AbortOnDropHandle<()>>,
    /// Keeps the session's live news together while actors come and go.
    pub(crate) _slot: Visit,
}

impl Attached {
    /// The session.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Whether the session had been there before.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// News that is not logged, from now on.
    pub fn live(&mut self) -> &mut broadcast::Receiver<Live> {
        &mut self.live
    }

    /// Waits until the session's sandbox and tools are there, or cannot be had.
    pub async fn ready(&self) -> Result<Ready, Failure> {
        let mut readiness = self.readiness.clone();
        let known = readiness.wait_for(Option::is_some).await.map(|known| (*known).clone());
        match known {
            Ok(Some(outcome)) => outcome,
            _ => Err(Failure::new(lockkeeper_domain::Code::Draining, "The session was closed while it started.")),
        }
    }
}

/// A session as it stands: for views that join without knowing how far they had come.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The last event that it accounts for: a view goes on after it.
    pub last: EventId,
    /// The history, oldest first, and the question of the open turn.
    pub messages: Vec<Message>,
    /// The open turn.
    pub turn: Option<TurnId>,
    /// What the open turn's answer said so far.
    pub partial: String,
    /// The step and the attempt at it that said so; `None` where nothing was said.
    pub partial_of: Option<(u32, u32)>,
    /// Whether the model is being asked right now.
    pub thinking: bool,
    /// The calls without a result.
    pub calls: Vec<OpenCall>,
    /// The question that a human is being asked, and where it stands in the log.
    pub pending: Vec<(EventId, ApprovalRequired)>,
    /// The question whether the open turn may go on, while a human is asked.
    pub budget: Option<BudgetAsked>,
}

/// A call without a result.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenCall {
    /// The call.
    pub call: ToolCall,
    /// Whether it waits for a human.
    pub waiting: bool,
    /// When it is refused by itself, once a human was asked.
    pub expires_at: Option<Timestamp>,
    /// Which rule decided that it waits or runs, and why, for people.
    pub why: String,
    /// What an answer to it is bound to, while it waits.
    pub digest: Option<Digest>,
}

impl OpenCall {
    pub(crate) fn of(view: &CallView<'_>) -> Self {
        let CallView { call, gate, args, digest, expires_at, waiting } = *view;
        let call = ToolCall { args: args.clone(), ..call.clone() };
        Self { call, waiting, expires_at, why: gate.why.clone(), digest }
    }

    /// Its id.
    pub fn id(&self) -> &CallId {
        &self.call.id
    }
}

/// A part of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    /// The messages, oldest first, each with its place in the history.
    pub messages: Vec<(usize, Message)>,
    /// The place to ask for next, for older ones.
    pub before: Option<usize>,
}
