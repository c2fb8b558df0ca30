//! Finds a session's owner, here or on another server, and has it follow an order.

use super::{SessionManager, actors::Owner, checks};
use crate::{
    actor::store_failure,
    order::{Letter, Missed, Order, Outcome, Response},
};
use lockkeeper_domain::{Answer, Code, Decision, EventBody, Failure, RequestId, Seq, SessionId, Timestamp};
use lockkeeper_ports::{PeerError, Principal};
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before an owner is looked for again; it doubles each time, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
pub(super) const LAST_PAUSE: Duration = Duration::from_millis(250);
/// How long a server may take for an order at least, however soon its lease ends.
const LEAST_WAIT: Duration = Duration::from_millis(500);

/// What came of an attempt.
enum Attempt {
    Followed(Outcome),
    Refused(Failure),
    /// Nothing was done. The session has, or will have, another owner.
    Moved,
    /// It is not known whether anything was done.
    Doubtful,
}

impl SessionManager {
    /// Has the session's owner follow an order. When nobody drives the session an actor is started here; when another server
    /// does, it is asked, for as long as it holds the lease; and so on, until the order was followed or the time is over.
    pub(crate) async fn order(&self, id: &SessionId, by: &Principal, order: Order) -> Result<Outcome, Failure> {
        let deadline = Instant::now() + self.shared.config.forward();
        let request = checks::new_request_id()?;
        let (mut doubt, mut pause) = (false, FIRST_PAUSE);
        loop {
            match self.attempt(id, by, &order, &request).await? {
                Attempt::Followed(outcome) => return Ok(outcome),
                Attempt::Refused(failure) if doubt => return self.settle_doubt(id, &order, failure).await,
                Attempt::Refused(failure) => return Err(failure),
                Attempt::Moved => {}
                Attempt::Doubtful => doubt = true,
            }
            let given_up = doubt && !order.is_repeatable();
            if given_up || Instant::now() + pause > deadline {
                return Err(out_of_reach(doubt));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn attempt(
        &self,
        id: &SessionId,
        by: &Principal,
        order: &Order,
        request: &RequestId,
    ) -> Result<Attempt, Failure> {
        let response = match self.owner(id, by).await? {
            Owner::Here(actor) => match actor.follow(order, Some(request.clone())).await {
                Ok(outcome) => Ok(Response::Followed(outcome)),
                Err(Missed::Ended) => Ok(Response::NotHere),
                Err(Missed::Refused(failure)) if failure.code == Code::Draining => return Err(failure),
                Err(Missed::Refused(failure)) => Ok(Response::Refused(failure)),
            },
            Owner::There { holder, until } => {
                let letter = Letter {
                    session: id.clone(),
                    by: by.id.clone(),
                    request: Some(request.clone()),
                    order: order.clone(),
                };
                self.forward(letter, &holder, until).await
            }
        };
        Ok(match response {
            Ok(Response::Followed(outcome)) => Attempt::Followed(outcome),
            // It lets the session go in a moment.
            Ok(Response::Refused(failure)) if failure.code == Code::Draining => Attempt::Moved,
            // It lost the session while it wrote.
            Ok(Response::Refused(failure)) if failure.code == Code::OwnedElsewhere => Attempt::Doubtful,
            Ok(Response::Refused(failure)) => Attempt::Refused(failure),
            Ok(Response::NotHere) | Err(PeerError::NotReached(_)) => Attempt::Moved,
            Err(error @ PeerError::TooLarge(_)) => {
                Attempt::Refused(Failure::new(Code::TooLarge, format!("Another server drives this session: {error}.")))
            }
            Err(error @ (PeerError::Unanswered(_) | PeerError::Unavailable(_))) => {
                tracing::warn!(session.id = %id, %error, "the owner of a session does not answer");
                Attempt::Doubtful
            }
        })
    }

    /// Asks the server that holds the lease. One that does not answer until the lease ends may be dead: then the lease says.
    async fn forward(&self, letter: Letter, holder: &str, until: Timestamp) -> Result<Response, PeerError> {
        let patience = letter.order.patience();
        let letter = serde_json::to_vec(&letter).expect("orders are JSON with string keys");
        let left = until.since(self.shared.now()).clamp(LEAST_WAIT, self.shared.config.lease());
        let response = self.shared.ports.peers.ask(holder, letter, left + patience).await?;
        serde_json::from_slice(&response).map_err(|error| PeerError::Unavailable(Box::new(error)))
    }

    /// An order that was given twice may be refused for what came of it the first time.
    async fn settle_doubt(&self, id: &SessionId, order: &Order, failure: Failure) -> Result<Outcome, Failure> {
        match (order, failure.code) {
            (Order::Decide(answer), Code::AlreadyResolved) if self.was_decided(id, answer).await? => Ok(Outcome::Done),
            (Order::Cancel, Code::NothingRunning) => Ok(Outcome::Done),
            _ => Err(failure),
        }
    }

    /// Whether the log's end holds this very decision.
    async fn was_decided(&self, id: &SessionId, answer: &Answer) -> Result<bool, Failure> {
        const TAIL: usize = 1_024;
        let store = &self.shared.ports.store;
        let last = store.last(id).await.map_err(|e| store_failure(&e))?.seq.get();
        let after = Seq::new(last.saturating_sub(TAIL as u64));
        let tail = store.read(id, after, TAIL).await.map_err(|e| store_failure(&e))?;
        let decision = if answer.approved { Decision::Approved } else { Decision::Denied };
        Ok(tail.iter().any(|event| match &event.body {
            EventBody::ApprovalResolved(found) => {
                found.call == answer.call && found.decision == decision && found.by.as_ref() == Some(&answer.by)
            }
            _ => false,
        }))
    }
}

fn out_of_reach(doubt: bool) -> Failure {
    if doubt {
        let message = "Another server drives this session and did not answer; it is not known whether it was done.";
        return Failure::new(Code::OwnedElsewhere, message)
            .with_hint("The session's events tell. A message sent again under its clientMessageId is taken once.");
    }
    Failure::new(Code::OwnedElsewhere, "Another server drives this session and cannot be reached; nothing was done.")
        .with_hint("Send it again in a moment.")
}
