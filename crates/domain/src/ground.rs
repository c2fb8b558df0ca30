use crate::{CallId, Digest, Timestamp, ToolCall, WorkspaceId};
use serde::Serialize;
use serde_json::Value;

/// What a session's approvals stand on beside the calls themselves. When it changes, what was approved under another one does
/// not hold any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// The session.
    pub session: String,
    /// Whose it is.
    pub user: String,
    /// What its sandbox is started from, in the words of its runtime; none where that has no name.
    pub image: Option<String>,
    /// The version of the gate's rules: [`Policy::version`](crate::Policy::version).
    pub policy: String,
    /// The workspace that calls run in; none until a sandbox was there.
    pub workspace: Option<WorkspaceId>,
    /// The workspaces before it that this server has seen go, the last one last.
    pub lost: Vec<Option<WorkspaceId>>,
}

/// What an approval is bound to. Its digest is what a human's answer refers to; the documentation of the events describes this
/// form, so that a client can compute it from what it shows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Binding<'a> {
    version: u32,
    session: &'a str,
    user: &'a str,
    image: Option<&'a str>,
    policy: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a WorkspaceId>,
    call: &'a CallId,
    server: Option<&'a str>,
    tool: &'a str,
    definition: &'a str,
    args: &'a Value,
    expires_at: Option<Timestamp>,
}

impl Ground {
    /// The same ground, in whichever workspace: what calls stand on that an operator's rule or a stored one lets run.
    #[must_use]
    pub fn anywhere(&self) -> Self {
        Self { workspace: None, ..self.clone() }
    }

    /// The same ground as it was in each of the workspaces that were lost.
    pub(crate) fn before(&self) -> impl Iterator<Item = Self> {
        self.lost.iter().map(|workspace| Self { workspace: workspace.clone(), ..self.clone() })
    }

    /// Another workspace is in the place of the last one.
    pub(crate) fn move_to(&mut self, workspace: Option<WorkspaceId>) {
        /// Calls are not held back for longer than a few sandboxes live.
        const REMEMBERED: usize = 8;
        self.lost.push(std::mem::replace(&mut self.workspace, workspace));
        if self.lost.len() > REMEMBERED {
            self.lost.remove(0);
        }
    }

    /// The digest of a call with the arguments that run: over the whole that a human is shown and what it stands on.
    /// `definition` is the fingerprint of the tool as it was judged, `expires_at` the end of the time to answer, if anyone was
    /// asked.
    pub fn digest(&self, call: &ToolCall, args: &Value, definition: &str, expires_at: Option<Timestamp>) -> Digest {
        const VERSION: u32 = 1;
        Digest::of(&Binding {
            version: VERSION,
            session: &self.session,
            user: &self.user,
            image: self.image.as_deref(),
            policy: &self.policy,
            workspace: self.workspace.as_ref(),
            call: &call.id,
            server: call.server.as_ref().map(crate::ServerName::as_str),
            tool: &call.tool,
            definition,
            args,
            expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServerName, ToolName, TurnId};
    use proptest::prelude::*;
    use serde_json::json;

    fn ground() -> Ground {
        Ground {
            session: "s".into(),
            user: "ann".into(),
            image: Some("sha256:1".into()),
            policy: "0011".into(),
            ..Ground::default()
        }
    }

    fn call() -> ToolCall {
        let server = ServerName::new("fs");
        ToolCall {
            id: CallId::minted(TurnId::new(1), 0, 0),
            provider_id: Some("toolu_1".into()),
            name: ToolName::namespaced(&server, "write"),
            server: Some(server),
            tool: "write".into(),
            args: json!({"path": "a", "text": "b"}),
        }
    }

    fn digest(ground: &Ground, call: &ToolCall, definition: &str, at: i64) -> Digest {
        ground.digest(call, &call.args, definition, Some(Timestamp::from_millis(at)))
    }

    #[test]
    fn whatever_is_bound_changes_the_digest() {
        let (on, of) = (ground(), call());
        let shown = digest(&on, &of, "f", 7);
        assert_eq!(
            digest(&on, &ToolCall { provider_id: None, ..of.clone() }, "f", 7),
            shown,
            "the vendor's name is not bound"
        );
        let grounds = [
            Ground { session: "t".into(), ..ground() },
            Ground { user: "bob".into(), ..ground() },
            Ground { image: None, ..ground() },
            Ground { policy: "0012".into(), ..ground() },
            Ground { workspace: Some(WorkspaceId::parse("w").expect("an id")), ..ground() },
        ];
        let calls = [
            ToolCall { id: CallId::minted(TurnId::new(1), 0, 1), ..call() },
            ToolCall { server: Some(ServerName::new("web")), ..call() },
            ToolCall { tool: "read".into(), ..call() },
            ToolCall { args: json!({"path": "a", "text": "c"}), ..call() },
        ];
        let changed = grounds.iter().map(|ground| digest(ground, &of, "f", 7));
        let changed = changed.chain(calls.iter().map(|call| digest(&on, call, "f", 7)));
        let changed =
            changed.chain([digest(&on, &of, "g", 7), digest(&on, &of, "f", 8), on.digest(&of, &of.args, "f", None)]);
        let all: std::collections::HashSet<_> = changed.chain([shown]).collect();
        assert_eq!(all.len(), 13);
    }

    proptest! {
        /// Arguments as a store holds them, with any one byte changed: the digest tells.
        #[test]
        fn any_changed_byte_of_the_arguments_changes_the_digest(
            text in "[a-z\u{e9}\"\\\\]{0,12}", number in any::<i64>(), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let args = json!({"path": text, "options": [number, {"deep": number.wrapping_mul(3)}], "force": false});
            let call = ToolCall { args, ..call() };
            let mut bytes = serde_json::to_vec(&call.args).expect("JSON");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(args) = serde_json::from_slice::<Value>(&bytes) && args != call.args {
                let changed = ToolCall { args, ..call.clone() };
                prop_assert_ne!(digest(&ground(), &changed, "f", 7), digest(&ground(), &call, "f", 7));
            }
        }
    }
}
