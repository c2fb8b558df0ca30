use lockkeeper_domain::{Seq, TurnId};
use lockkeeper_ports::{CallProgress, StartProgress};
use std::sync::Arc;
use tokio::sync::broadcast;

/// News that is not logged: worth something now and nothing later.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveEvent {
    /// `system:progress`: the sandbox is being started.
    Starting(StartProgress),
    /// `agent:thinking`: the model is being asked.
    Thinking(TurnId),
    /// `tool:progress`: a call goes on.
    Tool(TurnId, CallProgress),
}

/// A live event and where in the log it belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The last event that was logged before it. A view that is not there yet waits with it; a view that is beyond
    /// drops it, so that live and logged events are never shown out of order.
    pub after: Seq,
    /// What happened.
    pub event: LiveEvent,
}

/// Sends live events to all views of a session. A view that lags loses the oldest; nothing waits for it.
#[derive(Clone, Debug)]
pub(crate) struct LiveSender(Arc<broadcast::Sender<Live>>);

impl LiveSender {
    const BACKLOG: usize = 128;

    pub(crate) fn new() -> Self {
        Self(Arc::new(broadcast::Sender::new(Self::BACKLOG)))
    }

    pub(crate) fn send(&self, after: Seq, event: LiveEvent) {
        // An error only says that nobody is looking.
        let _ = self.0.send(Live { after, event });
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Live> {
        self.0.subscribe()
    }
}
