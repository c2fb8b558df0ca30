mod budget;
mod calls;
mod command;
mod follow;
mod leave;
mod look;
mod model;
mod notices;
mod persist;
mod pins;
mod request;
mod rest;
mod rules;
mod wish;
mod words;
mod workbench;

use crate::{
    Config, LiveEvent,
    checks::Checks,
    live::LiveSender,
    manager::{Outage, Ports, new_workspace_id},
    opened::Readiness,
    output::Output,
    purse::Purse,
    sandbox::{BenchNews, Starter, Workbench},
    storage::Storage,
};
use calls::{Outgoing, RunningCalls};
use command::Edited;
use lockkeeper_domain::{
    ApprovalRequired, Code, Command, Epoch, Event, EventId, Failure, Ground, Message, Policy, PrincipalId, RequestId,
    Rules, Seq, Session, SessionId, StoredRule, Timestamp, ToolCall, ToolDefinition, TurnId,
};
use lockkeeper_ports::{CallProgress, Claim, StoreError, ToolSessionStatus};
use model::{ModelCall, ModelItem};
use persist::Lost;
pub(crate) use persist::{remember_question, store_failure};
use request::send;
pub(crate) use request::{Reply, Request, Rest, Unhandled};
use rest::Unwatched;
use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wish::Choice;

/// What an actor needs that all actors share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) ports: Ports,
    pub(crate) starter: Arc<Starter>,
    pub(crate) output: Arc<Output>,
    pub(crate) purse: Arc<Purse>,
    /// When the store was last away.
    pub(crate) outage: Outage,
    pub(crate) checks: Arc<Checks>,
    pub(crate) storage: Storage,
    pub(crate) tasks: TaskTracker,
    /// No new turns begin.
    pub(crate) soft: CancellationToken,
    /// Everything ends now.
    pub(crate) hard: CancellationToken,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Claims a session that nobody drives. A lease that ran out while the store was away counts as held until its owner had
    /// a full lease to renew it.
    pub(crate) async fn claim(&self, id: &SessionId, holder: &str) -> Result<Claim, StoreError> {
        let now = self.now();
        let judged = self.outage.judged(now);
        self.ports.store.claim(id, holder, judged, self.config.lease() + now.since(judged)).await
    }
}

/// The way to an actor.
#[derive(Clone)]
pub(crate) struct ActorHandle {
    pub(crate) owner: PrincipalId,
    pub(crate) mailbox: mpsc::Sender<Request>,
}

/// What the store has of a session's record, so that it is written only where it changes.
#[derive(Clone, Copy)]
struct Stored {
    busy: bool,
    /// Whether the session is called something.
    titled: bool,
    active_at: Timestamp,
}

/// Drives one session: the only task that changes it while it holds the lease.
pub(crate) struct Actor {
    id: SessionId,
    owner: PrincipalId,
    shared: Arc<Shared>,
    choice: Choice,
    epoch: Epoch,
    last: Seq,
    last_epoch: Epoch,
    session: Session,
    last_active_at: Timestamp,
    stored: Stored,
    trimmed: Seq,
    question: Option<(EventId, ApprovalRequired)>,
    live: LiveSender,
    readiness: watch::Sender<Readiness>,
    mailbox: mpsc::Receiver<Request>,
    bench: Bench,
    runtime: workbench::RuntimeWatch,
    /// How many sandboxes were given up. An end of a call says which one it was sent to.
    benches_dropped: u64,
    /// Whether a sandbox of this session stood before, so that a new one is worth a word.
    had_sandbox: bool,
    model: Option<ModelCall>,
    /// What adapters have said of requests so far: each is said once.
    noticed: HashSet<String>,
    /// What waits for the sandbox.
    model_wanted: Option<(TurnId, u32)>,
    calls_wanted: Vec<ToolCall>,
    /// The call whose start is being written.
    outgoing: Option<Outgoing>,
    /// Costs of calls that are being counted: the next step waits for that.
    counting: Vec<JoinHandle<()>>,
    calls: RunningCalls,
    progress: mpsc::Receiver<CallProgress>,
    /// Answers whose edited arguments are being checked.
    edits: JoinSet<Edited>,
    /// How many more looks at the sandbox are answered at once.
    looks: Arc<Semaphore>,
    /// Tells when the rules are others than those that the waiting calls were judged by.
    rules: watch::Receiver<Arc<Policy>>,
    /// Until when nobody else can have taken the lease, by this process's clock.
    leased_until: Arc<Mutex<Instant>>,
    /// The rule whose approval is being written.
    intent: Option<StoredRule>,
    /// The name of the command that is being followed, until it is written.
    request: Option<RequestId>,
    /// Commands that were refused lately.
    refused: VecDeque<(RequestId, Failure)>,
    unwatched: Unwatched,
    /// Nobody used the session, and its record may go.
    forgotten: bool,
}

