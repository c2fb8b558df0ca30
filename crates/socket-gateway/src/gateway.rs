use crate::{
    Config,
    connection::{Connection, Shared},
    crowds::Crowds,
    http::{Doorman, GatewayService, SocketService},
    intake::{Inbox, Intake},
    peer::{Peer, Raw},
    places::{Connections, Place},
    rates::EventRates,
    tally::{Refusals, Tally},
    transports::Transports,
    wire::Protocol,
};
use http::{HeaderMap, Uri};
use lockkeeper_domain::{Code, Failure};
use lockkeeper_orchestrator::SessionManager;
use lockkeeper_ports::{Authenticator, Clock};
use serde_json::Value;
use socketioxide::{ParserConfig, SocketIo, extract::TryData, handler::ConnectHandler};
use std::{
    future::ready,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The Socket.IO interface, once it runs.
pub struct Gateway {
    io: SocketIo,
    doorman: Arc<Doorman>,
    connections: Connections,
    refusals: Refusals,
    crowds: Crowds,
    rechecks: watch::Sender<u64>,
    tasks: TaskTracker,
    closed: CancellationToken,
}

/// How a [`Gateway::close`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// How many connections were still there when the time was over.
    pub left: usize,
}

impl Gateway {
    /// The interface to the sessions of `manager`, and the service to mount at `/socket.io/`.
    ///
    /// `config` has no problems. `clock` dates the events that are not logged.
    pub fn new(
        config: Config,
        manager: Arc<SessionManager>,
        authenticator: Arc<dyn Authenticator>,
        clock: Arc<dyn Clock>,
    ) -> (Self, GatewayService) {
        let connections = Connections::new(config.clone());
        let doorman = Arc::new(Doorman::new(&config, connections.clone()));
        let (service, io) = engine(&config);
        let transports = Transports::new(service.clone(), &config);
        let (tasks, closed, config) = (TaskTracker::new(), CancellationToken::new(), Arc::new(config));
        let shared = Shared {
            config,
            manager,
            authenticator,
            clock,
            connections: connections.clone(),
            refusals: Refusals::default(),
            transports: Arc::clone(&transports),
            crowds: Crowds::default(),
            rechecks: watch::Sender::new(0),
            tasks: tasks.clone(),
            closed: closed.clone(),
        };
        let (refusals, crowds) = (shared.refusals.clone(), shared.crowds.clone());
        let rechecks = shared.rechecks.clone();
        serve(&io, Arc::new(shared));
        let service = SocketService::new(service, Arc::clone(&doorman), Some(transports));
        (Self { io, doorman, connections, refusals, crowds, rechecks, tasks, closed }, service)
    }

    /// Says of a request, by its headers, its address and its peer, whether the web page that sends it may; if not, why. The
    /// same holds for connections.
    pub fn page_check(
        &self,
    ) -> impl Fn(&HeaderMap, &Uri, Option<IpAddr>) -> Result<(), &'static str> + Send + Sync + 'static {
        let doorman = Arc::clone(&self.doorman);
        move |headers, uri, _client| doorman.check_page(headers, uri)
    }

