//! Budgets: work is set aside before it is done and counted after, in the store, so that servers that share it count together.

mod config;

pub use config::{Budgets, Limits, OnExceeded};

use crate::actor::store_failure;
use lockkeeper_domain::{
    BudgetAsked, BudgetOf, Ceiling, Code, Day, Epoch, Failure, PrincipalId, QuestionId, SessionId, Spend, Timestamp,
};
use lockkeeper_ports::{Account, Balance, BudgetLedger, Clock, Hold, Reserved};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::TaskTracker;

/// Keeps the budgets of all sessions of this process.
pub(crate) struct Purse {
    ledger: Arc<dyn BudgetLedger>,
    config: Budgets,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
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
    pub(crate) fn new(
        ledger: Arc<dyn BudgetLedger>,
        config: Budgets,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self { ledger, config, clock, tasks, next: AtomicU64::new(0) })
    }

    pub(crate) fn on_exceeded(&self) -> OnExceeded {
        self.config.on_exceeded
    }

    /// Sets aside what `want` says, or as much as there is, but not less than `least`, for the session and for its owner's day.
    pub(crate) async fn reserve(self: &Arc<Self>, errand: &Errand, want: Spend, least: Spend) -> Result<Grant, Denied> {
        let now = self.clock.now();
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        let Errand { session, owner, epoch, waived } = errand;
        let mut grant = Grant {
            purse: Arc::clone(self),
            accounts: [Account::Session(session.clone()), Account::Day(owner.clone(), Day::of(now))],
            key: format!("{session}/{epoch}/{nth}"),
            granted: want,
            cost: Spend::default(),
            started: Instant::now(),
            is_open: true,
        };
        for (of, limits) in [(BudgetOf::Session, &self.config.session), (BudgetOf::Day, &self.config.day)] {
            let ceiling = limits.ceiling();
            if *waived || ceiling.is_open() {
                continue;
            }
            let hold = Hold {
                key: grant.key.clone(),
                want: grant.granted,
                least,
                ceiling,
                until: now.after(self.config.hold()),
            };
            // What was set aside in the account before is let go where this one refuses.
            match self.ledger.reserve(grant.account(of), &hold, now).await {
                Ok(Reserved::Held(granted)) => grant.granted = granted,
                Ok(Reserved::Refused(measure, balance)) => {
                    let limit = ceiling.of(measure).unwrap_or_default();
                    let over = OverBudget { of, measure, taken: balance.taken().of(measure), limit };
                    grant.give_back(of).await;
                    return Err(Denied::Over(over));
                }
                Err(error) => {
                    grant.give_back(of).await;
                    return Err(Denied::Unknown(store_failure(&error)));
                }
            }
        }
        Ok(grant)
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

    async fn settle(&self, accounts: &[Account], key: &str, used: Spend) {
        if let Err(error) = self.ledger.settle(accounts, key, used, self.clock.now()).await {
            // Its hold lapses, and what it cost is not counted.
            tracing::warn!(%error, "what work cost could not be counted");
        }
    }
}

/// Work that may be done. It is counted when it is settled, or by what is known of its cost when it is dropped.
pub(crate) struct Grant {
    purse: Arc<Purse>,
    accounts: [Account; 2],
    key: String,
    granted: Spend,
    cost: Spend,
    started: Instant,
    is_open: bool,
}

impl Grant {
    /// How much of what was wanted it may cost.
    pub(crate) fn granted(&self) -> Spend {
        self.granted
    }

    /// It has cost so much more, as far as one can tell.
    pub(crate) fn costs(&mut self, more: Spend) {
        self.cost = self.cost.plus(more);
    }

    /// What it has cost, as far as one can tell, but for the time.
    pub(crate) fn cost(&self) -> Spend {
        self.cost
    }

    /// It is done, and has cost this; the time is added.
    pub(crate) async fn settle(mut self, used: Spend) {
        self.is_open = false;
        self.purse.settle(&self.accounts, &self.key, self.with_time(used)).await;
    }

    /// It is not done: what was set aside for it is given back.
    pub(crate) async fn give_up(mut self) {
        self.is_open = false;
        self.purse.settle(&self.accounts, &self.key, Spend::default()).await;
    }

    fn account(&self, of: BudgetOf) -> &Account {
        let [session, day] = &self.accounts;
        match of {
            BudgetOf::Session => session,
            BudgetOf::Day => day,
        }
    }

    /// Lets go of what was set aside before the budget that did not suffice.
    async fn give_back(mut self, refused: BudgetOf) {
        self.is_open = false;
        let holds_session = refused == BudgetOf::Day && !self.purse.config.session.ceiling().is_open();
        if holds_session {
            let of_session = std::slice::from_ref(self.account(BudgetOf::Session));
            self.purse.settle(of_session, &self.key, Spend::default()).await;
        }
    }

    fn with_time(&self, used: Spend) -> Spend {
        let wall_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        used.plus(Spend { wall_ms, ..Spend::default() })
    }
}

impl Drop for Grant {
    /// The work was broken off: what it cost until then is counted aside.
    fn drop(&mut self) {
        if !self.is_open || Handle::try_current().is_err() {
            return;
        }
        // What was never begun has taken no time either.
        let used = if self.cost == Spend::default() { self.cost } else { self.with_time(self.cost) };
        let (purse, accounts, key) = (Arc::clone(&self.purse), self.accounts.clone(), std::mem::take(&mut self.key));
        self.purse.tasks.spawn(async move { purse.settle(&accounts, &key, used).await });
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
