//! Regular expressions of schemas, on an engine that runs in linear time.

use crate::{Budget, OverBudget, graph::Graph};
use jsonschema::{PatternOptions, ValidationOptions};
use serde_json::json;

/// The sizes of compiled programs, in bytes. A larger program takes more steps for each byte of a string.
const SIZES: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, MAX_SIZE];
const MAX_SIZE: usize = 256 << 10;
const DFA_SIZE: usize = 1 << 20;

/// The options under which all schemas of tools are compiled. Nothing is fetched, and `format` is an annotation.
pub(crate) fn options<'a>() -> ValidationOptions<'a> {
    sized(MAX_SIZE)
}

fn sized<'a>(size: usize) -> ValidationOptions<'a> {
    let patterns = PatternOptions::regex().size_limit(size).dfa_size_limit(DFA_SIZE);
    jsonschema::options().with_pattern_options(patterns).should_validate_formats(false).offline()
}

/// How many steps the pattern may take for 16 bytes of a string; `None` when the engine does not take it.
pub(crate) fn weight(pattern: &str) -> Option<u64> {
    let fits = |size: &&usize| sized(**size).build(&json!({"pattern": pattern})).is_ok();
    SIZES.iter().find(fits).map(|size| *size as u64 / 64)
}

/// `left` is how many more may be compiled for this server's list.
pub(crate) fn check(graph: &Graph, budget: &Budget, left: &mut usize) -> Result<(), OverBudget> {
    let named = graph.nodes.iter().flat_map(|node| &node.name_patterns);
    let all = || graph.nodes.iter().filter_map(|node| node.pattern.as_ref()).chain(named.clone());
    if all().count() > budget.max_patterns {
        return Err(OverBudget::Patterns { max: budget.max_patterns });
    }
    if all().any(|pattern| pattern.len() > budget.max_pattern_bytes) {
        return Err(OverBudget::PatternSize);
    }
    // Leaving out a condition lets more pass, unless the schema turns it around.
    let is_negative = graph.nodes.iter().any(|node| node.is_negative);
    let of_values = graph.nodes.iter().filter_map(|node| node.pattern.as_ref()).filter(|_| is_negative);
    for pattern in named.clone().chain(of_values) {
        *left = left.checked_sub(1).ok_or(OverBudget::ServerPatterns)?;
        weight(pattern).ok_or(OverBudget::PatternEngine)?;
    }
    Ok(())
}
