//! Budgets: work is set aside before it is done and counted after, in the store, so that servers that share it count together.

mod config;
mod grant;

pub use config::{Budgets, Limits, OnExceeded};
pub(crate) use grant::Grant;

use crate::{actor::store_failure, sandbox::backoff};
use lockkeeper_domain::{
    BudgetAsked, BudgetOf, Ceiling, Code, Day, Epoch, Failure, PrincipalId, QuestionId, SessionId, Spend, Timestamp,
};
use lockkeeper_ports::{Account, Balance, BudgetLedger, Clock, Hold, Reserved, SETTLED_FOR, StoreError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often a process that ends still tries to count what was spent.
const LAST_TRIES: u32 = 5;

/// Keeps the budgets of all sessions of this process.
pub(crate) struct Purse {
    ledger: Arc<dyn BudgetLedger>,
    config: Budgets,
    grace: Duration,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    over: CancellationToken,
    next: AtomicU64,
}

/// Whose work it is.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) session: SessionId,
    pub(crate) owner: PrincipalId,
    pub(crate) epoch: Epoch,
    /// A human let it go on whatever it costs.
    pub(crate) waived: bool,
}

/// Why work may not be done.
pub(crate) enum Denied {
    /// It would cost more than there is.
    Over(OverBudget),
    /// It is not known whether there is enough.
    Unknown(Failure),
}

/// A budget that does not suffice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverBudget {
    of: BudgetOf,
    measure: lockkeeper_domain::Measure,
    taken: u64,
    limit: u64,
}

/// What a principal may know of what it spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The session.
    pub session: Balance,
    /// All sessions of its owner, today.
    pub day: Balance,
    /// Today.
    pub date: Day,
    /// The limits of the session.
    pub session_limits: Ceiling,
    /// The limits of a day.
    pub day_limits: Ceiling,
    /// What happens beyond them.
    pub on_exceeded: OnExceeded,
}

