use serde_json::{Value, json};

/// What a vendor's model says in one answer. Every vendor's counts are the same: see [`Speech::usage`].
#[derive(Clone, Debug, Default)]
pub struct Speech {
    pub(super) text: String,
    /// What the vendor wants back as it is.
    pub(super) seal: Option<String>,
    pub(super) call: Option<Call>,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) args: Value,
}

/// Why the model stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It is done, or waits for its calls.
    #[default]
    Turn,
    /// The answer got too long.
    MaxTokens,
    /// It does not want to.
    Refusal,
    /// The vendor does not want it to.
    Safety,
}

/// Tokens as all vendors count them here: read, cached of these, written, thought of these.
pub(super) const READ: u64 = 100;
pub(super) const CACHED: u64 = 40;
pub(super) const WRITTEN: u64 = 30;
pub(super) const THOUGHT: u64 = 20;

/// The summary of the thinking of every sealed answer.
pub(super) const SUMMARY: &str = "I think, ";

impl Speech {
    /// These words.
    pub fn text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// A call of the vendor's id `id`.
    pub fn call(id: &str, name: &str, args: Value) -> Self {
        Self::default().and_call(id, name, args)
    }

    /// And then a call.
    #[must_use]
    pub fn and_call(self, id: &str, name: &str, args: Value) -> Self {
        Self { call: Some(Call { id: id.to_owned(), name: name.to_owned(), args }), ..self }
    }

    /// With something that the vendor wants back as it is.
    #[must_use]
    pub fn sealed(self, seal: &str) -> Self {
        Self { seal: Some(seal.to_owned()), ..self }
    }

    /// And stops for this reason.
    #[must_use]
    pub fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// What an answer costs, as clients are told.
    pub fn usage() -> Value {
        json!({
            "inputTokens": READ,
            "outputTokens": WRITTEN,
            "cachedInputTokens": CACHED,
            "reasoningTokens": THOUGHT,
        })
    }
}

impl End {
    /// As clients are told.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Turn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::Refusal => "refusal",
            Self::Safety => "safety",
        }
    }
}
