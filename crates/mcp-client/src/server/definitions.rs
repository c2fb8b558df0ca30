//! Tools whose definitions are not those that the session offers.

use super::{Gate, Server};
use crate::{catalog::Catalog, connection::Connection};
use futures::{StreamExt as _, stream, stream::BoxStream};
use lockkeeper_domain::ToolDefinition;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// How long a server that announces changes is left alone between two lists of its tools.
const PAUSE: Duration = Duration::from_secs(1);

/// What was seen of a server's tools after they were offered, and what was accepted of it.
#[derive(Default)]
pub(super) struct Definitions {
    /// The last definition of each tool that had another one than it was offered with.
    seen: watch::Sender<BTreeMap<String, ToolDefinition>>,
    /// The fingerprints of those that are called all the same.
    accepted: Mutex<HashMap<String, String>>,
}

impl Definitions {
    fn accepted(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Each new definition of a tool that was offered with another one, those that were seen before included.
    pub(crate) fn redefinitions(&self) -> BoxStream<'static, ToolDefinition> {
        let mut seen = self.definitions.seen.subscribe();
        seen.mark_changed();
        let told: HashMap<String, String> = HashMap::new();
        let news = stream::unfold((seen, told), |(mut seen, mut told)| async move {
            seen.changed().await.ok()?;
            let is_new = |tool: &&ToolDefinition| told.get(&tool.tool) != Some(&tool.fingerprint);
            let news: Vec<_> = seen.borrow_and_update().values().filter(is_new).cloned().collect();
            told.extend(news.iter().map(|tool| (tool.tool.clone(), tool.fingerprint.clone())));
            Some((stream::iter(news), (seen, told)))
        });
        news.flatten().boxed()
    }

    /// Calls of the tool are sent if it has this definition.
    pub(crate) fn accept(&self, tool: &str, fingerprint: &str) {
        self.definitions.accepted().insert(tool.to_owned(), fingerprint.to_owned());
    }

    pub(super) fn is_quarantined(&self, gate: &mut Gate, tool: &str) -> bool {
        let Some(seen) = gate.quarantined.get(tool) else { return false };
        let is_accepted = seen.is_some() && seen.as_ref() == self.definitions.accepted().get(tool);
        if is_accepted {
            gate.quarantined.remove(tool);
        }
        !is_accepted
    }

    /// Looks for tools that are not what was offered or accepted. One that was is held back until it is accepted as it is now.
    pub(super) fn compare(&self, gate: &mut Gate, offered: &BTreeMap<String, ToolDefinition>, now: &Catalog) {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&now.left_out);
        for (tool, pinned) in offered {
            let found = now.tools.get(tool).map(|found| found.fingerprint.clone());
            let accepted = self.definitions.accepted().get(tool).cloned();
            let is_changed = found.as_ref() != Some(accepted.as_ref().unwrap_or(&pinned.fingerprint));
            if is_changed && !gate.quarantined.contains_key(tool) {
                tracing::warn!(mcp.server = %self.spec.name, "an MCP server changed a tool; the tool is quarantined");
            }
            if is_changed || gate.quarantined.contains_key(tool) {
                gate.quarantined.insert(tool.clone(), found);
            }
        }
        self.definitions.seen.send_if_modified(|seen| {
            let known = now.tools.iter().filter(|(tool, _)| offered.contains_key(*tool));
            let is_new = |(tool, found): &(&String, &ToolDefinition)| {
                let last = seen.get(*tool).or_else(|| offered.get(*tool));
                last.is_some_and(|last| last.fingerprint != found.fingerprint)
            };
            let news: Vec<_> = known.filter(is_new).map(|(tool, found)| (tool.clone(), found.clone())).collect();
            let is_modified = !news.is_empty();
            seen.extend(news);
            is_modified
        });
    }

    /// Lists the tools again whenever the server says that they changed, without waiting for a call.
    pub(super) async fn heed(&self, connection: &Connection) {
        loop {
            connection.link.announced.notified().await;
            let mut gate = self.gate.lock().await;
            if self.relist(&mut gate, connection).await.is_err() {
                tracing::debug!(mcp.server = %self.spec.name, "the tools of an MCP server cannot be listed again");
            }
            drop(gate);
            self.tell();
            sleep(PAUSE).await;
        }
    }
}