    /// Returns what operators should know about the clients, each time it is called.
    pub fn warnings(&self) -> impl Fn() -> Vec<Failure> + Send + Sync + 'static {
        let crowds = self.crowds.clone();
        move || crowds.warnings().into_iter().map(|text| Failure::new(Code::RateLimited, text)).collect()
    }

    /// Returns what makes every connection authenticate again with what its client sent, as is needed whenever the
    /// authenticator's answers may have changed. From its return on nothing is sent on the strength of an older answer.
    /// Connections whose token is not accepted any more end.
    pub fn recheck(&self) -> impl Fn() + Send + Sync + 'static {
        let rechecks = self.rechecks.clone();
        move || rechecks.send_modify(|count| *count += 1)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.open().0
    }

    /// What there is and what was refused, for those who watch.
    pub fn tally(&self) -> Tally {
        Tally::new(self.connections.clone(), self.refusals.clone())
    }

    /// How many tasks serve them.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Lets nobody in any more, tells every client that the server goes, and waits for their connections to end, at most for
    /// `within`. Clients come again by themselves, to whoever listens then.
    pub async fn close(&self, within: Duration) -> Closed {
        let deadline = Instant::now() + within;
        self.doorman.close();
        self.tasks.close();
        // A client that stopped reading would hold this for ever; the others have long been told by the half of the time.
        let told = timeout(within / 2, self.io.close()).await.is_ok();
        // The library forgets its namespaces first, and so calls no disconnect handler when it closes.
        self.closed.cancel();
        let ended = timeout_at(deadline, self.tasks.wait()).await.is_ok();
        let left = self.tasks.len();
        if !told || !ended {
            tracing::warn!(left, "not all connections ended in time");
        }
        Closed { left }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

fn engine(
    config: &Config,
) -> (socketioxide::service::SocketIoService<engineioxide::service::NotFoundService>, SocketIo) {
    // Half a kilobyte to read into is enough for what clients send, and each connection has one.
    const READ_BUFFER: usize = 512;
    const MAX_BINARIES: usize = 256;
    SocketIo::builder()
        // Both transports take the same.
        .max_payload(config.max_payload_bytes as u64)
        .ws_max_message_size(config.max_payload_bytes)
        .ws_max_frame_size(config.max_payload_bytes)
        .ws_read_buffer_size(READ_BUFFER)
        .max_buffer_size(config.max_buffered_packets)
        .connect_timeout(config.connect_timeout())
        .ping_interval(Duration::from_secs(config.ping_interval_secs))
        .ping_timeout(Duration::from_secs(config.ping_timeout_secs))
        // No event of the contract has a binary part. The library would close the connection of a client that sends one;
        // what it reads whole can be refused with an answer.
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(MAX_BINARIES)
                .max_incoming_binary_buf_size(config.max_waiting_bytes),
        )
        .build_svc()
}

/// The client was disconnected, and tries again over the same connection.
#[derive(Debug, thiserror::Error)]
#[error("A connection has one handshake; connect again.")]
struct GreetedBefore;

fn serve(io: &SocketIo, shared: Arc<Shared>) {
    let prepared = Arc::clone(&shared);
    let rates = Arc::new(EventRates::new(&shared.config));
    // Handlers are there before the client is told that it is connected, so that its first events find them.
    let prepare = move |Raw(socket): Raw, TryData(auth): TryData<Value>| {
        if socket.req_parts().extensions.get::<Arc<Place>>().is_some_and(|place| !place.greets_first()) {
            return ready(Err(GreetedBefore));
        }
        let gone = prepared.closed.child_token();
        let address = socket.req_parts().extensions.get::<SocketAddr>().map(SocketAddr::ip);
        let inbox = Inbox::new(
            &prepared.config,
            Arc::clone(&rates),
            address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Arc::clone(&prepared.clock),
            gone.clone(),
            // What is no version is refused with the rest of the handshake.
            auth.ok().as_ref().and_then(Protocol::asked).unwrap_or_default(),
        );
        socket.on_fallback(|_: Intake| ready(()));
        socket.on_disconnect(move || {
            // The library frees a socket only after this: it must not panic, and it must not wait.
            let _ = catch_unwind(AssertUnwindSafe(|| gone.cancel()));
            ready(())
        });
        socket.extensions.insert(inbox);
        ready(Ok(()))
    };
    let connect = move |Raw(socket): Raw, TryData(auth): TryData<Value>| {
        if let Some(inbox) = socket.extensions.get::<Arc<Inbox>>() {
            let peer = Peer::new(socket, inbox.protocol, Arc::clone(&shared.clock), shared.config.slow_client());
            let connection = Connection { shared: Arc::clone(&shared), peer, inbox, handling: Mutex::default() };
            shared.tasks.spawn(connection.serve(auth));
        }
        ready(())
    };
    io.ns("/", connect.with(prepare));
}
