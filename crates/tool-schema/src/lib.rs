//! JSON Schemas of tools, with bounded work.
//!
//! MCP servers are untrusted, and so are the schemas of their tools. An [`Inspector`] looks at a server's list of tools, and rejects
//! a schema whose validation could cost more than its [`Budget`]. A [`Validator`] estimates the work of each validation from
//! the schema and the arguments before it starts, and refuses what exceeds its limit. Both are synchronous: callers run them
//! on a thread that may block.

mod budget;
mod count;
mod graph;
mod growth;
mod meter;
mod patterns;
mod pointer;
mod validator;

pub use budget::{Budget, OverBudget};
pub use validator::{Invalid, Unusable, Validator};

use graph::Graph;
use serde_json::Value;

/// How many regular expressions are compiled for the list of one server, in multiples of what one schema may have.
const PATTERNS_PER_SERVER: usize = 4;

/// Checks the schemas that one server lists.
#[derive(Clone, Debug)]
pub struct Inspector {
    budget: Budget,
    patterns_left: usize,
}

impl Inspector {
    /// An inspector for one list.
    pub fn new(budget: Budget) -> Self {
        let patterns_left = budget.max_patterns.saturating_mul(PATTERNS_PER_SERVER);
        Self { budget, patterns_left }
    }

    /// Returns the first limit that the schema exceeds. The check itself takes time linear in the schema and the budget.
    pub fn check(&mut self, schema: &Value) -> Result<(), OverBudget> {
        budget::bytes(schema, &self.budget)?;
        let graph = Graph::build(schema, self.budget.max_depth)?;
        patterns::check(&graph, &self.budget, &mut self.patterns_left)?;
        count::check(&graph, &self.budget)
    }
}
