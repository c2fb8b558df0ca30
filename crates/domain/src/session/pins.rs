//! Tools that are not what they were.

use super::{Refusal, Session, SessionState, command::Draft};
use crate::{
    Code, Decision, EventBody, ToolCalls, ToolDefinition, ToolName, ToolQuarantined, ToolResult, ToolTrusted,
    turn::Stage,
};

impl SessionState {
    /// Pins the tools whose first calls these are.
    pub(super) fn pin(&mut self, step: &ToolCalls) {
        for pin in step.gates.iter().filter_map(|gate| gate.pin.as_deref()) {
            if self.pinned(&pin.name).is_none() {
                self.pins.push(pin.clone());
            }
        }
    }

    pub(super) fn quarantine(&mut self, found: &ToolQuarantined) {
        if self.pinned(&found.before.name).is_none() {
            self.pins.push(found.before.clone());
        }
        self.quarantined.retain(|tool| tool.name != found.after.name);
        self.quarantined.push(found.after.clone());
    }

    pub(super) fn trust(&mut self, trusted: &ToolTrusted) {
        let is_it = |tool: &ToolDefinition| tool.server == trusted.server && tool.tool == trusted.tool;
        let Some(at) = self.quarantined.iter().position(is_it) else { return };
        let now = self.quarantined.remove(at);
        self.pins.retain(|tool| tool.name != now.name);
        self.pins.push(now);
    }

    fn pinned(&self, name: &ToolName) -> Option<&ToolDefinition> {
        self.pins.iter().find(|pin| pin.name == *name)
    }
}

impl Session {
    /// Whether a tool is held back because it is not what it was.
    pub fn is_quarantined(&self, tool: &ToolName) -> bool {
        self.state.quarantined.iter().any(|held| held.name == *tool)
    }

    /// Whether calls of a tool were judged before.
    pub fn has_pinned(&self, tool: &ToolName) -> bool {
        self.state.pinned(tool).is_some()
    }

    /// Holds a tool back that is not what it was, with every question about it.
    pub(super) fn tool_seen(&mut self, now: &ToolDefinition, offered: Option<&ToolDefinition>, draft: &mut Draft<'_>) {
        let held = self.state.quarantined.iter().find(|held| held.name == now.name);
        let Some(before) = self.state.pinned(&now.name).or(offered).map(ToolDefinition::kept) else { return };
        if held.unwrap_or(&before).fingerprint == now.fingerprint {
            return;
        }
        let found = ToolQuarantined { before, after: now.kept() };
        self.record(draft, None, EventBody::ToolQuarantined(Box::new(found)));
        let Some(turn) = &self.turn else { return };
        let (id, waiting) = (turn.id(), turn.unsettled());
        for (call, _) in waiting.into_iter().filter(|(call, stage)| *stage == Stage::Waiting && call.name == now.name) {
            self.resolve(draft, id, &call, Decision::Void);
            let said = "The tool's definition changed while the call waited; it was not run.";
            self.settle(draft, id, call, ToolResult::failed(Code::ToolChanged, said));
        }
    }

    /// Takes a tool as the human was shown it.
    pub(super) fn trust(&mut self, trusted: ToolTrusted, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let held = self.state.quarantined.iter().find(|t| t.server == trusted.server && t.tool == trusted.tool);
        let (code, message) = match held {
            None => (Code::UnknownTool, "no tool of this server and name is held back"),
            Some(held) if held.fingerprint != trusted.fingerprint => {
                (Code::ApprovalMismatch, "the tool is not what you were shown any more; look at it again")
            }
            Some(_) => {
                self.record(draft, None, EventBody::ToolTrusted(trusted));
                return Ok(());
            }
        };
        Err(Refusal { code, message: message.to_owned() })
    }
}
