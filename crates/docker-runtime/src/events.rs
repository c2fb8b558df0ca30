//! The engine's events: who was killed for memory, what ended. And the reverse: the word to each container that its server
//! still lives.

use crate::{
    engine::Fault,
    exec::out_of_memory,
    names::{Named, OWNER, USER},
    profile::{no_binary, old_binary},
    sandboxes::Sandbox,
    shared::Shared,
};
use bollard::{
    models::EventMessage,
    query_parameters::{EventsOptions, KillContainerOptions, ListContainersOptions},
};
use futures::{StreamExt, stream};
use lockkeeper_domain::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// Between two attempts to reach an engine that is gone, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The engine's answer has no body before the first event: so long is enough for the request to have reached it. What
/// happens before it has, it tells afterwards, as it is asked for all since the last event.
const SETTLED: Duration = Duration::from_millis(50);
/// How many containers are looked at, or written to, at once.
const AT_ONCE: usize = 8;
/// A signal that nothing but the holder takes for anything.
const KEEP_ALIVE: &str = "SIGURG";

/// Between two keep-alives, at most.
const KEEP_ALIVE_SECS: u64 = 40;

/// Follows the events for as long as the runtime lives. When they break off the engine may have been replaced, and each
/// container is looked at.
pub(crate) async fn watch(shared: Arc<Shared>, listening: oneshot::Sender<()>) {
    let mut listening = Some(listening);
    let mut since: Option<i64> = None;
    let mut seen = Seen::default();
    let mut pause = PAUSES.0;
    loop {
        let options = EventsOptions {
            since: since.map(|seconds| seconds.to_string()),
            until: None,
            filters: Some(filters(&shared)),
        };
        let docker = shared.engine.docker();
        let mut events = pin!(docker.events(Some(options)));
        let mut next = timeout(SETTLED, events.next()).await.ok();
        // The first listener waits for this; later on, something may have happened meanwhile.
        match listening.take() {
            Some(listening) => drop(listening.send(())),
            None => reconcile(&shared).await,
        }
        loop {
            let event = match next.take() {
                Some(event) => event,
                None => events.next().await,
            };
            let Some(Ok(event)) = event else { break };
            since = event.time.or(since);
            pause = PAUSES.0;
            if seen.is_new(&event) {
                note(&shared, &event);
            }
        }
        tracing::warn!("the Docker engine's events have broken off");
        sleep(pause).await;
        while let Err(fault) = shared.engine.reconnect().await {
            tracing::debug!(%fault, "the Docker engine is not back yet");
            pause = (pause * 2).min(PAUSES.1);
            sleep(pause).await;
        }
    }
}

