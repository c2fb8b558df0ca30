use crate::{
    Config,
    commands::Desk,
    crowds::Crowds,
    handshake::Handshake,
    intake::{Inbox, Taken},
    pass::{Pass, Version, expired},
    peer::{Lost, Peer},
    places::{Connections, Place},
    tally::Refusals,
    transports::Transports,
    view::{Ended, View},
    wire::{Answer, Command, Expiry, Role, ServerEvent, Time, event_name},
};
use futures::StreamExt;
use lockkeeper_domain::{Code, Failure, Via};
use lockkeeper_orchestrator::{Attached, OpenSession, SessionManager};
use lockkeeper_ports::{AuthError, Authenticator, Clock, Credentials};
use serde_json::Value;
use std::{
    future::pending,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{
        Mutex,
        mpsc::{self, error::TrySendError},
        watch,
    },
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client whose permissions are gone is kept for the answer to the command that it sent last.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connections: Connections,
    pub(crate) refusals: Refusals,
    pub(crate) transports: Arc<Transports>,
    pub(crate) crowds: Crowds,
    /// Counts how often all connections were to be authenticated again.
    pub(crate) rechecks: watch::Sender<u64>,
    pub(crate) tasks: TaskTracker,
    /// All connections are gone.
    pub(crate) closed: CancellationToken,
}

/// A connection from its handshake to its end: the one task that it has.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    pub(crate) inbox: Arc<Inbox>,
    /// Held while an event is handled and answered.
    pub(crate) handling: Mutex<()>,
}

/// Why the server ends a connection.
enum End {
    /// The client did.
    Gone,
    /// It reads too slowly.
    Slow,
    /// It may not, or cannot, have what it wants.
    Refused(Failure),
    /// It must come again.
    Broken(Failure),
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Lost(Lost::Closed) => Self::Gone,
            Ended::Lost(Lost::Slow) => Self::Slow,
            Ended::Refused(failure) | Ended::Revoked(failure) => Self::Refused(failure),
            Ended::Broken(failure) => Self::Broken(failure),
            Ended::Deleted => Self::Refused(Failure::new(Code::Forbidden, "The session was deleted.")),
        }
    }
}

impl Connection {
    /// Serves the connection. `auth` is what the client sent with its handshake; `Err` where that is no JSON.
    #[tracing::instrument(name = "socket.connection", skip_all, fields(session.id, principal.id))]
    pub(crate) async fn serve<E: std::fmt::Debug>(self, auth: Result<Value, E>) {
        let Some(receiver) = self.inbox.receiver() else { return };
        // Also when something below panics.
        let _hang_up = self.peer.hang_up_on_drop(self.inbox.gone.clone(), Arc::clone(&self.shared.transports));
        let end = match self.establish(auth).await {
            Ok(Some((desk, attached, _seat))) => Box::pin(self.attend(&desk, attached, receiver)).await,
            Ok(None) => End::Gone,
            Err(failure) => End::Refused(failure),
        };
        let farewell = async {
            match end {
                End::Gone => return,
                End::Slow => tracing::info!("a client reads too slowly and is disconnected"),
                End::Refused(failure) => {
                    tracing::info!(code = %failure.code, "a connection is refused");
                    self.shared.refusals.connection(failure.code);
                    let _ = self.peer.refuse(failure).await;
                }
                End::Broken(failure) => {
                    let _ = self.peer.report(failure).await;
                }
            }
            self.peer.disconnect().await;
        };
        self.inbox.gone.run_until_cancelled(farewell).await;
    }

