use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// Why a string is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct InvalidId {
    pub(crate) kind: &'static str,
    pub(crate) rule: &'static str,
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Checks `text` and makes it a ", $kind, ", which is ", $rule, ".")]
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidId { kind: $kind, rule: $rule }) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// Names a session. What a client sends becomes one only through [`SessionId::parse`], so that client input
    /// never reaches the structure of a key.
    SessionId,
    "a session id",
    "1 to 128 characters out of A-Z, a-z, 0-9, '_' and '-'",
    |text| (1..=128).contains(&text.len()) && text.chars().all(is_id_char)
);

text_id!(
    /// Names a call of a tool. Minted by the turn, never by a model or a client: unique within its session.
    CallId,
    "a call id",
    "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
    |text| (1..=64).contains(&text.len()) && text.chars().all(is_id_char)
);

text_id!(
    /// Names a session's workspace: minted when the workspace starts empty, and kept for as long as its files are, whichever
    /// sandbox holds them.
    WorkspaceId,
    "a workspace id",
    "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
    |text| (1..=64).contains(&text.len()) && text.chars().all(is_id_char)
);

text_id!(
    /// A client's own name for a message; the same one twice is one message.
    ClientMessageId,
    "a client message id",
    "1 to 128 characters without control characters",
    |text| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
);

text_id!(
    /// Names who is on the other side of a connection: what an authenticator made of a token.
    PrincipalId,
    "a principal id",
    "1 to 256 characters without control characters",
    |text| (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
);

text_id!(
    /// Names a rule that a principal's approval stored, among those of the same principal.
    RuleId,
    "a rule id",
    "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
    |text| (1..=64).contains(&text.len()) && text.chars().all(is_id_char)
);

text_id!(
    /// Names a command on its way to a session's owner. The same one twice is one command.
    RequestId,
    "a request id",
    "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
    |text| (1..=64).contains(&text.len()) && text.chars().all(is_id_char)
);

text_id!(
    /// Names a question about a budget: drawn when it is asked, and given back by its answer.
    QuestionId,
    "a question id",
    "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
    |text| (1..=64).contains(&text.len()) && text.chars().all(is_id_char)
);

impl QuestionId {
    /// A question id out of 128 random bits, which the caller draws.
    pub fn from_random_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }
}

impl RequestId {
    /// A request id out of 128 random bits, which the caller draws.
    pub fn from_random_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }
}

impl SessionId {
    /// A session id out of 128 random bits, which the caller draws.
    pub fn from_random_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }
}

impl CallId {
    /// The id of the `index`-th call that the model asked for in step `step` of turn `turn`.
    pub fn minted(turn: TurnId, step: u32, index: usize) -> Self {
        Self(format!("call_{}_{step}_{index}", turn.get()))
    }

    /// The turn and the step for which the id was minted, if it was.
    pub fn minted_for(&self) -> Option<(TurnId, u32)> {
        let mut parts = self.0.strip_prefix("call_")?.split('_');
        let (turn, step, _index) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(())?;
        Some((TurnId(turn.parse().ok()?), step.parse().ok()?))
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The one with this number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one that follows it.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// The fencing token of a lease: each new owner of a session has a higher one, and the store refuses
    /// what an older one writes.
    Epoch
);
number_id!(
    /// An event's place in its session's log. Dense, from 1; 0 stands before the first event.
    Seq
);
number_id!(
    /// A turn of a session: the n-th accepted user message and everything that it leads to. From 1.
    TurnId
);

/// An event's name in its session's log, written `<epoch>-<seq>`. Clients hand it back and do not look inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Who wrote it.
    pub epoch: Epoch,
    /// Where it stands.
    pub seq: Seq,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        text.split_once('-')
            .and_then(|(epoch, seq)| Some(Self { epoch: Epoch(number(epoch)?), seq: Seq(number(seq)?) }))
            .ok_or(InvalidId { kind: "an event id", rule: "an epoch and a sequence number, as in 3-17" })
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for EventId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+-[0-9]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_holds_no_structure() {
        for good in ["a", "index", "A-b_9", &"x".repeat(128)] {
            assert!(SessionId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a:b", "{a}", "../a", "ä", "a\n", &"x".repeat(129)] {
            assert!(SessionId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_id_reads_back_what_it_writes() {
        let id = EventId { epoch: Epoch::new(3), seq: Seq::new(17) };
        assert_eq!(id.to_string(), "3-17");
        assert_eq!("3-17".parse(), Ok(id));
        for bad in ["", "3", "3-", "-3", "3-+4", "3-4-5", "a-1", "3-99999999999999999999"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stored_id_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<SessionId>("\"a:b\"").is_err());
        assert!(serde_json::from_str::<EventId>("\"1-2\"").is_ok());
    }
}
