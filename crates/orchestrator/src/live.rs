use lockkeeper_domain::{Seq, SessionId, TurnId};
use lockkeeper_ports::{CallProgress, StartProgress, ToolSessionStatus};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

/// News that is not logged: worth something now and nothing later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveEvent {
    /// `system:progress`: the sandbox is being started.
    Starting(StartProgress),
    /// `agent:thinking`: the model is being asked.
    Thinking(TurnId),
    /// `tool:progress`: a call goes on.
    Tool(TurnId, CallProgress),
    /// `mcp:status`: one of the session's MCP servers went up or down.
    Server(ToolSessionStatus),
}

/// A live event and where in the log it belongs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The last event that was logged before it. A view that is not there yet waits with it; a view that is beyond
    /// drops it, so that live and logged events are never shown out of order.
    pub after: Seq,
    /// What happened.
    pub event: LiveEvent,
}

/// Where news for the views on other servers go.
pub(crate) type Elsewhere = mpsc::Sender<(SessionId, Live)>;

/// Sends live events to all views of a session. A view that lags loses the oldest; nothing waits for it.
#[derive(Clone, Debug)]
pub(crate) struct LiveSender {
    here: Arc<broadcast::Sender<Live>>,
    elsewhere: Option<(SessionId, Elsewhere)>,
}

impl LiveSender {
    const BACKLOG: usize = 128;

    /// To the views on this server.
    pub(crate) fn new() -> Self {
        Self { here: Arc::new(broadcast::Sender::new(Self::BACKLOG)), elsewhere: None }
    }

    /// To the views on all servers: for the session's owner.
    pub(crate) fn everywhere(&self, id: SessionId, elsewhere: Elsewhere) -> Self {
        Self { here: Arc::clone(&self.here), elsewhere: Some((id, elsewhere)) }
    }

    pub(crate) fn send(&self, after: Seq, event: LiveEvent) {
        let live = Live { after, event };
        if let Some((id, elsewhere)) = &self.elsewhere {
            // Nothing waits for the way to other servers: when it is full, what comes now is lost.
            let _ = elsewhere.try_send((id.clone(), live.clone()));
        }
        self.pass_on(live);
    }

    /// Shows the views on this server what the session's owner told.
    pub(crate) fn pass_on(&self, live: Live) {
        // An error only says that nobody is looking.
        let _ = self.here.send(live);
    }

    /// How many look here.
    pub(crate) fn watchers(&self) -> usize {
        self.here.receiver_count()
    }

    /// Waits until nobody looks here.
    pub(crate) async fn unwatched(&self) {
        self.here.closed().await;
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Live> {
        self.here.subscribe()
    }
}