    /// Finds out who the client is, and opens its session. Nothing is created before the client is known. `None` when it has
    /// gone meanwhile and left nothing to do.
    async fn establish<E: std::fmt::Debug>(
        &self,
        auth: Result<Value, E>,
    ) -> Result<Option<(Desk, Attached, Place)>, Failure> {
        let shared = &self.shared;
        let Handshake { session, model, token, key, since, role } = Handshake::parse(self.peer.query(), auth)?;
        let address = self.peer.address().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let credentials = Credentials { token, key, address };
        // A recheck from here on is not missed: the pass counts from what was asked for before it was made.
        let rechecks = shared.rechecks.subscribe();
        let checked = *rechecks.borrow();
        let known = timeout(shared.config.connect_timeout(), shared.authenticator.authenticate(&credentials)).await;
        let mut principal = known.map_err(|_| unavailable())?.map_err(refusal)?;
        let address_shown = self.peer.address().map(|address| address.ip().to_string());
        principal.via = Via { address: address_shown, agent: self.peer.agent(), ..principal.via };
        tracing::Span::current().record("principal.id", principal.id.as_str());
        let seat = shared.connections.seat(&principal.id).map_err(|(code, message)| Failure::new(code, message))?;
        self.inbox.belongs_to(&principal.id);
        shared.crowds.note(address, self.peer.headers(), &principal.id);
        if self.inbox.gone.is_cancelled() && self.inbox.is_empty() {
            return Ok(None);
        }
        // Who only looks changes neither the model nor who pays for it.
        let drives = role == Role::Driver;
        let model = model.filter(|_| drives);
        let key = shared.authenticator.provider_key(&credentials).filter(|_| drives);
        let request = OpenSession { id: session, principal: principal.clone(), model, key };
        let attached = shared.manager.open(request).await?;
        let session = attached.session().clone();
        tracing::Span::current().record("session.id", session.as_str());
        let (manager, config) = (Arc::clone(&shared.manager), Arc::clone(&shared.config));
        let (authenticator, clock) = (Arc::clone(&shared.authenticator), Arc::clone(&shared.clock));
        let patience = config.connect_timeout();
        let pass = Pass::new(principal, credentials, (rechecks, checked), authenticator, clock, patience);
        let shown = Arc::clone(&self.inbox.shown);
        Ok(Some((Desk { manager, config, session, pass, role, since, shown }, attached, seat)))
    }

    /// Shows the session and does what the client asks for, side by side.
    async fn attend(&self, desk: &Desk, attached: Attached, receiver: mpsc::Receiver<Taken>) -> End {
        let view = async {
            match self.inbox.gone.run_until_cancelled(View::run(desk, &self.peer, attached)).await {
                Some(Ended::Lost(Lost::Closed)) | None => pending().await,
                Some(ended @ Ended::Deleted) => {
                    // Whoever deletes its own session hears first that it was done.
                    let _handled = self.handling.lock().await;
                    End::from(ended)
                }
                // The client is told with the answer to its own command first, if it was one that changed this.
                Some(ended @ Ended::Revoked(_)) => {
                    let _handled = timeout(LAST_ANSWER, self.handling.lock()).await;
                    End::from(ended)
                }
                Some(ended) => End::from(ended),
            }
        };
        tokio::select! {
            biased;
            () = self.inbox.flooded.cancelled() => {
                End::Refused(Failure::new(Code::RateLimited, "Too many events: the connection is closed."))
            }
            end = view => end,
            end = self.until_revoked(desk) => end,
            end = self.until_expired(desk) => end,
            end = self.obey(desk, receiver) => end,
        }
    }

    /// Lasts until the client's permissions no longer include the session, whether anything happens in it or not.
    async fn until_revoked(&self, desk: &Desk) -> End {
        loop {
            let failure = match desk.may_look().await {
                Ok(version) => {
                    desk.pass.changed_since(version).await;
                    continue;
                }
                Err(failure) => failure,
            };
            let _handled = timeout(LAST_ANSWER, self.handling.lock()).await;
            return End::Refused(failure);
        }
    }

    /// Lasts as long as the connection's token, and some more in which it may bring a fresh one.
    async fn until_expired(&self, desk: &Desk) -> End {
        let grace = self.shared.config.expiry_grace();
        loop {
            let expired_at = desk.pass.expired_for(Duration::ZERO).await;
            let closes_at = Time(expired_at.after(grace));
            let event = ServerEvent::TokenExpired(Expiry { expired_at: Time(expired_at), closes_at });
            if let Err(Lost::Slow) = self.peer.emit(&event, &self.peer.now()).await {
                return End::Slow;
            }
            tokio::select! {
                biased;
                () = desk.pass.renewed() => {}
                _ = desk.pass.expired_for(grace) => return End::Refused(expired()),
            }
        }
    }

    /// Handles the client's events, one after the other, and its looks into the sandbox beside them. What had come before
    /// the client went is done all the same: a disconnect is not a cancel.
    async fn obey(&self, desk: &Desk, receiver: mpsc::Receiver<Taken>) -> End {
        let (looks, looked) = mpsc::channel(self.shared.config.max_waiting_events);
        tokio::select! {
            end = self.obey_in_order(desk, receiver, looks) => end,
            () = self.look(desk, looked) => End::Slow,
        }
    }

