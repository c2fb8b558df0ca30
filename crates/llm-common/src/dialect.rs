use crate::names::Keys;

/// What a vendor, or a kind of server, takes as the schema of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Which names of properties it takes.
    pub keys: Keys,
    /// Whether it knows a part of JSON Schema alone, as Gemini does.
    pub narrow: bool,
    /// Whether it makes a grammar of patterns, as llama.cpp does, which takes anchored ones alone.
    pub anchored: bool,
    /// Whether an object's `properties` must be there.
    pub lists_properties: bool,
    /// How many tools it takes in a request.
    pub max_tools: usize,
}

impl Dialect {
    /// `OpenAI` itself.
    pub const OPENAI: Self =
        Self { keys: Keys::Any, narrow: false, anchored: false, lists_properties: true, max_tools: 128 };
    /// Servers that speak `OpenAI`'s API, with any model and any vendor behind them.
    pub const COMPATIBLE: Self = Self { keys: Keys::Dotted, anchored: true, ..Self::OPENAI };
    /// Claude.
    pub const CLAUDE: Self =
        Self { keys: Keys::Dotted, narrow: false, anchored: false, lists_properties: false, max_tools: 1_024 };
    /// Gemini.
    pub const GEMINI: Self =
        Self { keys: Keys::Word, narrow: true, anchored: false, lists_properties: false, max_tools: 512 };
}
