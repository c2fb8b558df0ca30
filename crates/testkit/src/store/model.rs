//! A store and a model of it over maps answer the same operations in the same way. Each store is compared with the same model,
//! so the stores agree with each other.

mod ops;
mod reference;

use super::material::Store;
use futures::future::BoxFuture;

use lockkeeper_domain::{
    Epoch, Event, EventBody, EventId, Message, NoticeKind, PrincipalId, SandboxRef, Seq, SessionId, SessionRecord,
    SessionState, Timestamp, TurnId, UserMessage,
};
use lockkeeper_ports::{Commit, HistoryChange, RecordChange, StoreError};
use ops::{Op, SESSIONS, Step, Told};
pub use ops::{Ops, ops};
use reference::Reference;
use std::{fmt::Debug, time::Duration};

const TTL: Duration = Duration::from_millis(5);

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn session(number: usize) -> SessionId {
    SessionId::parse(["a", "a0", "b"][number]).unwrap()
}

fn owner(number: usize) -> PrincipalId {
    PrincipalId::parse(["ada", "ada lovelace"][number]).unwrap()
}

/// Opens a store again, of which it gets the only reference, and returns whether that ends its leases.
pub type Reopen = Box<dyn FnMut(Store) -> BoxFuture<'static, (Store, bool)> + Send + Sync>;

/// What both were asked, so that it can be asked again.
struct Run {
    reopen: Reopen,
    store: Option<Store>,
    reference: Reference,
    /// All epochs that were given, last first, by session.
    epochs: [Vec<Epoch>; SESSIONS],
    commits: Vec<(SessionId, Commit)>,
    said: usize,
}

/// An answer, in a form that can be compared.
#[expect(clippy::needless_pass_by_value, reason = "it takes what a call returns")]
fn answer<T: Debug>(result: Result<T, StoreError>) -> String {
    format!("{result:?}")
}

impl Run {
    fn epoch(&self, session: usize, back: usize) -> Epoch {
        self.epochs[session].iter().rev().nth(back).copied().unwrap_or_default()
    }

    fn commit(&mut self, session: usize, epoch: Epoch, step: &Step) -> Commit {
        let last = self.reference.last(&self::session(session)).seq.get();
        let after = last.saturating_add_signed(step.off);
        let event = |seq| Event {
            id: EventId { epoch, seq: Seq::new(seq) },
            turn: None,
            at: time(1),
            body: EventBody::Notice { kind: NoticeKind::TurnResumed, text: format!("event {seq}") },
            link: None,
            request: None,
        };
        let mut message = || {
            self.said += 1;
            let text = format!("message {}", self.said);
            let message = UserMessage { text, attachments: Vec::new(), client_message_id: None, by: owner(0) };
            Message::User { turn: TurnId::new(1), at: time(1), message }
        };
        let history = step.history.map(|told| match told {
            Told::Slide(append, drop_front) => {
                HistoryChange::Slide { append: (0..append).map(|_| message()).collect(), drop_front }
            }
            Told::Clear => HistoryChange::Clear,
        });
        let sandbox = |has: bool| has.then(|| SandboxRef { id: "s".to_owned(), started_at: time(0) });
        let record = RecordChange {
            last_active_at: step.active.map(time),
            sandbox: step.sandbox.map(sandbox),
            checkpoint: step.checkpoint.map(|seq| (SessionState::default(), Seq::new(seq.min(after + step.events)))),
            busy: step.busy,
            ..RecordChange::default()
        };
        let events = (after + 1..=after + step.events).map(event).collect();
        Commit { epoch, after: Seq::new(after), events, history, record }
    }