/// Tells each container now and then that its server lives; without it, they end.
pub(crate) async fn keep_alive(shared: Arc<Shared>) {
    let period = Duration::from_secs(shared.config.idle_secs) / 3;
    let mut ticks = interval(period.min(Duration::from_secs(KEEP_ALIVE_SECS)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let availability = shared.engine.availability();
    loop {
        let is_due = async {
            availability.away().await;
            availability.back().await;
        };
        tokio::select! {
            biased;
            // None was kept alive meanwhile.
            () = is_due => reconcile(&shared).await,
            _ = ticks.tick(), if !availability.is_away() => {}
        }
        let alive = shared.sandboxes.all().into_iter().filter(|sandbox| sandbox.ended().is_none());
        stream::iter(alive).for_each_concurrent(AT_ONCE, |sandbox| keep_one_alive(&shared, sandbox)).await;
        remove_unstarted(&shared).await;
    }
}

async fn keep_one_alive(shared: &Arc<Shared>, sandbox: Arc<Sandbox>) {
    let options = KillContainerOptions { signal: KEEP_ALIVE.into() };
    let container = sandbox.container.as_str();
    match shared.engine.call(async |docker| docker.kill_container(container, Some(options)).await).await {
        Ok(()) => {}
        Err(Fault::NotFound(_)) => shared.condemn(&sandbox, "the container was removed"),
        Err(Fault::Conflict(_)) => shared.condemn(&sandbox, "the container does not run"),
        Err(fault) => tracing::warn!(container.id = container, %fault, "a sandbox could not be kept alive"),
    }
}

/// Removes containers that wait for a session and never ran: their server died before it started them, so they do not
/// end by themselves.
async fn remove_unstarted(shared: &Arc<Shared>) {
    let owner = format!("{OWNER}={}", shared.names.deployment());
    let filters = HashMap::from([("label".into(), vec![owner]), ("status".into(), vec!["created".into()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let found = shared.engine.call(async |docker| docker.list_containers(Some(options)).await).await;
    // No start takes this long.
    let old = shared.clock.now().before(shared.config.start_timeout() * 2 + Duration::from_mins(1));
    for one in found.unwrap_or_default() {
        let created = one.created.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)));
        let names = one.names.unwrap_or_default();
        let is_reserved = names.iter().any(|name| shared.names.parse(name) == Some(Named::Reserved));
        if let Some(container) = one.id.filter(|_| is_reserved && created.is_some_and(|created| created < old)) {
            tracing::info!(container.id = container, "a container that never ran is removed");
            shared.remove_later(container);
        }
    }
}

/// By the names of Docker and of Podman.
fn filters(shared: &Shared) -> HashMap<String, Vec<String>> {
    let filter = |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(ToString::to_string).collect());
    HashMap::from([
        filter("type", &["container"]),
        filter("event", &["oom", "die", "died", "destroy", "remove", "exec_die", "exec_died"]),
        filter("label", &[&format!("{OWNER}={}", shared.names.deployment())]),
    ])
}

/// The events of the second that was heard of last. An engine that is asked for all since then tells them again.
#[derive(Debug, Default)]
struct Seen {
    second: Option<i64>,
    events: HashSet<(Option<i64>, Option<String>, Option<String>)>,
}

impl Seen {
    fn is_new(&mut self, event: &EventMessage) -> bool {
        if event.time != self.second {
            *self = Self { second: event.time, events: HashSet::new() };
        }
        let actor = event.actor.as_ref().and_then(|actor| actor.id.clone());
        event.time_nano.is_none() || self.events.insert((event.time_nano, event.action.clone(), actor))
    }
}

fn note(shared: &Arc<Shared>, event: &EventMessage) {
    let Some((actor, action)) = event.actor.as_ref().zip(event.action.as_deref()) else { return };
    let container = actor.id.as_deref().unwrap_or_default();
    let attribute = |name: &str| actor.attributes.as_ref().and_then(|attributes| attributes.get(name));
    let Some(sandbox) = shared.sandboxes.by_container(container) else {
        if matches!(action, "destroy" | "remove")
            && let Some(user) = attribute(USER).and_then(|user| user.parse().ok())
        {
            shared.sandboxes.free_foreign_users(user);
        }
        return;
    };
    match action {
        "oom" => sandbox.ran_out_of_memory(),
        "exec_die" | "exec_died" => {
            if let Some(exec) = attribute("execID") {
                sandbox.exec_ended(exec);
            }
        }
        "die" | "died" => {
            let code =
                attribute("exitCode").or_else(|| attribute("containerExitCode")).map_or("unknown", String::as_str);
            let reason = match code {
                "137" if sandbox.health().borrow().out_of_memory > 0 => out_of_memory(shared.config.memory_bytes),
                // The init's words for a program that it cannot run.
                "126" | "127" => {
                    sandbox.is_unfit();
                    no_binary(&shared.config.image)
                }
                // The main process's own word for arguments that it does not know.
                "2" => {
                    sandbox.is_unfit();
                    old_binary(&shared.config.image)
                }
                _ => format!("the container ended with exit status {code}"),
            };
            shared.condemn(&sandbox, &reason);
        }
        "destroy" | "remove" => {
            shared.condemn(&sandbox, "the container was removed");
            shared.sandboxes.forget(container);
        }
        _ => {}
    }
}

/// Looks at each container whose events may have been missed. A process that the engine does not know any more may run on
/// unseen, which happens when the engine was restarted: then its container is given up.
async fn reconcile(shared: &Arc<Shared>) {
    let all = shared.sandboxes.all().into_iter().filter(|sandbox| sandbox.ended().is_none());
    stream::iter(all)
        .for_each_concurrent(AT_ONCE, async |sandbox| {
            if let Some(reason) = amiss(shared, &sandbox).await {
                shared.condemn(&sandbox, reason);
            }
        })
        .await;
}

async fn amiss(shared: &Shared, sandbox: &Sandbox) -> Option<&'static str> {
    let container = sandbox.container.as_str();
    let engine = &shared.engine;
    match engine.call(async |docker| docker.inspect_container(container, None).await).await {
        Err(Fault::NotFound(_)) => return Some("the container was removed"),
        // What cannot be told now is found out when it is used.
        Err(_) => return None,
        Ok(found) if found.state.as_ref().and_then(|state| state.running) != Some(true) => {
            return Some("the container ended while the engine was away");
        }
        Ok(_) => {}
    }
    for exec in sandbox.running_execs() {
        let found = engine.call(async |docker| docker.inspect_exec(&exec).await).await;
        match found {
            Err(Fault::NotFound(_)) => return Some("the engine was restarted"),
            Ok(found) if found.running == Some(false) => sandbox.exec_ended(&exec),
            _ => {}
        }
    }
    None
}