/// What an actor takes over from the store.
pub(crate) struct Taken {
    pub(crate) claim: Claim,
    /// When the claim was sent.
    pub(crate) claimed_at: Instant,
    pub(crate) history: Vec<Message>,
    /// The log after the claim's checkpoint.
    pub(crate) events: Vec<Event>,
}

enum Bench {
    Absent,
    Starting(oneshot::Receiver<Result<Workbench, Failure>>),
    Ready(Workbench),
}

/// Why the actor woke up.
enum Wake {
    Asked(Request),
    Abandoned,
    Model(Vec<ModelItem>),
    Called(lockkeeper_domain::CallId, calls::CallEnd),
    Progress(CallProgress),
    Bench(Result<Workbench, Failure>),
    RuntimeBack,
    Server(ToolSessionStatus),
    Redefined(ToolDefinition),
    Edited(Edited),
    Deadline,
    Rules,
    Unused,
    Renew,
    Drain,
    Stop,
}

/// Whether the actor goes on.
enum Flow {
    Continue,
    Exit,
}

impl Actor {
    /// The actor of a session that was claimed, and the way to it.
    pub(crate) fn new(shared: Arc<Shared>, taken: Taken, live: LiveSender) -> (Self, ActorHandle) {
        let Taken { claim, claimed_at: taken_at, history, events } = taken;
        let (sender, mailbox) = mpsc::channel(shared.config.mailbox);
        let (calls, progress) = RunningCalls::new();
        let record = claim.record;
        let choice = Choice::of(&record, &shared.ports.agents);
        let mut question = None;
        for event in &events {
            persist::remember_question(&mut question, event);
        }
        let owner = record.owner.clone();
        let mut rules = shared.ports.policy.follow();
        // What waits was judged by another process, perhaps by other rules.
        rules.mark_changed();
        let mut session = Session::fold(record.state, history, &events);
        session.stand_on(Ground {
            session: record.id.to_string(),
            user: owner.to_string(),
            image: shared.ports.image.as_deref().map(str::to_owned),
            policy: shared.ports.policy.now().version(),
            // Each sandbox starts with an empty workspace, so the one before is lost.
            workspace: new_workspace_id(),
            lost: vec![record.workspace.clone()],
        });
        let handle = ActorHandle { owner: record.owner, mailbox: sender };
        let actor = Self {
            id: record.id,
            owner,
            choice,
            epoch: claim.lease.epoch,
            last: claim.last.seq,
            last_epoch: claim.last.epoch,
            session,
            last_active_at: record.last_active_at,
            stored: Stored { busy: record.busy, titled: record.title.is_some(), active_at: record.last_active_at },
            trimmed: Seq::default(),
            question,
            live,
            readiness: watch::Sender::new(None),
            mailbox,
            bench: Bench::Absent,
            runtime: workbench::RuntimeWatch::default(),
            benches_dropped: 0,
            had_sandbox: claim.last.seq != Seq::default(),
            model: None,
            noticed: HashSet::new(),
            model_wanted: None,
            calls_wanted: Vec::new(),
            outgoing: None,
            counting: Vec::new(),
            calls,
            progress,
            edits: JoinSet::new(),
            looks: Arc::new(Semaphore::new(shared.config.looks_at_once)),
            rules,
            leased_until: Arc::new(Mutex::new(taken_at + shared.config.lease())),
            intent: None,
            request: None,
            refused: VecDeque::new(),
            unwatched: Unwatched::default(),
            forgotten: false,
            shared,
        };
        (actor, handle)
    }

    /// Drives the session until it ends, expires, is lost to another owner, or the server stops. Returns whether nobody used
    /// the session, so that its record need not stay.
    #[tracing::instrument(name = "session.actor", skip_all, fields(session.id = %self.id, epoch = %self.epoch))]
    pub(crate) async fn run(mut self) -> bool {
        if let Err(lost) = self.drive().await {
            lost.log();
            if let Lost::Store(failure) = lost {
                self.readiness.send_replace(Some(Err(failure)));
            }
        }
        let forgotten = self.forgotten;
        self.tear_down().await;
        forgotten
    }

