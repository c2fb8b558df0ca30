//! What this process knows of its containers, which the engine's events keep true.

use lockkeeper_domain::ServerName;
use lockkeeper_ports::SandboxId;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::sync::{Semaphore, watch};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// A container that runs for us.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// The engine's own id, which stays when the name changes.
    pub(crate) container: String,
    /// The first of its users: no process runs as this one, its group is that of the workspace.
    pub(crate) user: u32,
    servers: Mutex<Vec<Option<ServerName>>>,
    /// Who may start a process now.
    pub(crate) turns: Semaphore,
    health: watch::Sender<Health>,
    execs: Mutex<HashMap<String, CancellationToken>>,
    /// Processes of which it is not known whether they run, until the engine says so.
    unsettled: TaskTracker,
}

/// How a container fares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// How often something in it was killed for the memory that it took.
    pub(crate) out_of_memory: u64,
    /// Why nothing may run in it any more.
    pub(crate) ended: Option<String>,
    /// Its main process could not be run: another container would fare no better.
    pub(crate) is_unfit: bool,
}

impl Sandbox {
    /// `servers` is how many MCP servers it has users for.
    pub(crate) fn new(container: String, user: u32, servers: u32, execs_at_once: usize) -> Arc<Self> {
        Arc::new(Self {
            container,
            user,
            servers: Mutex::new(vec![None; servers as usize]),
            turns: Semaphore::new(execs_at_once),
            health: watch::Sender::default(),
            execs: Mutex::default(),
            unsettled: closed_tracker(),
        })
    }

    /// The number of a server in this sandbox, counted from 1: it has had it before, or nobody has. `None` when all are
    /// taken. A number is never given to another server, since what the first one left behind would be the second one's.
    pub(crate) fn number_of(&self, server: &ServerName) -> Option<u32> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = servers.iter().position(|taken| taken.as_ref() == Some(server));
        // Where the search begins follows from the name, so that another process most likely comes to the same number.
        let count = servers.len();
        let begin = preferred(server) % count.max(1);
        let free = || (0..count).map(|offset| (begin + offset) % count).find(|slot| servers[*slot].is_none());
        let slot = known.or_else(free)?;
        servers[slot].get_or_insert_with(|| server.clone());
        u32::try_from(slot + 1).ok()
    }

    /// Until this is dropped, it is not known whether one of its processes runs.
    pub(crate) fn unsettled(&self) -> TaskTrackerToken {
        self.unsettled.token()
    }

    /// Waits until it is known of all processes whether they run: one that is started would be taken for one of them.
    pub(crate) async fn settled(&self) {
        self.unsettled.wait().await;
    }

    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(crate) fn ended(&self) -> Option<String> {
        self.health.borrow().ended.clone()
    }

    /// Why it ended, if it did because the image is no image of sandboxes.
    pub(crate) fn unfit(&self) -> Option<String> {
        let health = self.health.borrow();
        health.ended.clone().filter(|_| health.is_unfit)
    }

    pub(crate) fn is_unfit(&self) {
        self.health.send_modify(|health| health.is_unfit = health.ended.is_none());
    }

    /// Says why it ended; false if that was known.
    pub(crate) fn end(&self, reason: &str) -> bool {
        self.health.send_if_modified(|health| {
            let first = health.ended.is_none();
            health.ended.get_or_insert_with(|| reason.to_owned());
            first
        })
    }

    pub(crate) fn ran_out_of_memory(&self) {
        self.health.send_modify(|health| health.out_of_memory += 1);
    }

    /// A process of it is to be watched; the token tells that it has ended.
    pub(crate) fn watch_exec(&self, exec: &str) -> CancellationToken {
        self.execs().entry(exec.to_owned()).or_default().clone()
    }

    pub(crate) fn forget_exec(&self, exec: &str) {
        self.execs().remove(exec);
    }

    pub(crate) fn exec_ended(&self, exec: &str) {
        if let Some(token) = self.execs().get(exec) {
            token.cancel();
        }
    }

    pub(crate) fn running_execs(&self) -> Vec<String> {
        self.execs().keys().cloned().collect()
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed_tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
}

/// A number that follows from the name alone: the first 32 bits of its digest.
fn preferred(server: &ServerName) -> usize {
    let digest = Sha256::digest(server.as_str());
    digest.iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// One start of a container.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What its container is labelled with.
    pub(crate) nonce: String,
    /// The container, once the engine has said which.
    pub(crate) container: OnceLock<String>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Sandboxes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<SandboxId, Arc<Sandbox>>,
    users: HashSet<u32>,
    /// The starts that are under way, by their nonces.
    attempts: HashSet<String>,
}

impl Sandboxes {
    /// `users` are those that containers of earlier processes have.
    pub(crate) fn new(users: HashSet<u32>) -> Self {
        Self(Mutex::new(Known { users, ..Known::default() }))
    }

