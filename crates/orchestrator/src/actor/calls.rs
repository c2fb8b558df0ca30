use super::{
    Actor, Bench,
    follow::came_too_late,
    persist::{Lost, is_current},
};
use crate::{
    output::Output,
    purse::{Denied, Errand, Grant, OverBudget, Purse},
    tools::{Catalog, Gate},
};
use lockkeeper_domain::{CallId, Code, Command, EventBody, Policy, Spend, ToolCall, ToolResult};
use lockkeeper_ports::{CallContext, CallProgress, RecordChange, ToolHostError, ToolSession};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};
use tokio::{
    sync::mpsc,
    task::{self, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How a call came back.
pub(super) enum CallEnd {
    /// With its result, and what it cost, which is not counted yet.
    Ran(ToolResult, Grant, Spend),
    /// With a result, without being run.
    Settled(ToolResult),
    /// Unsent, because the sandbox is gone that stood when so many were given up.
    SandboxGone(u64),
    /// Unsent, because the lease may have run out meanwhile.
    Unsure,
    /// Unsent, because it was approved for a workspace that was lost.
    WorkspaceLost,
    /// Unsent, because the budget does not suffice.
    OverBudget(ToolCall, OverBudget),
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

    fn start(
        &mut self,
        call: ToolCall,
        tools: Arc<dyn ToolSession>,
        output: Arc<Output>,
        paid: (Arc<Purse>, Errand),
        (leased_until, bench): (Arc<Mutex<Instant>>, u64),
    ) {
        let cancel = CancellationToken::new();
        let (session, progress, trace) = (paid.1.session.clone(), self.progress.clone(), None);
        let context = CallContext { session, call: call.id.clone(), progress, cancel: cancel.clone(), trace };
        let asked = call.clone();
        let running = async move {
            let (purse, errand) = paid;
            let mut grant = match purse.reserve(&errand, A_CALL, AT_LEAST_A_CALL).await {
                Ok(grant) => grant,
                Err(Denied::Over(over)) => return CallEnd::OverBudget(asked, over),
                Err(Denied::Unknown(failure)) => {
                    let said = format!("{} The call was not run.", failure.message);
                    return CallEnd::Settled(ToolResult::failed(failure.code, said));
                }
            };
            // Setting the cost aside may have taken longer than the lease lasts.
            if !is_current(&leased_until) {
                grant.settle(Spend::default()).await;
                return CallEnd::Unsure;
            }
            // Also when it is broken off.
            grant.costs(ONE_CALL);
            match tools.call(&asked.name, asked.args, context).await {
                Ok(result) => CallEnd::Ran(output.clean(result), grant, ONE_CALL),
                Err(ToolHostError::SandboxGone) => {
                    grant.settle(Spend::default()).await;
                    CallEnd::SandboxGone(bench)
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

    pub(super) fn cancel_all(&self) {
        self.calls.values().for_each(|(_, cancel)| cancel.cancel());
    }
}

impl Actor {
    /// What decides over this session's calls.
    pub(super) fn gate<'a>(&'a self, policy: &'a Policy) -> Gate<'a> {
        Gate { policy, stored: &[], output: &self.shared.output, user: self.owner.as_str() }
    }

    /// Runs a call that the gate let through, once the tools are there.
    pub(super) fn run_call(&mut self, call: ToolCall) {
        if let Bench::Ready(bench) = &self.bench {
            // What is let through is this tool, and the tool may be another one by now.
            let open = self.session.open_calls();
            let judged = open.iter().find(|open| open.call.id == call.id).map(|open| open.gate.fingerprint.as_str());
            let policy = self.shared.ports.policy.now();
            let objection = bench.catalog.objection(&call, judged, self.gate(&policy));
            if let Some((code, said)) = objection.or_else(|| self.unbound(&call, &bench.catalog)) {
                let end = if self.session.is_approved_for_lost(&call.id) {
                    CallEnd::WorkspaceLost
                } else {
                    CallEnd::Settled(ToolResult::failed(code, said))
                };
                self.calls.end(call, end);
                return;
            }
            let paid = (Arc::clone(&self.shared.purse), self.errand());
            let (tools, output) = (Arc::clone(&bench.tools), Arc::clone(&self.shared.output));
            let stands = (Arc::clone(&self.leased_until), self.benches_dropped);
            self.calls.start(call, tools, output, paid, stands);
        } else {
            self.calls_wanted.push(call);
            self.want_bench();
        }
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
            CallEnd::Unsure => {
                self.sure_of_lease().await?;
                if let Some(again) = self.session.turn().and_then(|turn| turn.running_call(&call)) {
                    self.run_call(again);
                }
                return Ok(());
            }
            CallEnd::WorkspaceLost => return self.follow(Command::AskAgain(vec![call])).await,
            CallEnd::OverBudget(call, over) => return self.over_budget(over, Some(call)).await,
            CallEnd::SandboxGone(bench) => {
                let again = self.session.turn().and_then(|turn| turn.running_call(&call));
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