impl Purse {
    /// The store may be away for as long as `grace`; `over` says that the process ends.
    pub(crate) fn new(
        ledger: Arc<dyn BudgetLedger>,
        (config, grace): (Budgets, Duration),
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        over: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { ledger, config, grace, clock, tasks, over, next: AtomicU64::new(0) })
    }

    pub(crate) fn on_exceeded(&self) -> OnExceeded {
        self.config.on_exceeded
    }

    /// Sets aside what `want` says, or as much as there is, but not less than `least`, for the session and for its owner's day.
    /// Whoever does not wait for it any more leaves nothing set aside.
    pub(crate) async fn reserve(self: &Arc<Self>, errand: &Errand, want: Spend, least: Spend) -> Result<Grant, Denied> {
        let (tell, told) = oneshot::channel();
        let (purse, errand) = (Arc::clone(self), errand.clone());
        self.tasks.spawn(async move {
            let reserved = purse.reserve_all(&errand, want, least).await;
            if let Err(Ok(unwanted)) = tell.send(reserved) {
                unwanted.give_up().await;
            }
        });
        let lost = |_| Err(Denied::Unknown(Failure::new(Code::Internal, "The budget could not be asked.")));
        told.await.unwrap_or_else(lost)
    }

    async fn reserve_all(self: &Arc<Self>, errand: &Errand, want: Spend, least: Spend) -> Result<Grant, Denied> {
        let now = self.clock.now();
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        let Errand { session, owner, epoch, waived } = errand;
        let accounts = [Account::Session(session.clone()), Account::Day(owner.clone(), Day::of(now))];
        let key = format!("{session}/{epoch}/{nth}");
        let ceilings = [(BudgetOf::Session, self.config.session.ceiling()), (BudgetOf::Day, self.config.day.ceiling())];
        let (mut granted, mut reserved_in) = (want, Vec::new());
        for ((of, ceiling), account) in ceilings.into_iter().zip(&accounts) {
            if *waived || ceiling.is_open() {
                continue;
            }
            let hold = Hold { key: key.clone(), want: granted, least, ceiling, until: now.after(self.config.hold()) };
            let reserved = self.reserve_in(account, &hold).await;
            // What was set aside, or may have been, is let go where this account refuses.
            if !matches!(reserved, Ok(Reserved::Refused(..))) {
                reserved_in.push(account.clone());
            }
            match reserved {
                Ok(Reserved::Held(fits)) => granted = fits,
                Ok(Reserved::Refused(measure, balance)) => {
                    let limit = ceiling.of(measure).unwrap_or_default();
                    self.settle(&reserved_in, &key, Spend::default()).await;
                    return Err(Denied::Over(OverBudget { of, measure, taken: balance.taken().of(measure), limit }));
                }
                Err(error) => {
                    self.settle(&reserved_in, &key, Spend::default()).await;
                    return Err(Denied::Unknown(store_failure(&error)));
                }
            }
        }
        Ok(Grant::new(Arc::clone(self), accounts, key, granted, reserved_in))
    }

    /// Asks one account, again and again while the store is away for no longer than the grace: the hold is made once.
    async fn reserve_in(&self, account: &Account, hold: &Hold) -> Result<Reserved, StoreError> {
        let (started, mut attempt) = (Instant::now(), 0);
        loop {
            let error = match self.ledger.reserve(account, hold, self.clock.now()).await {
                Err(error @ StoreError::Unavailable(_)) => error,
                reserved => return reserved,
            };
            let pause = backoff(attempt);
            if started.elapsed() + pause > self.grace || self.over.is_cancelled() {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// What a session and its owner have spent.
    pub(crate) async fn usage(&self, session: &SessionId, owner: &PrincipalId) -> Result<Usage, Failure> {
        let now = self.clock.now();
        let date = Day::of(now);
        let (of_session, of_day) = (Account::Session(session.clone()), Account::Day(owner.clone(), date));
        let balances = futures::try_join!(self.ledger.balance(&of_session, now), self.ledger.balance(&of_day, now));
        let (session, day) = balances.map_err(|error| store_failure(&error))?;
        let Budgets { session: of_session, day: of_day, on_exceeded, .. } = &self.config;
        let (session_limits, day_limits) = (of_session.ceiling(), of_day.ceiling());
        Ok(Usage { session, day, date, session_limits, day_limits, on_exceeded: *on_exceeded })
    }

    /// Counts what was spent, and lets go of what was set aside for it. While the store is away that is tried again aside.
    async fn settle(self: &Arc<Self>, accounts: &[Account], key: &str, used: Spend) {
        if accounts.is_empty() {
            return;
        }
        if let Err(error) = self.ledger.settle(accounts, key, used, self.clock.now()).await {
            let (purse, accounts, key) = (Arc::clone(self), accounts.to_vec(), key.to_owned());
            self.tasks.spawn(async move { purse.settle_in_time(&accounts, &key, used, error).await });
        }
    }

    async fn settle_in_time(&self, accounts: &[Account], key: &str, used: Spend, mut error: StoreError) {
        // After that the store may count what was spent twice.
        let most = SETTLED_FOR * 5 / 6;
        let (started, mut attempt, mut last) = (Instant::now(), 0, 0);
        loop {
            let pause = backoff(attempt);
            last += u32::from(self.over.is_cancelled());
            let is_late = used != Spend::default() && started.elapsed() + pause > most;
            if is_late || last > LAST_TRIES {
                // Its hold lapses, and what it cost is not counted.
                tracing::warn!(%error, "what work cost could not be counted");
                return;
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
            match self.ledger.settle(accounts, key, used, self.clock.now()).await {
                Ok(()) => return,
                Err(again) => error = again,
            }
        }
    }
}

impl OverBudget {
    /// Why the turn ends.
    pub(crate) fn failure(self) -> Failure {
        let (whose, hint) = match self.of {
            BudgetOf::Session => ("this session", "Open another session, or ask the operator for more."),
            BudgetOf::Day => ("your day", "It begins anew at midnight UTC; or ask the operator for more."),
        };
        let amount = match self.measure {
            lockkeeper_domain::Measure::Tokens => format!("{} of {} tokens are", self.taken, self.limit),
            lockkeeper_domain::Measure::ToolCalls => format!("{} of {} tool calls are", self.taken, self.limit),
            lockkeeper_domain::Measure::WallMs => {
                format!("{} of {} seconds of work are", self.taken / 1_000, self.limit / 1_000)
            }
        };
        let message = format!("The budget of {whose} does not suffice: {amount} spent or set aside.");
        Failure::new(Code::BudgetExceeded, message).with_hint(hint)
    }

    /// The question whether it may go on.
    pub(crate) fn question(self, question: QuestionId, expires_at: Timestamp) -> BudgetAsked {
        let Self { of, measure, taken, limit } = self;
        BudgetAsked { question: Some(question), of, measure, taken, limit, expires_at }
    }
}
