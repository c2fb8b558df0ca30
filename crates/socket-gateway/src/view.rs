//! What a connection is shown: how the session starts, where it stands, and then every event of its log, once, in order.

mod news;

use crate::{
    commands::Desk,
    handshake::Since,
    pass::Version,
    peer::{Lost, Peer},
    wire::{self, HistorySnapshot, Meta, Protocol, Ready, ServerEvent, Time, Tool},
};
use futures::StreamExt;
use lockkeeper_domain::{CallStatus, Code, Decision, Event, EventBody, EventId, Failure, Seq, ToolDefinition};
use lockkeeper_orchestrator::{Attached, Live, LiveEvent, Snapshot};
use lockkeeper_ports::{EventStream, StoreError, ToolSessionStatus};
use news::{Due, News};

/// Why a view ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing can be sent any more.
    Lost(Lost),
    /// The session cannot be had.
    Refused(Failure),
    /// The client's permissions changed, and the session is not among them any more.
    Revoked(Failure),
    /// The log cannot be read on. The client may come back to where it was.
    Broken(Failure),
    /// The session was deleted.
    Deleted,
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// A cursor over a session's log that shows what it passes.
pub(crate) struct View<'a> {
    desk: &'a Desk,
    peer: &'a Peer,
    news: News,
    /// The last event that was shown.
    cursor: Seq,
    /// Where the log ended when the view began: what comes after it happens now.
    live_from: Seq,
    /// The permissions that the session may be looked at with.
    allowed: Version,
}