    /// The first of `each` users that no sandbox of ours has, looked for from a `start` that should be random: other
    /// processes look too. `count` is how many users there are from `base` on.
    pub(crate) fn take_users(&self, (base, count): (u32, u32), each: u32, start: u32) -> Option<u32> {
        let mut known = self.known();
        let blocks = count / each.max(1);
        let mut candidates = (0..blocks).map(|offset| base + (start % blocks + offset) % blocks * each);
        let user = candidates.find(|user| !known.users.contains(user))?;
        known.users.insert(user);
        Some(user)
    }

    pub(crate) fn free_users(&self, user: u32) {
        self.known().users.remove(&user);
    }

    pub(crate) fn insert(&self, id: &SandboxId, sandbox: Arc<Sandbox>) {
        let mut known = self.known();
        known.users.insert(sandbox.user);
        known.by_name.insert(id.clone(), sandbox);
    }

    /// The sandbox that is known by this name; this one from now on, if there is none.
    pub(crate) fn get_or_insert(&self, id: &SandboxId, sandbox: Arc<Sandbox>) -> Arc<Sandbox> {
        let mut known = self.known();
        known.users.insert(sandbox.user);
        known.by_name.entry(id.clone()).or_insert(sandbox).clone()
    }

    pub(crate) fn begin(&self, attempt: &Attempt) {
        self.known().attempts.insert(attempt.nonce.clone());
    }

    pub(crate) fn is_under_way(&self, nonce: &str) -> bool {
        self.known().attempts.contains(nonce)
    }

    pub(crate) fn is_over(&self, attempt: &Attempt) {
        self.known().attempts.remove(&attempt.nonce);
    }

    /// Frees the users of a container that this process never ran, unless one of its own has them.
    pub(crate) fn free_foreign_users(&self, user: u32) {
        let mut known = self.known();
        if !known.by_name.values().any(|sandbox| sandbox.user == user) {
            known.users.remove(&user);
        }
    }

    pub(crate) fn get(&self, id: &SandboxId) -> Option<Arc<Sandbox>> {
        self.known().by_name.get(id).cloned()
    }

    /// Takes it out: of two that ask, one gets it.
    pub(crate) fn take(&self, id: &SandboxId) -> Option<Arc<Sandbox>> {
        self.known().by_name.remove(id)
    }

    /// It is gone, whatever it is called by now.
    pub(crate) fn forget(&self, container: &str) {
        let mut known = self.known();
        let gone: Vec<_> = known.by_name.extract_if(|_, sandbox| sandbox.container == container).collect();
        for (_, sandbox) in gone {
            known.users.remove(&sandbox.user);
        }
    }

    pub(crate) fn by_container(&self, container: &str) -> Option<Arc<Sandbox>> {
        self.known().by_name.values().find(|sandbox| sandbox.container == container).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Sandbox>> {
        self.known().by_name.values().cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_is_given_out_twice() {
        let sandboxes = Sandboxes::new(HashSet::from([13]));
        // The last one is no whole block.
        let users = (10, 13);
        let mut given: Vec<_> = (0..3).filter_map(|start| sandboxes.take_users(users, 3, start * 7)).collect();
        given.sort_unstable();
        assert_eq!(given, [10, 16, 19]);
        assert_eq!(sandboxes.take_users(users, 3, 3), None);
        sandboxes.free_users(16);
        assert_eq!(sandboxes.take_users(users, 3, 0), Some(16));
    }

    /// Covers: S1-2
    #[test]
    fn servers_of_a_sandbox_never_share_a_number() {
        let sandbox = Sandbox::new("c".into(), 1, 3, 1);
        let names = ["a", "b", "c"].map(ServerName::new);
        let numbers = names.each_ref().map(|name| sandbox.number_of(name).expect("room"));
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(sorted, [1, 2, 3]);
        assert_eq!(sandbox.number_of(&ServerName::new("d")), None);
        assert_eq!(names.map(|name| sandbox.number_of(&name).expect("known")), numbers, "they stay");
    }

    #[test]
    fn the_first_reason_for_an_end_stays() {
        let sandbox = Sandbox::new("c".into(), 1, 1, 1);
        assert!(sandbox.end("first") && !sandbox.end("second"));
        assert_eq!(sandbox.ended().as_deref(), Some("first"));
    }

    #[test]
    fn what_is_gone_frees_its_user_under_any_name() {
        let sandboxes = Sandboxes::new(HashSet::new());
        let user = sandboxes.take_users((10, 2), 2, 0).expect("a user");
        sandboxes.insert(&SandboxId::new("a"), Sandbox::new("c".into(), user, 1, 1));
        sandboxes.forget("c");
        assert!(sandboxes.get(&SandboxId::new("a")).is_none());
        assert_eq!(sandboxes.take_users((10, 2), 2, 0), Some(10));
    }
}