    async fn drive(&mut self) -> Result<(), Lost> {
        self.want_bench();
        self.settle_intents();
        if self.session.is_busy() {
            self.follow(Command::Resume).await?;
        }
        let period = self.shared.config.lease() / 3;
        // The lease is as fresh as can be.
        let mut renew = tokio::time::interval_at(Instant::now() + period, period);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.sleep(&mut renew).await;
            if matches!(wake, Wake::Renew) {
                if !self.renew().await? {
                    renew.reset_after(persist::ASK_AGAIN);
                }
                continue;
            }
            if let Flow::Exit = self.wake(wake).await? {
                return Ok(());
            }
            if self.shared.soft.is_cancelled() && self.is_at_rest() {
                return Ok(());
            }
        }
    }

    /// Whether whoever takes over loses nothing: what was not sent waits in the log.
    fn is_at_rest(&self) -> bool {
        let is_started = |call: &ToolCall| self.session.turn().is_some_and(|turn| turn.is_started(&call.id));
        self.model.is_none() && self.calls.is_empty() && !self.calls_wanted.iter().any(is_started)
    }

    async fn sleep(&mut self, renew: &mut tokio::time::Interval) -> Wake {
        let deadline = self.session.next_deadline(&self.shared.rules).map(|at| at.since(self.shared.now()));
        let draining = self.shared.soft.is_cancelled();
        let (may_be_unused, grace) = (self.may_be_unused(), Duration::from_secs(self.shared.config.unused_secs));
        tokio::select! {
            () = self.shared.hard.cancelled() => Wake::Stop,
            () = self.shared.soft.cancelled(), if !draining => Wake::Drain,
            _ = renew.tick() => Wake::Renew,
            () = tokio::time::sleep(deadline.unwrap_or_default()), if deadline.is_some() => Wake::Deadline,
            Ok(()) = self.rules.changed() => Wake::Rules,
            () = self.unwatched.for_long(&self.live, grace), if may_be_unused => Wake::Unused,
            asked = self.mailbox.recv() => asked.map_or(Wake::Abandoned, Wake::Asked),
            ended = self.calls.next_end(), if !self.calls.is_empty() => Wake::Called(ended.0, ended.1),
            Some(Ok(edited)) = self.edits.join_next(), if !self.edits.is_empty() => Wake::Edited(edited),
            Some(progress) = self.progress.recv() => Wake::Progress(progress),
            news = bench_news(&mut self.bench), if !matches!(self.bench, Bench::Absent) => news,
            () = runtime_back(&self.shared), if self.runtime.is_awaited => Wake::RuntimeBack,
            items = heard(&mut self.model), if self.model.is_some() => Wake::Model(items),
        }
    }

    async fn wake(&mut self, wake: Wake) -> Result<Flow, Lost> {
        match wake {
            Wake::Asked(request) => return self.answer(request).await,
            Wake::Model(items) => self.hear(items).await?,
            Wake::Called(call, end) => self.call_ended(call, end).await?,
            Wake::Progress(mut progress) => {
                progress.message = progress.message.map(|message| self.shared.output.text(&message));
                if let Some(turn) = self.session.turn() {
                    self.live.send(self.last, LiveEvent::Tool(turn.id(), progress));
                }
            }
            Wake::Bench(started) => self.bench_started(started).await?,
            Wake::RuntimeBack => self.want_bench(),
            Wake::Server(status) => self.server_changed(status).await?,
            Wake::Redefined(tool) => self.tool_redefined(tool).await?,
            Wake::Edited(edited) => self.decide_edited(edited).await?,
            Wake::Deadline => self.follow(Command::Tick).await?,
            Wake::Rules => {
                self.rules.mark_changed();
                self.heed_rules().await?;
            }
            Wake::Unused => return Ok(self.leave_unused()),
            Wake::Renew | Wake::Drain => {}
            Wake::Stop | Wake::Abandoned => return Ok(Flow::Exit),
        }
        Ok(Flow::Continue)
    }
}

async fn runtime_back(shared: &Shared) {
    let runtime = shared.starter.sandboxes.availability();
    // On the heap, for the size of every actor.
    Box::pin(runtime.back()).await;
}

/// Whether the sandbox has started, and then what becomes of its MCP servers.
async fn bench_news(bench: &mut Bench) -> Wake {
    match bench {
        Bench::Absent => std::future::pending().await,
        Bench::Starting(waiting) => Wake::Bench(waiting.await.unwrap_or_else(|_| {
            Err(Failure::new(Code::SandboxUnavailable, "The start of the sandbox failed by a defect of the server."))
        })),
        Bench::Ready(bench) => match bench.change().await {
            BenchNews::Server(status) => Wake::Server(status),
            BenchNews::Redefined(tool) => Wake::Redefined(tool),
        },
    }
}

async fn heard(model: &mut Option<ModelCall>) -> Vec<ModelItem> {
    match model {
        Some(model) => model.hear().await,
        None => std::future::pending().await,
    }
}
