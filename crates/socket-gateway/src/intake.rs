//! Events of a connection, taken in the order in which they came.
//!
//! The library runs each handler in a task of its own, which reorders them and bounds nothing. An extractor, however, runs in
//! the reader's task: [`Intake`] puts each event into the connection's bounded queue there, and the handlers do nothing.

use crate::{
    Config,
    peer::refuse_now,
    rates::{EventRates, Rate, TooMuch},
    shown::Shown,
    wire::{Command, Protocol, answered_call, event_name},
};
use lockkeeper_domain::{Code, Failure, PrincipalId};
use lockkeeper_ports::Clock;
use socketioxide::{adapter::LocalAdapter, handler::FromMessageParts, socket::Socket};
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// An event that was taken and waits to be handled.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Its arguments, as JSON: `["name", ..]`.
    pub(crate) arguments: Box<str>,
    /// The id of the acknowledgement that the client wants.
    pub(crate) ack: Option<i64>,
    /// Its share of the bytes that may wait.
    _room: OwnedSemaphorePermit,
}

/// How many first answers fit into a queue that is full for other events.
const RESERVED: usize = 256;

/// Which limits an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The first answer to a question that the client was shown.
    FirstAnswer,
    /// Another answer, or a cancel.
    Answer,
    /// Anything else.
    Event,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It waits in the queue.
    Taken,
    /// There is no room for it.
    Refused(Failure),
    /// Nobody will handle it: the connection is about to end.
    Dropped,
}

/// The reader's end of a connection.
pub(crate) struct Inbox {
    /// The connection is closed.
    pub(crate) gone: CancellationToken,
    /// The client sends far more than it may: the connection must end.
    pub(crate) flooded: CancellationToken,
    /// The form in which the client gets events.
    pub(crate) protocol: Protocol,
    /// The questions that the client was shown.
    pub(crate) shown: Arc<Shown>,
    queue: mpsc::Sender<Taken>,
    room: Arc<Semaphore>,
    events: Rate,
    answers: Rate,
    refusals: Rate,
    shared: Arc<EventRates>,
    address: IpAddr,
    principal: OnceLock<PrincipalId>,
    /// The other end, until the connection's task takes it.
    receiver: Mutex<Option<mpsc::Receiver<Taken>>>,
    clock: Arc<dyn Clock>,
}

impl Inbox {
    /// An empty one of a connection from `address`, which shares the rates with others; `gone` says when it is over.
    pub(crate) fn new(
        config: &Config,
        shared: Arc<EventRates>,
        address: IpAddr,
        clock: Arc<dyn Clock>,
        gone: CancellationToken,
        protocol: Protocol,
    ) -> Arc<Self> {
        let (queue, receiver) = mpsc::channel(config.max_waiting_events + RESERVED);
        Arc::new(Self {
            gone,
            flooded: CancellationToken::new(),
            protocol,
            shown: Arc::default(),
            queue,
            room: Arc::new(Semaphore::new(config.max_waiting_bytes)),
            events: Rate::new(config.event_burst, config.events_per_sec),
            answers: Rate::new(config.answer_burst, config.answers_per_sec),
            refusals: Rate::new(config.flood_refusals, config.events_per_sec),
            shared,
            address,
            principal: OnceLock::new(),
            receiver: Mutex::new(Some(receiver)),
            clock,
        })
    }

    /// The other end of the queue; the first to ask gets it.
    pub(crate) fn receiver(&self) -> Option<mpsc::Receiver<Taken>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// It is known now whose the connection is.
    pub(crate) fn belongs_to(&self, principal: &PrincipalId) {
        // A connection has one handshake; a second principal would be a defect, and the first one counts.
        let _ = self.principal.set(principal.clone());
    }

    /// Whether nothing waits to be handled.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.capacity() == self.queue.max_capacity()
    }

    /// Takes an event, or says why not. Never waits.
    pub(crate) fn take(&self, arguments: &str, ack: Option<i64>) -> Admission {
        if self.flooded.is_cancelled() || self.gone.is_cancelled() {
            return Admission::Dropped;
        }
        let kind = self.kind(arguments);
        if let Err((code, message)) = self.allowed(kind) {
            return self.refuse(code, message);
        }
        let Ok(size) = u32::try_from(arguments.len()) else {
            return self.refuse(Code::TooLarge, "The event is too large.");
        };
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(size) else {
            return self.refuse(Code::Busy, "Too much waits to be handled already.");
        };
        if kind != Kind::FirstAnswer && self.queue.capacity() <= RESERVED {
            return self.refuse(Code::Busy, "Too many events wait to be handled already.");
        }
        match self.queue.try_send(Taken { arguments: arguments.into(), ack, _room: room }) {
            Ok(()) => Admission::Taken,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.refuse(Code::Busy, "Too many events wait to be handled already.")
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Admission::Dropped,
        }
    }

    /// Refuses an event with binary parts: no event of the contract has one. It draws from the limits like any other.
    fn take_binary(&self) -> Admission {
        if self.flooded.is_cancelled() || self.gone.is_cancelled() {
            return Admission::Dropped;
        }
        if let Err((code, message)) = self.allowed(Kind::Event) {
            return self.refuse(code, message);
        }
        let message = "An event has no binary parts: nothing of it was done.";
        let hint = "Send text, and images as base64: { text, attachments: [{ mimeType, data }] }.";
        Admission::Refused(Failure::new(Code::InvalidPayload, message).with_hint(hint))
    }

    /// What an event counts as. A client may answer each question that it was shown once, whatever else it sends: a
    /// refused answer leaves a turn waiting.
    fn kind(&self, arguments: &str) -> Kind {
        match event_name(arguments).as_deref().and_then(Command::named) {
            Some(Command::ToolApproval) => match answered_call(arguments) {
                Some(call) if self.shown.first_answer(&call) => Kind::FirstAnswer,
                _ => Kind::Answer,
            },
            Some(Command::BudgetAnswer | Command::TurnCancel) => Kind::Answer,
            _ => Kind::Event,
        }
    }

    /// Draws from the limits of the kind.
    fn allowed(&self, kind: Kind) -> Result<(), TooMuch> {
        match kind {
            Kind::FirstAnswer => Ok(()),
            Kind::Answer if self.answers.take() => Ok(()),
            Kind::Answer => Err((Code::RateLimited, "Too many answers; wait a moment.")),
            Kind::Event if self.events.take() => self.shared.take(self.address, self.principal.get()),
            Kind::Event => Err((Code::RateLimited, "Too many events; wait a moment.")),
        }
    }

    fn refuse(&self, code: Code, message: &str) -> Admission {
        if self.refusals.take() {
            return Admission::Refused(Failure::new(code, message));
        }
        self.flooded.cancel();
        Admission::Dropped
    }
}

