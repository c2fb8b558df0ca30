//! An upper bound of the work that a validation will do, before it is done.

use crate::{
    graph::{Graph, Node, Place},
    patterns,
};
use serde_json::Value;
use std::collections::HashMap;

/// How deep a validation may recurse: over the levels of the value, and the subschemas of each.
const MAX_LEVELS: usize = 1024;
/// How many pairs of a subschema and a value are looked at.
const MAX_PAIRS: usize = 500_000;
/// Up to how many items a validator compares each with each.
const PAIRWISE: usize = 16;

/// The work would exceed the limit.
pub(crate) struct TooMuch;

/// What strings cost each node of a graph.
#[derive(Debug)]
pub(crate) struct Weights {
    /// For 16 bytes of a string that the node is applied to, by itself.
    own: Vec<u64>,
    /// The same, with all that applies to the string because of it.
    text: Vec<u64>,
    /// For 16 bytes of a member's name.
    names: Vec<u64>,
}

impl Weights {
    /// `order` has each node after all that apply to the same value because of it.
    pub(crate) fn of(graph: &Graph, order: &[usize]) -> Self {
        let weight = |pattern: &String| patterns::weight(pattern).unwrap_or(0);
        let own: Vec<_> = graph.nodes.iter().map(|node| 1 + node.pattern.as_ref().map_or(0, weight)).collect();
        let names = graph.nodes.iter().map(|node| node.name_patterns.iter().map(weight).sum()).collect();
        let mut text = vec![0_u64; graph.nodes.len()];
        for &at in order {
            let node = &graph.nodes[at];
            let here = node.edges.iter().filter(|edge| edge.place == Place::Here);
            let own = own[at].saturating_add(node.size);
            text[at] = here.fold(own, |sum, edge| sum.saturating_add(text[edge.to]));
        }
        Self { own, text, names }
    }
}

/// What it costs to apply a subschema to a value, in steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// To learn whether it fits.
    pub(crate) valid: u64,
    /// To learn what it evaluated, for `unevaluatedProperties` and `unevaluatedItems`.
    mark: u64,
    /// To learn why it does not fit.
    pub(crate) errors: u64,
}

pub(crate) struct Meter<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    max: u64,
    pairs: usize,
    /// The cost of the pairs themselves so far, at most what all of them cost.
    spent: u64,
    known: HashMap<(usize, *const Value), Cost>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(graph: &'a Graph, weights: &'a Weights, max: u64) -> Self {
        Self { graph, weights, max, pairs: 0, spent: 0, known: HashMap::new() }
    }

    /// What it costs to apply the whole schema.
    pub(crate) fn cost(&mut self, value: &Value) -> Result<Cost, TooMuch> {
        self.apply(0, value, 0)
    }

    fn apply(&mut self, at: usize, value: &Value, level: usize) -> Result<Cost, TooMuch> {
        let graph = self.graph;
        let node = &graph.nodes[at];
        let key = (at, std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        self.pairs += 1;
        if level > MAX_LEVELS || self.pairs > MAX_PAIRS {
            return Err(TooMuch);
        }
        let own = self.own(at, node, value);
        self.spent = self.spent.saturating_add(own);
        if self.spent > self.max {
            return Err(TooMuch);
        }
        let mut cost = Cost { valid: own, mark: own, errors: own };
        for edge in &node.edges {
            let to = edge.to;
            match (&edge.place, value) {
                (Place::Here, _) => {
                    let part = self.apply(to, value, level + 1)?;
                    cost.valid = cost.valid.saturating_add(part.valid);
                    cost.mark = cost.mark.saturating_add(part.valid).saturating_add(part.mark);
                    cost.errors = cost.errors.saturating_add(part.valid).saturating_add(part.errors);
                }
                (Place::Member(name), Value::Object(members)) => {
                    if let Some(member) = members.get(name) {
                        cost.add(self.apply(to, member, level + 1)?);
                    }
                }
                (Place::Members(but), Value::Object(members)) => {
                    for (_, member) in members.iter().filter(|(name, _)| !but.contains(*name)) {
                        cost.add(self.apply(to, member, level + 1)?);
                    }
                }
                (Place::Names, Value::Object(members)) => {
                    let name = |name: &String| self.weights.text[to].saturating_mul(1 + name.len() as u64 / 16);
                    let valid = members.keys().fold(0_u64, |sum, key| sum.saturating_add(name(key)));
                    cost.add(Cost { valid, mark: 0, errors: valid });
                }
                (Place::Item(index), Value::Array(items)) => {
                    if let Some(item) = items.get(*index) {
                        cost.add(self.apply(to, item, level + 1)?);
                    }
                }
                (Place::Items(first), Value::Array(items)) => {
                    for item in items.iter().skip(*first) {
                        cost.add(self.apply(to, item, level + 1)?);
                    }
                }
                _ => {}
            }
        }
        if node.is_unevaluated {
            cost.valid = cost.valid.saturating_add(cost.mark);
            cost.errors = cost.errors.saturating_add(cost.mark);
        }
        if cost.valid > self.max {
            return Err(TooMuch);
        }
        if !node.edges.is_empty() {
            self.known.insert(key, cost);
        }
        Ok(cost)
    }

    /// What the node's own keywords cost.
    fn own(&self, at: usize, node: &Node, value: &Value) -> u64 {
        let parts = match value {
            Value::String(text) => self.weights.own[at].saturating_mul(text.len().div_ceil(16) as u64),
            Value::Object(members) => {
                let names: u64 = members.keys().map(|name| 1 + name.len() as u64 / 16).sum();
                names.saturating_mul(1 + self.weights.names[at])
            }
            Value::Array(items) if node.is_unique => size(value).saturating_mul(items.len().min(PAIRWISE) as u64),
            _ => 0,
        };
        // Each member or item is looked up in all that applies to the value.
        let left_over = match value {
            Value::Object(members) if node.is_unevaluated => self.weights.text[at].saturating_mul(members.len() as u64),
            Value::Array(items) if node.is_unevaluated => self.weights.text[at].saturating_mul(items.len() as u64),
            _ => 0,
        };
        node.size.saturating_add(parts).saturating_add(left_over)
    }
}

impl Cost {
    fn add(&mut self, part: Self) {
        self.valid = self.valid.saturating_add(part.valid);
        self.errors = self.errors.saturating_add(part.errors);
    }
}

fn size(value: &Value) -> u64 {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len() as u64 / 16 + size(value)).sum::<u64>() + 1
        }
        Value::Array(items) => items.iter().map(size).sum::<u64>() + 1,
        Value::String(text) => 1 + text.len() as u64 / 16,
        _ => 1,
    }
}
