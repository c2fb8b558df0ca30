//! Tools that are not what they were: held back until somebody takes them as they are.

use super::{Actor, Bench, Reply, persist::Lost, request::Name};
use crate::tools::Catalog;
use lockkeeper_domain::{Command, Failure, ToolDefinition, ToolTrusted};
use lockkeeper_ports::RecordChange;
use std::sync::Arc;

impl Actor {
    /// The tools of a catalog that may be shown and called.
    pub(super) fn offered(&self, catalog: &Catalog) -> Arc<[ToolDefinition]> {
        let tools = catalog.tools();
        if tools.iter().any(|tool| self.session.is_quarantined(&tool.name)) {
            return tools.iter().filter(|tool| !self.session.is_quarantined(&tool.name)).cloned().collect();
        }
        Arc::clone(tools)
    }

    /// Compares the tools of a fresh connection with what was judged before.
    pub(super) async fn compare_tools(&mut self, tools: &[ToolDefinition]) -> Result<(), Lost> {
        for tool in tools {
            if self.session.has_pinned(&tool.name) {
                self.follow(Command::ToolSeen { now: Box::new(tool.clone()), offered: None }).await?;
            }
        }
        Ok(())
    }

    /// Offers tools that the workbench has got since it was connected. Definitions that are known stay as they are.
    pub(super) async fn add_tools(&mut self) -> Result<(), Lost> {
        let Bench::Ready(bench) = &mut self.bench else { return Ok(()) };
        let Some((catalog, added)) = bench.catalog.grown(&bench.tools.tools()) else { return Ok(()) };
        bench.catalog = Arc::new(catalog);
        self.compare_tools(&added).await?;
        self.show_tools();
        Ok(())
    }

    /// A server gives another definition of a tool that was offered already.
    pub(super) async fn tool_redefined(&mut self, tool: ToolDefinition) -> Result<(), Lost> {
        let Bench::Ready(bench) = &mut self.bench else { return Ok(()) };
        let offered = bench.catalog.tools().iter().find(|offered| offered.name == tool.name).cloned().map(Box::new);
        bench.catalog = Arc::new(bench.catalog.with(&tool));
        self.follow(Command::ToolSeen { now: Box::new(tool), offered }).await?;
        self.show_tools();
        Ok(())
    }

    pub(super) async fn trust(&mut self, trusted: ToolTrusted, name: Name, reply: Reply<()>) -> Result<(), Lost> {
        let Some(reply) = self.begin(name, reply) else { return Ok(()) };
        let command = Command::Trust(trusted.clone());
        let before = self.session.clone();
        let reaction = match self.session.handle(command, self.shared.now(), &self.shared.rules) {
            Ok(reaction) => reaction,
            Err(refusal) => {
                let hint = "The event tool:quarantined shows what is held back, and its fingerprint.";
                self.refuse(Failure::new(refusal.code, refusal.message).with_hint(hint), reply);
                return Ok(());
            }
        };
        if !self.acknowledge(before, reaction, RecordChange::default(), Ok(()), reply).await? {
            return Ok(());
        }
        if let Bench::Ready(bench) = &self.bench {
            let is_it = |tool: &&ToolDefinition| tool.server == trusted.server && tool.tool == trusted.tool;
            if let Some(tool) = bench.catalog.tools().iter().find(is_it) {
                bench.tools.accept(&tool.name, &trusted.fingerprint);
            }
        }
        self.show_tools();
        Ok(())
    }

    /// Views that come later are shown the tools as they are now.
    fn show_tools(&self) {
        let Some(catalog) = self.catalog() else { return };
        let tools = self.offered(&catalog);
        self.readiness.send_if_modified(|readiness| match readiness {
            Some(Ok(ready)) => std::mem::replace(&mut ready.tools, Arc::clone(&tools)) != tools,
            _ => false,
        });
    }
}
