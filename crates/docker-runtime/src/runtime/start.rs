//! From nothing to a container that runs, or back to nothing.

use super::is_running;
use crate::{
    engine::Fault,
    names, profile,
    sandboxes::{Attempt, Sandbox},
    shared::{Shared, unavailable},
};
use bollard::{
    models::ContainerStateStatusEnum,
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use lockkeeper_ports::{ProgressSink, SandboxError, SandboxId, StartProgress};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// How often a name is asked for that somebody has, or whose answer was lost.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// Whoever wants to hear how far it is.
pub(super) struct Told {
    progress: Option<ProgressSink>,
    began: Instant,
}

impl Told {
    pub(super) fn new(progress: Option<ProgressSink>) -> Self {
        Self { progress, began: Instant::now() }
    }

    fn tell(&self, stage: &str, status: &str, message: &str) {
        let Some(progress) = &self.progress else { return };
        progress(StartProgress {
            stage: stage.into(),
            status: status.into(),
            message: message.into(),
            current: None,
            total: None,
            unit: None,
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// The name belongs to somebody else.
#[derive(Debug, thiserror::Error)]
#[error("a container that is not ours is called {0}: it is left alone")]
struct Foreign(String);

/// A container that nobody waits for any more: it is removed when this is dropped.
struct Unfinished<'a> {
    shared: &'a Arc<Shared>,
    id: &'a SandboxId,
    attempt: Arc<Attempt>,
    user: u32,
    is_finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.shared.sandboxes.is_over(&self.attempt);
        if !self.is_finished {
            self.shared.sandboxes.free_users(self.user);
            self.shared.remove_attempt_later(self.id.clone(), self.attempt.clone());
        }
    }
}

/// Starts the container of this name, or fails and leaves none.
pub(super) async fn start(shared: &Arc<Shared>, id: &SandboxId, told: &Told) -> Result<(), SandboxError> {
    told.tell("creating", "running", "Creating a container");
    let _turn = shared.starts.acquire().await;
    let first = u32::try_from(super::random() >> 32).unwrap_or_default();
    let config = &shared.config;
    let users = (config.uid_base, config.uid_count);
    let user = shared.sandboxes.take_users(users, config.users_of_a_sandbox(), first);
    let user = user.ok_or_else(|| {
        unavailable("all users of uid_base and uid_count belong to sandboxes: raise uid_count, or stop sandboxes")
    })?;
    let attempt = Arc::new(Attempt { nonce: super::random_name(), container: OnceLock::new() });
    shared.sandboxes.begin(&attempt);
    let mut unfinished = Unfinished { shared, id, attempt: attempt.clone(), user, is_finished: false };
    let limit = shared.config.start_timeout();
    let started = timeout(limit, bring_up(shared, (id, &attempt), user, told)).await;
    let error = match started.unwrap_or(Err(SandboxError::StartTimeout(limit))) {
        Ok(sandbox) => {
            unfinished.is_finished = true;
            if sandbox.user != user {
                shared.sandboxes.free_users(user);
            }
            shared.sandboxes.insert(id, sandbox);
            told.tell("starting", "done", "The container runs");
            return Ok(());
        }
        Err(error) => error,
    };
    told.tell("starting", "failed", &error.to_string());
    let is_foreign = matches!(&error, SandboxError::Unavailable(cause) if cause.is::<Foreign>());
    // Where the engine may yet create what was asked for, it is looked for again later.
    let is_certain = is_foreign || attempt.container.get().is_some();
    if is_foreign || shared.remove_attempt(id, &attempt).await.is_ok() && is_certain {
        unfinished.is_finished = true;
        shared.sandboxes.free_users(user);
    }
    // What could not be removed at once is removed later.
    Err(error)
}

async fn bring_up(
    shared: &Arc<Shared>,
    (id, attempt): (&SandboxId, &Attempt),
    user: u32,
    told: &Told,
) -> Result<Arc<Sandbox>, SandboxError> {
    let sandbox = create(shared, (id, attempt), user).await?;
    if shared.sandboxes.by_container(&sandbox.container).is_none() {
        // Of this start, which removes it if it fails. There is one for each attempt.
        let _ = attempt.container.set(sandbox.container.clone());
    }
    told.tell("starting", "running", "Starting the container");
    let container = sandbox.container.as_str();
    let limit = shared.config.start_timeout();
    let started = shared
        .engine
        .call_within(limit, async |docker| docker.start_container(container, None::<StartContainerOptions>).await)
        .await;
    started.map_err(|fault| refused(shared, fault))?;
    Ok(sandbox)
}

async fn create(
    shared: &Arc<Shared>,
    (id, attempt): (&SandboxId, &Attempt),
    user: u32,
) -> Result<Arc<Sandbox>, SandboxError> {
    let mut last = None;
    for tried in 0..ATTEMPTS {
        if tried > 0 {
            sleep(BETWEEN_ATTEMPTS * tried).await;
        }
        let (config, now) = (&shared.config, shared.clock.now());
        let mut body = profile::container((config, shared.dialect), &shared.names, &shared.instance, user, now);
        body.labels.get_or_insert_default().insert(names::ATTEMPT.to_owned(), attempt.nonce.clone());
        body.image = Some(shared.image.to_string());
        let options = CreateContainerOptions { name: Some(id.to_string()), platform: String::new() };
        let created = shared.engine.call(async |docker| docker.create_container(Some(options), body).await).await;
        match created {
            Ok(created) => return Ok(Sandbox::new(created.id, user, config.servers, config.execs_at_once)),
            Err(fault @ Fault::Conflict(_)) => {
                if let Some(adopted) = settle(shared, id, attempt).await? {
                    return Ok(adopted);
                }
                last = Some(fault);
            }
            // The answer may have been lost, and the container be there: then the name is taken the next time.
            Err(fault @ Fault::Unreachable(_)) => last = Some(fault),
            Err(fault) => return Err(refused(shared, fault)),
        }
    }
    Err(last.map_or_else(|| unavailable("the container could not be created"), |fault| refused(shared, fault)))
}

/// The name is taken. By this process, which did not hear that it succeeded or was asked twice: then that is the container.
/// By an earlier one, or by what was given up: then it is removed, with whatever may still run in it. By somebody else: then
/// it is theirs.
async fn settle(shared: &Arc<Shared>, id: &SandboxId, attempt: &Attempt) -> Result<Option<Arc<Sandbox>>, SandboxError> {
    let found = shared.engine.call(async |docker| docker.inspect_container(id.as_str(), None).await).await;
    let found = match found {
        Ok(found) => found,
        // Gone, or what it says is not understood: Podman has a state of its own for one that it is about to remove.
        Err(Fault::NotFound(_) | Fault::Unreachable(_)) => return Ok(None),
        Err(fault) => return Err(unavailable(fault)),
    };
    let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
    if !shared.names.is_ours(&labels) {
        return Err(unavailable(Foreign(id.to_string())));
    }
    let container = found.id.clone().unwrap_or_default();
    let user = labels.get(names::USER).and_then(|user| user.parse().ok());
    // One whose start was given up is being removed, however well it is.
    let is_wanted =
        labels.get(names::ATTEMPT).is_some_and(|nonce| *nonce == attempt.nonce || shared.sandboxes.is_under_way(nonce));
    let status = found.state.as_ref().and_then(|state| state.status);
    if let Some(user) = user.filter(|_| labels.get(names::INSTANCE) == Some(&shared.instance)) {
        match shared.sandboxes.by_container(&container) {
            Some(known) if known.ended().is_none() && is_running(&found) => return Ok(Some(known)),
            None if status == Some(ContainerStateStatusEnum::CREATED) && is_wanted => {
                return Ok(Some(Sandbox::new(container, user, shared.config.servers, shared.config.execs_at_once)));
            }
            _ => {}
        }
    }
    shared.remove(&container).await.map_err(unavailable)?;
    shared.sandboxes.forget(&container);
    Ok(None)
}

/// What the engine refuses at a start is more often than not a matter of the image.
fn refused(shared: &Shared, fault: Fault) -> SandboxError {
    let image = &shared.config.image;
    let said = fault.message();
    if matches!(fault, Fault::NotFound(_)) && said.to_lowercase().contains("image") {
        return unavailable(format!("there is no image {image}: build it with `lockkeeper image build`"));
    }
    if said.contains(profile::WORKSPACE_BINARY) {
        return unavailable(format!("{} ({said})", profile::no_binary(image)));
    }
    unavailable(fault)
}