    /// Handles the events whose order matters, and hands the others on to `looks`.
    async fn obey_in_order(&self, desk: &Desk, mut receiver: mpsc::Receiver<Taken>, looks: mpsc::Sender<Taken>) -> End {
        loop {
            let taken = tokio::select! {
                biased;
                taken = receiver.recv() => taken,
                () = self.inbox.gone.cancelled(), if !receiver.is_closed() => {
                    receiver.close();
                    continue;
                }
            };
            let Some(taken) = taken else { return End::Gone };
            let told = if is_look(&taken) {
                match looks.try_send(taken) {
                    Ok(()) => Ok(()),
                    Err(TrySendError::Full(taken) | TrySendError::Closed(taken)) => {
                        let busy = Failure::new(Code::Busy, "Too many requests for files wait to be handled already.");
                        self.tell(desk, taken.ack, Err(busy)).await
                    }
                }
            } else {
                let _handling = self.handling.lock().await;
                let outcome = desk.handle(&taken).await;
                self.tell(desk, taken.ack, outcome).await
            };
            if let Err(Lost::Slow) = told {
                return End::Slow;
            }
        }
    }

    /// Handles requests for files of the sandbox, some at once. A tool server that does not answer holds up these alone,
    /// and neither a cancel nor an approval. Returns when the client reads too slowly.
    async fn look(&self, desk: &Desk, looked: mpsc::Receiver<Taken>) {
        const AT_ONCE: usize = 4;
        let looks = futures::stream::unfold(looked, |mut looked| async move { Some((looked.recv().await?, looked)) });
        let told = looks.map(|taken: Taken| async move {
            let outcome = desk.handle(&taken).await;
            self.tell(desk, taken.ack, outcome).await
        });
        let slow = told.buffer_unordered(AT_ONCE).filter(|told| std::future::ready(*told == Err(Lost::Slow)));
        tokio::pin!(slow);
        if slow.next().await.is_none() {
            // The client has gone: what it wanted to see is of no use.
            pending::<()>().await;
        }
    }

    /// Answers an event, unless the client has gone.
    async fn tell(
        &self,
        desk: &Desk,
        ack: Option<i64>,
        outcome: Result<(Answer, Option<Version>), Failure>,
    ) -> Result<(), Lost> {
        if let Err(failure) = &outcome {
            self.shared.refusals.command(failure.code);
        }
        let tell = async {
            match (ack, outcome) {
                (Some(ack), Ok((answer, version))) => self.answer(desk, ack, answer, version).await,
                (Some(ack), Err(failure)) => self.peer.acknowledge(ack, &Err(failure)).await,
                (None, Err(failure)) => self.peer.report(failure).await,
                (None, Ok(_)) => Ok(()),
            }
        };
        self.inbox.gone.run_until_cancelled(tell).await.unwrap_or(Ok(()))
    }
}

/// Whether an event asks for files of the sandbox. It changes nothing, so that later events need not wait for it.
fn is_look(taken: &Taken) -> bool {
    let command = event_name(&taken.arguments).as_deref().and_then(Command::named);
    matches!(command, Some(Command::WorkspaceList | Command::WorkspaceRead))
}

impl Connection {
    /// Sends the answer to a command, or the refusal in its place if the client may not see it any more.
    async fn answer(&self, desk: &Desk, ack: i64, answer: Answer, mut version: Option<Version>) -> Result<(), Lost> {
        while let Some(at) = version {
            if self.peer.answer_at(ack, &answer, &desk.pass, at).await? {
                return Ok(());
            }
            match desk.may_look().await {
                Ok(now) => version = Some(now),
                Err(failure) => return self.peer.acknowledge(ack, &Err(failure)).await,
            }
        }
        self.peer.acknowledge(ack, &Ok(answer)).await
    }
}

pub(crate) fn unavailable() -> Failure {
    Failure::new(Code::Unauthenticated, "Nobody can tell at the moment who you are.").with_hint("Try again later.")
}

pub(crate) fn refusal(error: AuthError) -> Failure {
    match error {
        AuthError::Refused(reason) => Failure::new(Code::Unauthenticated, reason),
        AuthError::Unavailable(source) => {
            tracing::warn!(error = %source, "the authenticator is unavailable");
            unavailable()
        }
    }
}
