//! A compiled schema that checks arguments within a limit of work.

use crate::{
    count,
    graph::Graph,
    meter::{Meter, TooMuch, Weights},
    patterns,
};
use serde_json::Value;

/// How deep a schema may be nested to be compiled; the budget of a listing is at most as much.
const MAX_DEPTH: usize = 256;
/// Above this cost nothing is said of the single errors: an error for each branch of an `anyOf` takes memory.
const MAX_DETAILS: u64 = 20_000;
const SHOWN_ERRORS: usize = 5;
const SHOWN_BYTES: usize = 300;

/// A schema that arguments can be checked against.
#[derive(Debug)]
pub struct Validator {
    schema: Value,
    graph: Graph,
    weights: Weights,
    compiled: jsonschema::Validator,
}

/// A schema cannot be compiled. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Why arguments do not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// They do not fit the schema.
    #[error("the arguments do not fit the tool's schema{}{}", if .0.is_empty() { "" } else { ": " }, .0.join("; "))]
    Mismatch(Vec<String>),
    /// The check would take more work than is allowed.
    #[error("checking the arguments against the tool's schema would take too long")]
    TooMuchWork,
}

impl Validator {
    /// Compiles a schema. Patterns that the linear engine does not take are left out; a schema in which that is not sound was left out when
    /// it was [inspected](crate::Inspector).
    pub fn new(schema: &Value) -> Result<Self, Unusable> {
        let unusable = |error: &dyn std::fmt::Display| Unusable(cut(error.to_string()));
        let graph = Graph::build(schema, MAX_DEPTH).map_err(|error| unusable(&error))?;
        let order = count::here_order(&graph).ok_or_else(|| unusable(&crate::OverBudget::Endless))?;
        let weights = Weights::of(&graph, &order);
        let is_refused = |pattern: &&String| patterns::weight(pattern).is_none();
        let refused: Vec<_> = graph.nodes.iter().filter_map(|node| node.pattern.as_ref()).filter(is_refused).collect();
        let mut relaxed = schema.clone();
        if !refused.is_empty() {
            relax(&mut relaxed, &refused);
        }
        let compiled = patterns::options().build(&relaxed).map_err(|error| unusable(&error))?;
        Ok(Self { schema: schema.clone(), graph, weights, compiled })
    }

    /// Whether this was compiled from the schema.
    pub fn is_of(&self, schema: &Value) -> bool {
        self.schema == *schema
    }

    /// Checks arguments, if that takes at most `max_work` steps.
    pub fn check(&self, args: &Value, max_work: u64) -> Result<(), Invalid> {
        let metered = Meter::new(&self.graph, &self.weights, max_work).cost(args);
        let cost = metered.map_err(|TooMuch| Invalid::TooMuchWork)?;
        if self.compiled.is_valid(args) {
            return Ok(());
        }
        if cost.errors > MAX_DETAILS {
            return Err(Invalid::Mismatch(Vec::new()));
        }
        let described = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            cut(if at.is_empty() { error.to_string() } else { format!("{at}: {error}") })
        };
        Err(Invalid::Mismatch(self.compiled.iter_errors(args).take(SHOWN_ERRORS).map(described).collect()))
    }
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN_BYTES {
        text.truncate(text.floor_char_boundary(SHOWN_BYTES));
        text.push('…');
    }
    text
}

/// Removes the keyword `pattern` wherever it has one of these values.
fn relax(schema: &mut Value, refused: &[&String]) {
    match schema {
        Value::Object(object) => {
            if object.get("pattern").and_then(Value::as_str).is_some_and(|own| refused.iter().any(|one| *one == own)) {
                object.remove("pattern");
            }
            let holds_data = |keyword: &str| matches!(keyword, "const" | "enum" | "default" | "examples");
            object.iter_mut().filter(|(keyword, _)| !holds_data(keyword)).for_each(|(_, value)| relax(value, refused));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relax(item, refused)),
        _ => {}
    }
}