/// Takes each event as it is read. Handlers that have it as an argument have nothing left to do.
pub(crate) struct Intake;

impl FromMessageParts<LocalAdapter> for Intake {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket<LocalAdapter>>,
        value: &mut socketioxide_core::Value,
        ack: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let Some(inbox) = socket.extensions.get::<Arc<Inbox>>() else { return Ok(Self) };
        let admission = match value {
            socketioxide_core::Value::Str(_, Some(_)) | socketioxide_core::Value::Bytes(_) => inbox.take_binary(),
            socketioxide_core::Value::Str(text, None) => inbox.take(text.as_str(), *ack),
        };
        if let Admission::Refused(failure) = admission
            && !refuse_now(socket, inbox.protocol, *ack, failure, &*inbox.clock)
            && socket.connected()
        {
            // A client that sends too much and reads nothing cannot even be told.
            inbox.flooded.cancel();
        }
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_testkit::clock::TokioClock;
    use std::time::Duration;

    fn inbox(config: &Config) -> Arc<Inbox> {
        let (rates, clock) = (Arc::new(EventRates::new(config)), Arc::new(TokioClock::start()));
        let (address, gone) = (IpAddr::from([192, 0, 2, 1]), CancellationToken::new());
        Inbox::new(config, rates, address, clock, gone, Protocol::Basic)
    }

    fn code(admission: &Admission) -> Option<Code> {
        match admission {
            Admission::Refused(failure) => Some(failure.code),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_beyond_the_rate_are_refused_and_a_flood_ends_the_connection() {
        let inbox = inbox(&Config::default());
        let admissions: Vec<_> = (0..20_000).map(|n| inbox.take(&format!("[\"e\",{n}]"), None)).collect();
        let taken = admissions.iter().filter(|a| **a == Admission::Taken).count();
        let refused = admissions.iter().filter(|a| code(a) == Some(Code::RateLimited)).count();
        assert_eq!((taken, refused), (20, 200));
        assert!(inbox.flooded.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_to_the_rate_is_never_refused() {
        let inbox = inbox(&Config::default());
        let mut receiver = inbox.receiver().expect("the first to ask");
        for _ in 0..1_000 {
            assert_eq!(inbox.take("[\"e\"]", None), Admission::Taken);
            receiver.try_recv().expect("taken");
            tokio::time::advance(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_and_keeps_the_order_of_what_it_holds() {
        let config = Config { max_waiting_events: 3, event_burst: 100, ..Config::default() };
        let inbox = inbox(&config);
        let mut receiver = inbox.receiver().expect("the first to ask");
        let admissions: Vec<_> = (0..5).map(|n| inbox.take(&format!("[{n}]"), Some(n))).collect();
        assert_eq!(admissions.iter().filter_map(code).collect::<Vec<_>>(), [Code::Busy, Code::Busy]);
        let held: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).map(|t| t.ack).collect();
        assert_eq!(held, [Some(0), Some(1), Some(2)]);
        assert_eq!(inbox.take("[5]", None), Admission::Taken);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_wait_are_bounded_and_come_free_again() {
        let config = Config { max_waiting_bytes: 1_000, event_burst: 100, ..Config::default() };
        let inbox = inbox(&config);
        let mut receiver = inbox.receiver().expect("the first to ask");
        let large = "x".repeat(600);
        assert_eq!(inbox.take(&large, None), Admission::Taken);
        assert_eq!(code(&inbox.take(&large, None)), Some(Code::Busy));
        drop(receiver.recv().await);
        assert_eq!(inbox.take(&large, None), Admission::Taken);
    }

    #[tokio::test]
    async fn nothing_is_taken_once_the_connection_is_gone() {
        let inbox = inbox(&Config::default());
        inbox.gone.cancel();
        assert_eq!(inbox.take("[\"e\"]", None), Admission::Dropped);
    }
}
