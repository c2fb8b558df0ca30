//! What this server does for the others, and hears from them.

use super::{SessionManager, Visit, checks};
use crate::{
    Live,
    order::{Letter, Missed, News, Response},
};
use futures::StreamExt;
use lockkeeper_domain::{Code, Failure, SessionId};
use lockkeeper_ports::{Asked, Peers, Topic};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How many requests of other servers are answered at once. The others wait.
const AT_ONCE: usize = 1_024;
/// How long to wait before the others are listened to again.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers what other servers ask, for as long as the manager is there.
pub(super) async fn serve(manager: Weak<SessionManager>, peers: Arc<dyn Peers>, tasks: TaskTracker) {
    let mut requests = loop {
        match peers.serve().await {
            Ok(requests) => break requests,
            Err(error) => tracing::warn!(%error, "other servers cannot reach this one"),
        }
        tokio::time::sleep(PAUSE).await;
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(asked) = requests.next().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Some(manager) = manager.upgrade() else { return };
        tasks.spawn(async move {
            manager.answer(asked).await;
            drop(place);
        });
    }
}

/// Tells other servers what is not logged, in order. What they miss is not missed.
pub(super) async fn tell_live(peers: Arc<dyn Peers>, mut news: mpsc::Receiver<(SessionId, Live)>) {
    while let Some((session, live)) = news.recv().await {
        let told = serde_json::to_vec(&News::Live(live)).expect("news are JSON with string keys");
        if let Err(error) = peers.tell(&Topic::Session(session), told).await {
            tracing::debug!(%error, "live news did not go out");
        }
    }
}

impl SessionManager {
    async fn answer(&self, asked: Asked) {
        let response = match serde_json::from_slice::<Letter>(&asked.request) {
            Ok(letter) => self.follow_letter(letter).await,
            Err(error) => {
                tracing::warn!(%error, "another server asks what this one does not understand");
                let message = "The session's server has another version and does not understand this.";
                Response::Refused(Failure::new(Code::Internal, message))
            }
        };
        asked.answer(serde_json::to_vec(&response).expect("responses are JSON with string keys"));
    }

    /// Nothing is passed on from here: whoever asks finds the next owner by itself.
    async fn follow_letter(&self, letter: Letter) -> Response {
        let Some(actor) = self.live_actor(&letter.session).await else { return Response::NotHere };
        if actor.owner != letter.by {
            return Response::Refused(checks::not_yours());
        }
        match actor.follow(&letter.order, letter.request).await {
            Ok(outcome) => Response::Followed(outcome),
            Err(Missed::Ended) => Response::NotHere,
            Err(Missed::Refused(failure)) => Response::Refused(failure),
        }
    }

    /// Has the views of a session on this server hear what its owner, wherever it is, tells.
    pub(super) async fn hear(&self, id: &SessionId, slot: &Visit) {
        let mut relay = slot.relay.lock().await;
        if relay.as_ref().is_some_and(|relay| !relay.is_finished()) {
            return;
        }
        let mut news = match self.shared.ports.peers.listen(&Topic::Session(id.clone())).await {
            Ok(news) => news,
            Err(error) => return tracing::warn!(%error, "live news of other servers are not heard"),
        };
        let live = slot.live.clone();
        let pass_on = async move {
            while let Some(told) = news.next().await {
                if let Ok(News::Live(heard)) = serde_json::from_slice(&told) {
                    live.pass_on(heard);
                }
            }
        };
        *relay = Some(AbortOnDropHandle::new(self.background.spawn(pass_on)));
    }
}
