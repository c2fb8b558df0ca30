//! The limits of a schema, and what it exceeds.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::io;

/// The limits of a tool's input schema. A tool whose schema exceeds one is left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// The largest schema, in bytes. Default 64 KiB, at most 1 MiB.
    pub max_bytes: usize,
    /// How many subschemas a schema may have once each reference is replaced by its target, and how many of them may apply along one path
    /// through nested arguments. Default 50000.
    pub max_expansions: u64,
    /// How deep subschemas may be nested, references followed. Default 128, at most 256.
    pub max_depth: usize,
    /// How many regular expressions a schema may have. Default 64.
    pub max_patterns: usize,
    /// The longest regular expression, in bytes. Default 1 KiB.
    pub max_pattern_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 10,
            max_expansions: 50_000,
            max_depth: 128,
            max_patterns: 64,
            max_pattern_bytes: 1 << 10,
        }
    }
}

/// What a schema exceeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// The schema is too large.
    #[error("its input schema is larger than {max} bytes")]
    Bytes {
        /// The limit.
        max: usize,
    },
    /// References multiply the schema, or recursion multiplies the work with each level of the arguments.
    #[error("its input schema expands to more than {max} subschemas")]
    Expansions {
        /// The limit.
        max: u64,
    },
    /// The schema is nested too deep.
    #[error("its input schema is nested deeper than {max} levels")]
    Depth {
        /// The limit.
        max: usize,
    },
    /// The schema applies to a value what it applies to the same value already.
    #[error("its input schema refers to itself without end")]
    Endless,
    /// A reference leads nowhere, or out of the schema.
    #[error("its input schema refers to something outside of the schema, or to nothing")]
    Reference,
    /// Embedded schemas have identifiers of their own, and references depend on them.
    #[error("its input schema embeds a schema with its own $id")]
    EmbeddedId,
    /// The schema has too many regular expressions.
    #[error("its input schema has more than {max} regular expressions")]
    Patterns {
        /// The limit.
        max: usize,
    },
    /// The tools of the server have too many regular expressions in all that must be compiled to be judged.
    #[error("its input schema has regular expressions beyond those that are allowed for all tools of its server")]
    ServerPatterns,
    /// A regular expression is too long, or compiles to too large a program.
    #[error("its input schema has a regular expression that is too large")]
    PatternSize,
    /// A regular expression needs backtracking, or is none.
    #[error("its input schema has a regular expression that cannot run in linear time")]
    PatternEngine,
}

struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn bytes(schema: &Value, budget: &Budget) -> Result<(), OverBudget> {
    serde_json::to_writer(Room(budget.max_bytes), schema).map_err(|_| OverBudget::Bytes { max: budget.max_bytes })
}
