//! Attaches views to sessions, wherever those are driven.

use super::{SessionManager, actors::Owner};
use crate::{
    actor::Request,
    agent::Wish,
    opened::{Readiness, Ready},
    order::{Missed, Order, Outcome},
};
use lockkeeper_domain::{Code, Failure, SessionId};
use lockkeeper_ports::Principal;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How long another server may take to say that a session is not ready yet. Then it is asked again.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a view learns that its session is ready.
pub(super) struct Waiting {
    pub(super) readiness: watch::Receiver<Readiness>,
    /// Asks the other server, where one drives the session.
    pub(super) asking: Option<AbortOnDropHandle<()>>,
}

impl SessionManager {
    /// Tells the session's owner that somebody is there, and what it wants.
    pub(super) async fn attach(
        self: &Arc<Self>,
        id: &SessionId,
        by: &Principal,
        wish: Wish,
    ) -> Result<Waiting, Failure> {
        match self.owner(id, by).await? {
            Owner::Here(actor) => match actor.put(|reply| Request::Attach(wish.clone(), reply)).await {
                Ok(readiness) => return Ok(Waiting { readiness, asking: None }),
                Err(Missed::Refused(failure)) => return Err(failure),
                Err(Missed::Ended) => {}
            },
            Owner::There { .. } if wish.key.is_some() && !self.shared.ports.peers.carries_secrets() => {
                return Err(keys_stay_here());
            }
            Owner::There { .. } => {}
        }
        let (sender, readiness) = watch::channel(None);
        let (manager, id, by) = (Arc::clone(self), id.clone(), by.clone());
        let asking = self.background.spawn(async move {
            let ready = manager.wait_until_ready(&id, &by, wish).await;
            sender.send_replace(Some(ready));
        });
        Ok(Waiting { readiness, asking: Some(AbortOnDropHandle::new(asking)) })
    }

    async fn wait_until_ready(&self, id: &SessionId, by: &Principal, wish: Wish) -> Result<Ready, Failure> {
        let mut wish = wish;
        loop {
            match self.order(id, by, Order::Attach { wish, patience: PATIENCE }).await? {
                Outcome::Attached(Some(ready)) => return ready,
                // What was wished for is known there now.
                _ => wish = Wish::default(),
            }
        }
    }
}

fn keys_stay_here() -> Failure {
    let message = "Another server drives this session, and provider keys do not go from server to server.";
    Failure::new(Code::OwnedElsewhere, message)
        .with_hint("Connect without auth.apiKey, or end the session first. The operator can let keys pass.")
}