impl<'a> View<'a> {
    /// Shows the session until it cannot.
    pub(crate) async fn run(desk: &'a Desk, peer: &'a Peer, mut attached: Attached) -> Ended {
        let news = News::new(&mut attached);
        let allowed = match desk.may_look().await {
            Ok(allowed) => allowed,
            Err(failure) => return Ended::Refused(failure),
        };
        let mut view = Self { desk, peer, news, cursor: Seq::default(), live_from: Seq::default(), allowed };
        match view.show(&attached).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn show(&mut self, attached: &Attached) -> Result<std::convert::Infallible, Ended> {
        let ready = self.start(attached).await?;
        let snapshot = self.snapshot().await?;
        self.live_from = snapshot.last.seq;
        let is_troubled = |server: &&ToolSessionStatus| server.problem.is_some() || !server.left_out.is_empty();
        let troubled: Vec<_> = ready.servers.iter().filter(is_troubled).cloned().collect();
        self.shows_open(&snapshot);
        let ready = ready_event(self.desk, self.peer.protocol(), ready, attached.resumed(), &snapshot);
        self.emit(&ready, &self.peer.now()).await?;
        for server in troubled {
            self.tell(Live { after: snapshot.last.seq, event: LiveEvent::Server(server) }).await?;
        }
        let mut stream = self.join(snapshot, attached.resumed()).await?;
        loop {
            // The client was too slow and what it needs next is gone: the snapshot stands in for it.
            self.follow(&mut stream).await?;
            let snapshot = self.snapshot().await?;
            stream = self.begin_anew(snapshot).await?;
        }
    }

    /// Shows how the sandbox starts, until it has.
    async fn start(&mut self, attached: &Attached) -> Result<lockkeeper_orchestrator::Ready, Ended> {
        let ready = attached.ready();
        tokio::pin!(ready);
        let ready = loop {
            tokio::select! {
                biased;
                live = self.news.next() => self.tell(live).await?,
                ready = &mut ready => break ready.map_err(Ended::Refused)?,
            }
        };
        while let Some(live) = self.news.try_next() {
            self.tell(live).await?;
        }
        Ok(ready)
    }

    /// Brings the client to where the log is read from: what it knows, or a snapshot.
    async fn join(&mut self, snapshot: Snapshot, resumed: bool) -> Result<EventStream, Ended> {
        if snapshot.thinking
            && let Some(turn) = snapshot.turn
        {
            self.news.hold(Live { after: snapshot.last.seq, event: LiveEvent::Thinking(turn) });
        }
        let known = match self.desk.since {
            Since::Event(id) => self.resume(id, snapshot.last).await?,
            Since::Nothing if !resumed => Some((self.stream(Seq::default()).await?, Seq::default())),
            Since::Nothing | Since::Unknown => None,
        };
        let Some((stream, cursor)) = known else { return self.begin_anew(snapshot).await };
        self.cursor = cursor;
        self.show_due().await?;
        Ok(stream)
    }

    /// The log after the event with this id, if that is an event of this log.
    async fn resume(&self, id: EventId, last: EventId) -> Result<Option<(EventStream, Seq)>, Ended> {
        if id.seq > last.seq || id.epoch > last.epoch {
            return Ok(None);
        }
        let Some(before) = id.seq.get().checked_sub(1) else {
            return Ok(Some((self.stream(id.seq).await?, id.seq)));
        };
        let mut stream = self.stream(Seq::new(before)).await?;
        match stream.next().await {
            Some(Ok(event)) if event.id == id => Ok(Some((stream, id.seq))),
            // Its own event may be trimmed while all that follow are there.
            Some(Err(StoreError::Trimmed(through))) if through <= id.seq => {
                Ok(Some((self.stream(id.seq).await?, id.seq)))
            }
            Some(Ok(_) | Err(StoreError::Trimmed(_))) => Ok(None),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(ended_by_itself()),
        }
    }

    /// Shows the session as it stands, and reads on from there.
    async fn begin_anew(&mut self, snapshot: Snapshot) -> Result<EventStream, Ended> {
        let (last, pending) = (snapshot.last, snapshot.pending.clone());
        self.shows_open(&snapshot);
        self.desk.shown.only_budget(snapshot.budget.as_ref());
        let shown: HistorySnapshot = wire::snapshot(snapshot);
        self.emit(&ServerEvent::Snapshot(Box::new(shown)), &self.peer.now()).await?;
        self.cursor = last.seq;
        // A client that knows nothing of snapshots must see the question all the same.
        for (id, approval) in pending {
            let mut meta = Meta { id: Some(id), call_id: Some(approval.call.clone()), ..self.peer.now() };
            meta.turn = approval.call.minted_for().map(|(turn, _)| turn);
            self.emit(&ServerEvent::ApprovalRequired(Box::new(approval.into())), &meta).await?;
        }
        self.show_due().await?;
        self.stream(last.seq).await
    }

    /// Remembers which questions the client is shown as open.
    fn shows_open(&self, snapshot: &Snapshot) {
        self.desk.shown.only_open(snapshot.pending.iter().map(|(_, asked)| asked));
        let waiting = snapshot.calls.iter().filter(|open| open.waiting);
        self.desk.shown.waiting(waiting.map(|open| &open.call.id));
    }

    /// Shows events as they come. Returns when those that should come next are not kept any more.
    async fn follow(&mut self, stream: &mut EventStream) -> Result<(), Ended> {
        loop {
            tokio::select! {
                // What is not logged was sent before the events that follow it were: it must be seen first.
                biased;
                live = self.news.next() => self.tell(live).await?,
                event = stream.next() => match event {
                    Some(Ok(event)) => self.pass(event).await?,
                    Some(Err(StoreError::Trimmed(_))) => return Ok(()),
                    Some(Err(error)) => return Err(broken(&error)),
                    None => return Err(self.without_log().await),
                },
            }
        }
    }

    async fn pass(&mut self, event: Event) -> Result<(), Ended> {
        let seq = event.id.seq;
        if seq <= self.cursor {
            return Ok(());
        }
        if seq != self.cursor.next() {
            tracing::error!(cursor = %self.cursor, %seq, "the log skipped an event");
            return Err(Ended::Broken(Failure::new(Code::Internal, "The session's log has a gap.")));
        }
        let goes_on = seq > self.live_from && is_approval(&event.body);
        match &event.body {
            EventBody::ToolCalls(calls) => {
                let gated = calls.message.calls.iter().zip(&calls.gates);
                let waiting = gated.filter(|(_, gate)| gate.status == CallStatus::Waiting);
                self.desk.shown.waiting(waiting.map(|(call, _)| &call.id));
            }
            EventBody::ApprovalRequired(asked) => self.desk.shown.asked(asked),
            EventBody::ApprovalResolved(resolved) => self.desk.shown.closed(&resolved.call),
            EventBody::ToolSettled(settled) => self.desk.shown.closed(&settled.call),
            EventBody::BudgetAsked(asked) => self.desk.shown.budget_asked(asked),
            _ => {}
        }
        let (event, meta) = wire::logged(event);
        self.emit(&event, &meta).await?;
        self.cursor = seq;
        if goes_on {
            // Older frontends show by this that their answer has arrived.
            let thinking = Meta { id: None, call_id: None, ..meta };
            self.emit(&ServerEvent::Thinking, &thinking).await?;
        }
        self.show_due().await
    }

    /// Shows a live event now, later, or not at all, as its place in the log says.
    async fn tell(&mut self, live: Live) -> Result<(), Ended> {
        if matches!(live.event, LiveEvent::Starting(_) | LiveEvent::Server(_)) {
            let (event, meta) = wire::live(live.event, self.peer.now().at.0);
            return self.emit(&event, &meta).await;
        }
        self.news.hold(live);
        self.show_due().await
    }

    async fn show_due(&mut self) -> Result<(), Ended> {
        while let Due::Now(event) = self.news.due(self.cursor) {
            let (event, meta) = wire::live(event, self.peer.now().at.0);
            self.emit(&event, &meta).await?;
        }
        Ok(())
    }

    /// Sends an event of the session, if the client may see it at the moment of sending. Every event of a view goes
    /// through here.
    async fn emit(&mut self, event: &ServerEvent, meta: &Meta) -> Result<(), Ended> {
        while !self.peer.emit_at(event, meta, &self.desk.pass, self.allowed).await? {
            self.allowed = self.desk.may_look().await.map_err(Ended::Revoked)?;
        }
        Ok(())
    }

    /// Why the log ended: a session that was deleted has none.
    async fn without_log(&self) -> Ended {
        match self.desk.manager.exists(&self.desk.session).await {
            Ok(false) => Ended::Deleted,
            Ok(true) | Err(_) => ended_by_itself(),
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, Ended> {
        self.desk.manager.snapshot(&self.desk.session, &self.desk.pass.principal()).await.map_err(Ended::Refused)
    }

    async fn stream(&self, after: Seq) -> Result<EventStream, Ended> {
        self.desk.manager.follow(&self.desk.session, &self.desk.pass.principal(), after).await.map_err(Ended::Broken)
    }
}

fn is_approval(body: &EventBody) -> bool {
    matches!(body, EventBody::ApprovalResolved(resolved) if resolved.decision == Decision::Approved)
}

fn broken(error: &StoreError) -> Ended {
    tracing::warn!(%error, "a session's log cannot be read");
    let failure = Failure::new(Code::StoreUnavailable, "The session's log cannot be read at the moment.");
    Ended::Broken(failure.with_hint("Connect again in a moment."))
}

fn ended_by_itself() -> Ended {
    Ended::Broken(Failure::new(Code::Internal, "The session's log ended unexpectedly.").with_hint("Connect again."))
}

fn ready_event(
    desk: &Desk,
    protocol: Protocol,
    ready: lockkeeper_orchestrator::Ready,
    resumed: bool,
    snapshot: &Snapshot,
) -> ServerEvent {
    let tool = |tool: &ToolDefinition| Tool {
        name: tool.tool.clone(),
        server: tool.server.clone(),
        title: tool.title.clone(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
        annotations: tool.annotations.clone(),
    };
    ServerEvent::Ready(Box::new(Ready {
        session_id: desk.session.clone(),
        container_id: ready.sandbox,
        provider: ready.provider,
        model: ready.model,
        tools: ready.tools.iter().map(tool).collect(),
        protocol: protocol.version(),
        last_event_id: snapshot.last,
        resumed,
        pending: snapshot.pending.iter().map(|(_, approval)| approval.clone().into()).collect(),
        token_expires_at: desk.pass.principal().expires_at.map(Time),
    }))
}
