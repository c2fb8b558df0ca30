//! The two forms in which a connection gets its events. Clients ask for one by `auth.protocol`.

use super::{Meta, PROTOCOL, ServerEvent};
use serde_json::Value;

/// The form of a connection's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// One argument for each event, and none for an event without a payload. `agent:error` is a sentence. Handlers of a
    /// fixed number of arguments work, as python-socketio has them.
    #[default]
    Basic,
    /// Every event is `(payload, meta)`, and `agent:error` is an object.
    Extended,
}

/// The arguments of an event, after its name.
#[derive(Debug)]
pub(crate) enum Sent<'a> {
    Nothing([(); 0]),
    Text((String,)),
    Payload((&'a ServerEvent,)),
    WithMeta((&'a ServerEvent, &'a Meta)),
}

impl Protocol {
    /// The form that `auth` asks for. `None` where it asks for something that is no version. A version that is not known
    /// yet gets the newest form.
    pub(crate) fn asked(auth: &Value) -> Option<Self> {
        let version = match auth.get("protocol") {
            None | Some(Value::Null) => return Some(Self::Basic),
            Some(Value::Number(version)) => version.as_u64()?,
            Some(Value::String(version)) => version.trim().parse().ok()?,
            Some(_) => return None,
        };
        match version {
            0 => None,
            1 => Some(Self::Basic),
            _ => Some(Self::Extended),
        }
    }

    /// The version of the contract with this form.
    pub fn version(self) -> u32 {
        match self {
            Self::Basic => 1,
            Self::Extended => PROTOCOL,
        }
    }

    /// The arguments of `event` in this form.
    pub(crate) fn arguments<'a>(self, event: &'a ServerEvent, meta: &'a Meta) -> Sent<'a> {
        match (self, event) {
            (Self::Extended, _) => Sent::WithMeta((event, meta)),
            (Self::Basic, ServerEvent::Thinking) => Sent::Nothing([]),
            (Self::Basic, ServerEvent::AgentError(error)) => Sent::Text((error.sentence(),)),
            (Self::Basic, _) => Sent::Payload((event,)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::AgentError;
    use lockkeeper_domain::{Code, Failure};
    use serde_json::json;

    #[test]
    fn basic_form_is_what_a_client_gets_that_asks_for_nothing() {
        for (auth, protocol) in [
            (json!({}), Some(Protocol::Basic)),
            (json!(null), Some(Protocol::Basic)),
            (json!({"protocol": null}), Some(Protocol::Basic)),
            (json!({"protocol": 1}), Some(Protocol::Basic)),
            (json!({"protocol": 2}), Some(Protocol::Extended)),
            (json!({"protocol": "2"}), Some(Protocol::Extended)),
            (json!({"protocol": 9}), Some(Protocol::Extended)),
            (json!({"protocol": 0}), None),
            (json!({"protocol": "new"}), None),
            (json!({"protocol": {}}), None),
        ] {
            assert_eq!(Protocol::asked(&auth), protocol, "{auth}");
        }
    }

    #[test]
    fn basic_form_has_one_argument_and_sentences_for_errors() {
        let shown = |protocol: Protocol, event: &ServerEvent| match protocol.arguments(event, &Meta::default()) {
            Sent::Nothing(none) => serde_json::to_value(none),
            Sent::Text(text) => serde_json::to_value(text),
            Sent::Payload(payload) => serde_json::to_value(payload),
            Sent::WithMeta(both) => serde_json::to_value(both),
        };
        let error = Failure::new(Code::Busy, "Too much waits.").with_hint("Try again.");
        let error = ServerEvent::AgentError(AgentError::from(error));
        let said = ServerEvent::Response("Hi.".to_owned());
        let basic = |event| shown(Protocol::Basic, event).expect("JSON");
        assert_eq!(basic(&error), json!(["Too much waits. Try again."]));
        assert_eq!(basic(&said), json!(["Hi."]));
        assert_eq!(basic(&ServerEvent::Thinking), json!([]));
        let extended = |event| shown(Protocol::Extended, event).expect("JSON");
        assert_eq!(extended(&error)[0]["code"], "busy");
        assert_eq!(extended(&said).as_array().map(Vec::len), Some(2));
        assert_eq!(extended(&ServerEvent::Thinking)[0], json!(null));
    }
}
