//! What adapters leave out of requests: told once, and listed with the server whose tool it is.

use super::{Actor, persist::Lost};
use crate::LiveEvent;
use lockkeeper_domain::{Command, NoticeKind, ToolName};
use lockkeeper_ports::{LeftOutTool, Notice};

/// How many notices are remembered; after that they may be told again.
const REMEMBERED: usize = 1_024;
/// How many tools a notice names, and how many are listed for a server.
const NAMED: usize = 20;

impl Actor {
    /// Tells what was left out of a request for the model, unless it was told before.
    pub(super) async fn notice(&mut self, notices: Vec<Notice>) -> Result<(), Lost> {
        for notice in notices {
            let (kind, text) = match &notice {
                Notice::Adjusted { text } => (NoticeKind::RequestAdjusted, text.clone()),
                Notice::ToolsLeftOut { tools, reason } => {
                    (NoticeKind::ToolsUnavailable, format!("The model is not offered {}: {reason}", named(tools)))
                }
            };
            if self.noticed.len() >= REMEMBERED {
                self.noticed.clear();
            }
            if !self.noticed.insert(text.clone()) {
                continue;
            }
            tracing::warn!(notice = text, "the model's request was not sent as it was meant");
            if let Notice::ToolsLeftOut { tools, reason } = &notice {
                self.list_left_out(tools, reason);
            }
            self.follow(Command::Notify { kind, text }).await?;
        }
        Ok(())
    }

    /// Lists the tools with their servers, for the views that are there and for later ones.
    fn list_left_out(&self, tools: &[ToolName], reason: &str) {
        let Some(catalog) = self.catalog() else { return };
        let mut changed = Vec::new();
        self.readiness.send_if_modified(|readiness| {
            let Some(Ok(ready)) = readiness else { return false };
            for status in &mut ready.servers {
                let before = status.left_out.len();
                let own =
                    catalog.tools().iter().filter(|tool| tool.server == status.server && tools.contains(&tool.name));
                for tool in own {
                    let is_listed = status.left_out.iter().any(|known| known.tool == tool.tool);
                    if !is_listed && status.left_out.len() < NAMED {
                        status.left_out.push(LeftOutTool { tool: tool.tool.clone(), reason: reason.to_owned() });
                    }
                }
                if status.left_out.len() > before {
                    changed.push(status.clone());
                }
            }
            !changed.is_empty()
        });
        for status in changed {
            self.live.send(self.last, LiveEvent::Server(status));
        }
    }
}

fn named(tools: &[ToolName]) -> String {
    let first: Vec<&str> = tools.iter().take(NAMED).map(ToolName::as_str).collect();
    let list = first.join(", ");
    match tools.len().saturating_sub(NAMED) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}