    /// Asks both, and says what each answered.
    async fn ask(&mut self, op: &Op) -> (String, String) {
        let store = self.store.as_ref().expect("the store is open between two questions");
        match op {
            Op::Create { session, owner, at } => {
                let record = SessionRecord::opened(self::session(*session), self::owner(*owner), None, time(*at));
                (answer(store.create(&record).await), answer(self.reference.create(&record)))
            }
            Op::Touch { session, at } => {
                let id = self::session(*session);
                (answer(store.touch(&id, time(*at)).await), answer(self.reference.touch(&id, time(*at))))
            }
            Op::Claim { session, holder, at } => {
                let (id, holder) = (self::session(*session), ["x", "y"][*holder]);
                let claimed = store.claim(&id, holder, time(*at), TTL).await;
                // Which number an epoch has is the store's business, but for its order.
                let epoch = claimed.as_ref().map(|claim| claim.lease.epoch).unwrap_or_default();
                let expected = self.reference.claim(&id, holder, time(*at), TTL, epoch);
                if claimed.is_ok() {
                    assert!(epoch > self.epoch(*session, 0), "epochs rise");
                    self.epochs[*session].push(epoch);
                }
                (answer(claimed), answer(expected))
            }
            Op::Renew { session, epoch, at } => {
                let (id, epoch) = (self::session(*session), self.epoch(*session, *epoch));
                let expected = self.reference.renew(&id, epoch, time(*at), TTL);
                (answer(store.renew(&id, epoch, time(*at), TTL).await), answer(expected))
            }
            Op::Release { session, epoch } => {
                let (id, epoch) = (self::session(*session), self.epoch(*session, *epoch));
                self.reference.release(&id, epoch);
                (answer(store.release(&id, epoch).await), answer(Ok(())))
            }
            Op::Delete { session, at } => {
                let id = self::session(*session);
                (answer(store.delete(&id, time(*at)).await), answer(self.reference.delete(&id, time(*at))))
            }
            Op::Trim { session, epoch, through } => {
                let (id, epoch, through) = (self::session(*session), self.epoch(*session, *epoch), Seq::new(*through));
                (answer(store.trim(&id, epoch, through).await), answer(self.reference.trim(&id, epoch, through)))
            }
            Op::Commit { session, epoch, step } => {
                let epoch = self.epoch(*session, *epoch);
                let commit = self.commit(*session, epoch, step);
                self.commits.push((self::session(*session), commit));
                self.send(self.commits.len() - 1).await
            }
            Op::Again { commit } => match self.commits.len().checked_sub(commit + 1) {
                Some(nth) => self.send(nth).await,
                None => <_>::default(),
            },
            Op::Reopen => {
                let store = self.store.take().expect("the store is open between two questions");
                let (store, voids_leases) = (self.reopen)(store).await;
                self.store = Some(store);
                if voids_leases {
                    self.reference.void_leases();
                }
                <_>::default()
            }
        }
    }

    async fn send(&mut self, nth: usize) -> (String, String) {
        let (id, commit) = &self.commits[nth];
        let store = self.store.as_ref().expect("the store is open between two questions");
        (answer(store.commit(id, commit).await), answer(self.reference.commit(id, commit)))
    }

    /// That both hold the same, whichever way one looks at it.
    async fn compare(&self) {
        let (store, reference) = (self.store.as_ref().unwrap(), &self.reference);
        for id in (0..SESSIONS).map(session) {
            assert_eq!(store.get(&id).await.unwrap(), reference.get(&id));
            assert_eq!(store.history(&id).await.unwrap(), reference.history(&id));
            assert_eq!(store.last(&id).await.unwrap(), reference.last(&id));
            for (after, limit) in [(0, 100), (2, 2), (5, 100)] {
                let read = store.read(&id, Seq::new(after), limit).await;
                assert_eq!(answer(read), answer(reference.read(&id, Seq::new(after), limit)));
            }
        }
        for now in [0, 7, 20, 100].map(time) {
            let mut abandoned = store.abandoned(now, 10).await.unwrap();
            abandoned.sort();
            assert_eq!(abandoned, reference.abandoned(now));
            let expired = store.expired(now, 10).await.unwrap();
            assert!(expired.is_sorted_by_key(|id| reference.get(id).unwrap().last_active_at));
            assert_eq!(
                {
                    let mut ids = expired;
                    ids.sort();
                    ids
                },
                reference.expired(now)
            );
        }
        for number in 0..2 {
            let owned = store.owned_by(&owner(number), 10).await.unwrap();
            assert!(owned.is_sorted_by_key(|record| std::cmp::Reverse(record.last_active_at)));
            let mut ids: Vec<SessionId> = owned.into_iter().map(|record| record.id).collect();
            ids.sort();
            assert_eq!(ids, reference.owned_by(&owner(number)));
        }
    }
}

/// Compares an empty store with the model after each of the operations.
pub async fn check(store: Store, reopen: Reopen, ops: &Ops) {
    let mut run = Run {
        reopen,
        store: Some(store),
        reference: Reference::default(),
        epochs: Default::default(),
        commits: Vec::new(),
        said: 0,
    };
    for op in &ops.0 {
        let (told, expected) = run.ask(op).await;
        assert_eq!(told, expected, "{op:?}");
        run.compare().await;
    }
}
