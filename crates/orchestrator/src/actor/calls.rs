//! The calls of a session: made ready, written as started, and then sent.

use super::{Actor, Bench, follow::came_too_late, persist::Lost};
use crate::{
    output::Output,
    purse::{Denied, Errand, Grant, OverBudget, Purse},
    standing::Standing,
    tools::{Catalog, Gate},
};
use lockkeeper_domain::{CallId, Code, Command, EventBody, Failure, Policy, SessionId, Spend, ToolCall, ToolResult};
use lockkeeper_ports::{CallContext, CallProgress, RecordChange, ToolHostError, ToolSession};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::{
    sync::mpsc,
    task::{self, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// How a call came back.
pub(super) enum CallEnd {
    /// Unsent: its cost is set aside, and nothing speaks against it any more.
    Paid(ToolCall, Grant),
    /// With its result, and what it cost, which is not counted yet.
    Ran(ToolResult, Grant, Spend),
    /// With a result, without being run.
    Settled(ToolResult),
    /// Unsent, because the sandbox is gone that stood when so many were given up.
    SandboxGone(u64),
    /// Unsent, because it was approved for a workspace that was lost.
    WorkspaceLost,
    /// Unsent, because the budget does not suffice.
    OverBudget(ToolCall, OverBudget),
}

/// A call that is sent as soon as its start is written.
pub(super) struct Outgoing {
    call: CallId,
    grant: Grant,
}

/// The calls that run.
pub(super) struct RunningCalls {
    tasks: JoinSet<CallEnd>,
    calls: HashMap<task::Id, (ToolCall, CancellationToken)>,
    progress: mpsc::Sender<CallProgress>,
    /// Calls that were moved to a fresh sandbox once; not again.
    moved: HashSet<CallId>,
}

/// What one call costs, but for its time.
const ONE_CALL: Spend = Spend { tokens: 0, tool_calls: 1, wall_ms: 0 };
/// What is set aside for one: nobody knows how long it takes.
const A_CALL: Spend = Spend { tokens: 0, tool_calls: 1, wall_ms: 60_000 };
const AT_LEAST_A_CALL: Spend = Spend { tokens: 0, tool_calls: 1, wall_ms: 1 };

impl RunningCalls {
    const PROGRESS: usize = 64;

    /// No calls yet, and where their progress will come.
    pub(super) fn new() -> (Self, mpsc::Receiver<CallProgress>) {
        let (progress, news) = mpsc::channel(Self::PROGRESS);
        (Self { tasks: JoinSet::new(), calls: HashMap::new(), progress, moved: HashSet::new() }, news)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Gets what a call needs besides a sandbox: its cost is set aside, and the stored rule that let it run still stands. It
    /// comes back [`Paid`](CallEnd::Paid), or with why it cannot be sent.
    fn prepare(&mut self, call: ToolCall, purse: Arc<Purse>, errand: Errand, rule: Option<Standing>) {
        let asked = call.clone();
        let preparing = async move {
            let grant = match purse.reserve(&errand, A_CALL, AT_LEAST_A_CALL).await {
                Ok(grant) => grant,
                Err(Denied::Over(over)) => return CallEnd::OverBudget(asked, over),
                Err(Denied::Unknown(failure)) => return not_run(&failure),
            };
            let objection = match rule {
                Some(rule) => rule.objection().await,
                None => None,
            };
            match objection {
                None => CallEnd::Paid(asked, grant),
                Some(failure) => {
                    grant.give_up().await;
                    not_run(&failure)
                }
            }
        };
        let task = self.tasks.spawn(preparing);
        self.calls.insert(task.id(), (call, CancellationToken::new()));
    }

    /// Sends a call.
    fn send(
        &mut self,
        call: ToolCall,
        session: SessionId,
        mut grant: Grant,
        (tools, bench): (Arc<dyn ToolSession>, u64),
        output: Arc<Output>,
    ) {
        let cancel = CancellationToken::new();
        let progress = self.progress.clone();
        let context = CallContext { session, call: call.id.clone(), progress, cancel: cancel.clone(), trace: None };
        let asked = call.clone();
        let running = async move {
            // Also when it is broken off.
            grant.costs(ONE_CALL);
            match tools.call(&asked.name, asked.args, context).await {
                Ok(result) => CallEnd::Ran(output.clean(result), grant, ONE_CALL),
                Err(ToolHostError::SandboxGone) => {
                    grant.give_up().await;
                    CallEnd::SandboxGone(bench)
                }
                Err(error @ ToolHostError::Unavailable(_)) => {
                    let failed = ToolResult::failed(Code::SandboxUnavailable, error.to_string());
                    CallEnd::Ran(failed, grant, Spend::default())
                }
                Err(error @ ToolHostError::UnknownTool(_)) => {
                    CallEnd::Ran(ToolResult::failed(Code::UnknownTool, error.to_string()), grant, Spend::default())
                }
            }
        };
        let task = self.tasks.spawn(running);
        self.calls.insert(task.id(), (call, cancel));
    }

    /// A call that has its result without being run.
    pub(super) fn settle(&mut self, call: ToolCall, result: ToolResult) {
        self.end(call, CallEnd::Settled(result));
    }

    /// Ends a call that is not run.
    fn end(&mut self, call: ToolCall, end: CallEnd) {
        let task = self.tasks.spawn(async move { end });
        self.calls.insert(task.id(), (call, CancellationToken::new()));
    }

    /// The next call that came back.
    pub(super) async fn next_end(&mut self) -> (CallId, CallEnd) {
        let (id, end) = match self.tasks.join_next_with_id().await {
            Some(Ok((id, end))) => (id, end),
            Some(Err(panicked)) => {
                let said = "The call failed by a defect of the server; it is not known whether it had its effect.";
                (panicked.id(), CallEnd::Settled(ToolResult::failed(Code::Internal, said)))
            }
            None => return std::future::pending().await,
        };
        match self.calls.remove(&id) {
            Some((call, _)) => (call.id, end),
            None => std::future::pending().await,
        }
    }

    pub(super) fn cancel(&self, id: &CallId) {
        for (call, cancel) in self.calls.values() {
            if call.id == *id {
                cancel.cancel();
            }
        }
    }

    /// Breaks off what still runs, and waits until what it cost is being counted: the process may end after this.
    pub(super) async fn end_all(&mut self) {
        self.tasks.shutdown().await;
    }

    pub(super) fn cancel_all(&self) {
        self.calls.values().for_each(|(_, cancel)| cancel.cancel());
    }
}

impl Actor {
    /// What decides over this session's calls.
    pub(super) fn gate<'a>(&'a self, policy: &'a Policy) -> Gate<'a> {
        Gate { policy, stored: &[], output: &self.shared.output, user: self.owner.as_str() }
    }

    /// Makes a call that the gate let through ready to be sent, once the tools are there.
    pub(super) fn run_call(&mut self, call: ToolCall) {
        if let Some(end) = self.objection_to(&call) {
            self.calls.end(call, end);
        } else if let Bench::Ready(_) = &self.bench {
            let open = self.session.open_calls();
            let rule = open.iter().find(|open| open.call.id == call.id).and_then(|open| open.gate.rule.clone());
            let (shared, owner) = (&self.shared, &self.owner);
            let rule = rule.map(|rule| Standing::of(&shared.ports, owner, rule, shared.config.store_grace()));
            self.calls.prepare(call, Arc::clone(&self.shared.purse), self.errand(), rule);
        } else {
            self.calls_wanted.push(call);
            self.want_bench();
        }
    }

    /// Sends a call that has all it needs. That it is sent is written first: whoever takes over must not send it again.
    async fn start_call(&mut self, call: ToolCall, grant: Grant) -> Result<(), Lost> {
        if self.session.turn().is_none_or(|turn| turn.let_through(&call.id).is_none()) {
            // It was cancelled meanwhile.
            self.shared.tasks.spawn(grant.give_up());
            return Ok(());
        }
        let is_ready = matches!(self.bench, Bench::Ready(_));
        if is_ready && self.objection_to(&call).is_none() {
            self.outgoing = Some(Outgoing { call: call.id.clone(), grant });
            self.follow(Command::StartCall(call.id)).await
        } else {
            self.shared.tasks.spawn(grant.give_up());
            self.run_call(call);
            Ok(())
        }
    }

    /// Sends the call whose start was just written.
    pub(super) fn send_call(&mut self, call: ToolCall) {
        let outgoing = self.outgoing.take();
        let Some(Outgoing { grant, .. }) = outgoing.filter(|outgoing| outgoing.call == call.id) else { return };
        if let Bench::Ready(bench) = &self.bench {
            let place = (Arc::clone(&bench.tools), self.benches_dropped);
            self.calls.send(call, self.id.clone(), grant, place, Arc::clone(&self.shared.output));
        } else {
            self.shared.tasks.spawn(grant.give_up());
            self.calls.end(call, CallEnd::SandboxGone(self.benches_dropped));
        }
    }

    /// What speaks against a call that the gate let through, as far as the tools that are there tell.
    fn objection_to(&self, call: &ToolCall) -> Option<CallEnd> {
        let Bench::Ready(bench) = &self.bench else { return None };
        // What is let through is this tool, and the tool may be another one by now.
        let open = self.session.open_calls();
        let judged = open.iter().find(|open| open.call.id == call.id).map(|open| open.gate.fingerprint.as_str());
        let policy = self.shared.ports.policy.now();
        let objection = bench.catalog.objection(call, judged, self.gate(&policy));
        let (code, said) = objection.or_else(|| self.unbound(call, &bench.catalog))?;
        Some(if self.session.is_approved_for_lost(&call.id) {
            CallEnd::WorkspaceLost
        } else {
            CallEnd::Settled(ToolResult::failed(code, said))
        })
    }

    /// Why a call must not run: it is not to the letter what was let through.
    fn unbound(&self, call: &ToolCall, catalog: &Catalog) -> Option<(Code, String)> {
        if self.session.is_quarantined(&call.name) {
            let said = "The tool is held back because its definition changed; the call was not run.";
            return Some((Code::ToolChanged, said.to_owned()));
        }
        let definition = catalog.fingerprint(&call.name)?;
        if self.session.is_bound(call, definition) {
            return None;
        }
        let said = "The call, or the rules, changed after it was let through; the call was not run.";
        Some((Code::ApprovalMismatch, said.to_owned()))
    }

    pub(super) async fn call_ended(&mut self, call: CallId, end: CallEnd) -> Result<(), Lost> {
        let mut bill = None;
        let result = match end {
            CallEnd::Ran(result, grant, used) => {
                bill = Some((grant, used));
                result
            }
            CallEnd::Settled(result) => result,
            CallEnd::Paid(call, grant) => return self.start_call(call, grant).await,
            CallEnd::WorkspaceLost => return self.follow(Command::AskAgain(vec![call])).await,
            CallEnd::OverBudget(call, over) => return self.over_budget(over, Some(call)).await,
            CallEnd::SandboxGone(bench) => {
                let again = self.session.turn().and_then(|turn| turn.let_through(&call));
                // Nothing of the call was sent, so a fresh sandbox may run it; but one that goes at once is no place.
                if let Some(again) = again.filter(|_| self.calls.moved.insert(call.clone())) {
                    // Of several calls that found it gone, the first gets a fresh one, and the others run there.
                    if bench == self.benches_dropped {
                        self.drop_bench();
                        self.claim_again().await?;
                    }
                    self.run_call(again);
                    return Ok(());
                }
                ToolResult::failed(Code::SandboxUnavailable, "The sandbox is gone; the call was not run.")
            }
        };
        self.calls.moved.remove(&call);
        self.call_settled(call, result, bill).await
    }

    /// The result does not wait until its cost is counted. But the turn's next step does, and so does its end.
    async fn call_settled(
        &mut self,
        call: CallId,
        result: ToolResult,
        bill: Option<(Grant, Spend)>,
    ) -> Result<(), Lost> {
        let command = Command::CallSettled { call, result };
        let count = async move {
            if let Some((grant, used)) = bill {
                grant.settle(used).await;
            }
        };
        let reaction = match self.session.handle(command, self.shared.now(), &self.shared.rules) {
            Ok(reaction) => reaction,
            Err(refusal) => {
                came_too_late(&refusal);
                count.await;
                return Ok(());
            }
        };
        if reaction.changes.events.iter().any(|(_, event)| matches!(event, EventBody::TurnCompleted(_))) {
            count.await;
            return self.carry_out(reaction, RecordChange::default()).await;
        }
        let written = self.persist(reaction.changes, RecordChange::default()).await;
        self.counting.push(self.shared.tasks.spawn(count));
        written?;
        self.act(reaction.effects).await
    }
}

/// A call that is not run, for this reason.
fn not_run(failure: &Failure) -> CallEnd {
    CallEnd::Settled(ToolResult::failed(failure.code, format!("{} The call was not run.", failure.message)))
}
