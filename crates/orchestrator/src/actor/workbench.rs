use super::{Actor, Bench, persist::Lost};
use crate::{
    LiveEvent,
    manager::new_workspace_id,
    opened::Ready,
    sandbox::{Starter, Workbench},
    tools::Catalog,
};
use lockkeeper_domain::{Code, Command, Epoch, Failure, NoticeKind, PrincipalId, SandboxRef, SessionId, ToolResult};
use lockkeeper_ports::{ProgressSink, RecordChange, ToolSessionStatus};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the last start of a sandbox saw of the runtime.
#[derive(Debug, Default)]
pub(super) struct RuntimeWatch {
    /// How often the runtime had been away when the start began.
    outages: u64,
    /// The start failed because the runtime was away: it is tried again when the runtime is back.
    pub(super) is_awaited: bool,
}

impl Actor {
    pub(super) fn catalog(&self) -> Option<Arc<Catalog>> {
        match &self.bench {
            Bench::Ready(bench) => Some(Arc::clone(&bench.catalog)),
            _ => None,
        }
    }

    /// Sees to it that a sandbox is there or on its way.
    pub(super) fn want_bench(&mut self) {
        if !matches!(self.bench, Bench::Absent) {
            return;
        }
        self.readiness.send_replace(None);
        let outages = self.shared.starter.sandboxes.availability().outages();
        self.runtime = RuntimeWatch { outages, is_awaited: false };
        let (live, last) = (self.live.clone(), self.last);
        let progress: ProgressSink = Arc::new(move |stage| live.send(last, LiveEvent::Starting(stage)));
        let (sender, started) = oneshot::channel();
        let start = start(
            Arc::clone(&self.shared.starter),
            (self.owner.clone(), self.id.clone()),
            self.epoch,
            progress,
            sender,
        );
        self.shared.tasks.spawn(start);
        self.bench = Bench::Starting(started);
    }

    /// The sandbox is gone; what is left of it is removed aside.
    pub(super) fn drop_bench(&mut self) {
        self.benches_dropped += 1;
        if let Bench::Ready(bench) = std::mem::replace(&mut self.bench, Bench::Absent) {
            // The next sandbox starts with an empty workspace: what was approved for this one is asked about again.
            self.session.stand_in(new_workspace_id());
            let starter = Arc::clone(&self.shared.starter);
            self.shared.tasks.spawn(async move {
                bench.tools.close().await;
                starter.remove(&bench.sandbox).await;
            });
        }
    }

    pub(super) async fn bench_started(&mut self, started: Result<Workbench, Failure>) -> Result<(), Lost> {
        match started {
            Ok(bench) => self.bench_ready(bench).await,
            Err(failure) => self.bench_failed(failure).await,
        }
    }

    async fn bench_ready(&mut self, bench: Workbench) -> Result<(), Lost> {
        let mut ready = Ready {
            sandbox: bench.sandbox.to_string(),
            provider: self.choice.next().name.to_owned(),
            model: self.choice.next().model.clone(),
            tools: Arc::clone(bench.catalog.tools()),
            servers: bench.tools.status(),
        };
        let place = SandboxRef { id: bench.sandbox.to_string(), started_at: self.shared.now() };
        let down: Vec<_> = ready.servers.iter().filter(|server| server.problem.is_some()).cloned().collect();
        self.bench = Bench::Ready(bench);
        let Some(workspace) = self.session.workspace().cloned().or_else(new_workspace_id) else {
            self.drop_bench();
            let failure = Failure::new(Code::Internal, "The system gives no random numbers.");
            return self.bench_failed(failure).await;
        };
        if self.session.workspace() != Some(&workspace) {
            self.session.stand_in(Some(workspace.clone()));
        }
        let record = RecordChange { sandbox: Some(Some(place)), workspace: Some(workspace), ..RecordChange::default() };
        self.persist(lockkeeper_domain::Changes::default(), record).await?;
        if self.session.has_stale_question() {
            self.follow(Command::Tick).await?;
        }
        if std::mem::replace(&mut self.had_sandbox, true) {
            let text = "A fresh sandbox was started; the files of the one before are gone.".to_owned();
            self.follow(Command::Notify { kind: NoticeKind::SandboxReplaced, text }).await?;
        }
        self.compare_tools(&ready.tools.clone()).await?;
        if let Some(catalog) = self.catalog() {
            ready.tools = self.offered(&catalog);
        }
        for server in down {
            let problem = server.problem.unwrap_or_default();
            let text = format!("The tools of {} are not available: {problem}", server.server);
            self.follow(Command::Notify { kind: NoticeKind::ToolsUnavailable, text }).await?;
        }
        self.readiness.send_replace(Some(Ok(ready)));
        if let Some((turn, step)) = self.model_wanted.take() {
            self.ask_model(turn, step);
        }
        for call in std::mem::take(&mut self.calls_wanted) {
            self.run_call(call);
        }
        Ok(())
    }

    /// Shows the views how a server does, those that come later too. The tools of one that has come up are offered from the
    /// next step on.
    pub(super) async fn server_changed(&mut self, status: ToolSessionStatus) -> Result<(), Lost> {
        self.add_tools().await?;
        self.readiness.send_if_modified(|readiness| {
            let Some(Ok(ready)) = readiness else { return false };
            let known = ready.servers.iter_mut().find(|known| known.server == status.server);
            known.is_some_and(|known| std::mem::replace(known, status.clone()) != status)
        });
        self.live.send(self.last, LiveEvent::Server(status));
        Ok(())
    }

    async fn bench_failed(&mut self, failure: Failure) -> Result<(), Lost> {
        tracing::warn!(code = %failure.code, "{}", failure.message);
        self.bench = Bench::Absent;
        let runtime = self.shared.starter.sandboxes.availability();
        self.runtime.is_awaited = runtime.is_away() || runtime.outages() != self.runtime.outages;
        self.readiness.send_replace(Some(Err(failure.clone())));
        for call in std::mem::take(&mut self.calls_wanted) {
            let said = format!("{} The call was not run.", failure.message);
            let result = ToolResult::failed(Code::SandboxUnavailable, said);
            self.follow(Command::CallSettled { call: call.id, result }).await?;
        }
        if self.model_wanted.take().is_some() {
            self.follow(Command::ModelFailed(failure)).await?;
        }
        Ok(())
    }
}

/// Starts a sandbox and hands it over. When nobody wants it any more, it is removed at once.
async fn start(
    starter: Arc<Starter>,
    (owner, session): (PrincipalId, SessionId),
    epoch: Epoch,
    progress: ProgressSink,
    hand_over: oneshot::Sender<Result<Workbench, Failure>>,
) {
    let outcome = starter.start(&owner, session, epoch, progress).await;
    if let Err(Ok(unwanted)) = hand_over.send(outcome) {
        unwanted.tools.close().await;
        starter.remove(&unwanted.sandbox).await;
    }
}
