use super::{Queued, Session};
use crate::{
    ApprovalResolved, Decision, Denials, EventBody, Grant, GrantScope, Message, NoticeKind, Scope, Timestamp, Turn,
    TurnId,
};

/// How many of the clients' own message names are remembered. A client sends a message again within seconds, so
/// this bounds the record and not the promise.
const RECENT: usize = 64;

impl Session {
    /// Accounts for an event. What it returns has become whole and belongs to the history.
    pub(super) fn apply(&mut self, turn: Option<TurnId>, at: Timestamp, body: &EventBody) -> Vec<Message> {
        match (turn, body) {
            (Some(turn), EventBody::UserMessage { message }) => {
                self.state.turns = turn;
                if let Some(id) = &message.client_message_id {
                    self.state.recent.push_back((id.clone(), turn));
                    self.state.recent_content.push_back((id.clone(), message.content_digest()));
                    self.state.recent.drain(..self.state.recent.len().saturating_sub(RECENT));
                    self.state.recent_content.drain(..self.state.recent_content.len().saturating_sub(RECENT));
                }
                self.queue.push_back(Queued { turn, at, message: message.clone() });
                Vec::new()
            }
            (Some(turn), body) => {
                if let EventBody::ToolCalls(step) = body {
                    self.state.pin(step);
                }
                self.apply_to_turn(turn, at, body)
            }
            (None, EventBody::ToolQuarantined(found)) => {
                self.state.quarantine(found);
                Vec::new()
            }
            (None, EventBody::ToolTrusted(trusted)) => {
                self.state.trust(trusted);
                Vec::new()
            }
            (None, EventBody::Notice { kind: NoticeKind::SessionEnded, .. }) => {
                self.state.grants.clear();
                Vec::new()
            }
            (None, _) => Vec::new(),
        }
    }

    fn apply_to_turn(&mut self, turn: TurnId, at: Timestamp, body: &EventBody) -> Vec<Message> {
        if self.turn.is_none() && self.queue.front().is_some_and(|q| q.turn == turn) {
            self.open_next();
        }
        let Some(open) = self.turn.as_mut().filter(|t| t.id() == turn) else {
            return Vec::new();
        };
        let grant = match body {
            EventBody::ApprovalResolved(resolved) => {
                remember_denial(&mut self.state.denials, open, resolved);
                grant_of(open, resolved)
            }
            _ => None,
        };
        match body {
            EventBody::ToolStarted { call, .. } => _ = self.preparing.remove(call),
            EventBody::ToolSettled(settled) => _ = self.preparing.remove(&settled.call),
            EventBody::ApprovalResolved(resolved) => _ = self.preparing.remove(&resolved.call),
            EventBody::TurnCompleted(_) => self.preparing.clear(),
            _ => {}
        }
        let whole = open.apply(at, body);
        if let Some(grant) = grant {
            self.state.grants.retain(|known| *known != grant);
            if self.state.grants.len() >= Grant::MOST {
                self.state.grants.remove(0);
            }
            self.state.grants.push(grant);
        }
        if matches!(body, EventBody::TurnCompleted(_)) {
            self.turn = None;
            self.asked = None;
            self.state.last_turn_ended_at = Some(at);
        }
        whole
    }

    /// Begins the turn of the message that waits longest. A turn begins when its message came or the turn before it
    /// ended, whichever is later, so that its duration does not count the wait for another one.
    pub(super) fn open_next(&mut self) {
        if let Some(Queued { turn, at, message }) = self.queue.pop_front() {
            let opened_at = self.state.last_turn_ended_at.map_or(at, |ended| ended.max(at));
            self.turn = Some(Turn::open(turn, message, at, opened_at));
        }
    }
}

fn remember_denial(denials: &mut Denials, turn: &Turn, resolved: &ApprovalResolved) {
    if resolved.decision != Decision::Denied || resolved.by.is_none() {
        return;
    }
    let denied = turn.open_calls().find(|open| open.call.id == resolved.call);
    if let Some((server, call)) = denied.and_then(|open| Some((open.call.server.as_ref()?, open.call))) {
        denials.remember(server, &call.tool, &call.args);
    }
}

fn grant_of(turn: &Turn, resolved: &ApprovalResolved) -> Option<Grant> {
    if resolved.decision != Decision::Approved || resolved.scope != Scope::Session {
        return None;
    }
    let view = turn.open_calls().find(|c| c.call.id == resolved.call)?;
    let scope = resolved.grant.clone().unwrap_or_default();
    let args = resolved.edited_args.as_ref().or_else(|| turn.args_of(&resolved.call));
    Some(Grant {
        server: view.call.server.clone()?,
        tool: view.call.tool.clone(),
        fingerprint: view.gate.fingerprint.clone(),
        by: resolved.by.clone()?,
        args: args.filter(|_| scope != GrantScope::Tool).cloned(),
        scope,
        workspace: resolved.workspace.clone(),
    })
}
