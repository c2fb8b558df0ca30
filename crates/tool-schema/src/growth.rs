//! How the work of a recursive schema grows with the depth of the value.
//!
//! Plain recursion (a tree) applies a bounded number of subschemas to each value. Recursion that reaches one member of a value
//! twice doubles the work with each level.

use crate::graph::{Graph, Place};
use std::collections::{BTreeMap, BTreeSet};

/// How many levels of a value are looked at.
const LEVELS: usize = 16;
/// How many entries the tables of the analysis may have.
const MAX_ENTRIES: usize = 200_000;

/// What applies to the same value because of a node, and how often.
type Closure = BTreeMap<usize, u64>;

/// A part of a value, and what applies to it.
type Slot = Vec<(usize, u64)>;

/// Whether at most `max` subschemas apply along any path into a value of [`LEVELS`] levels.
pub(crate) fn is_bounded(graph: &Graph, order: &[usize], max: u64) -> bool {
    let Some(slots) = tables(graph, order) else { return false };
    let mut work = vec![0_u64; graph.nodes.len()];
    for _ in 0..LEVELS {
        let part = |slot: &Slot| {
            slot.iter().fold(0_u64, |sum, (to, times)| sum.saturating_add(work[*to].saturating_mul(*times)))
        };
        let deeper = |(here, slots): &(u64, Vec<Slot>)| here.saturating_add(slots.iter().map(part).max().unwrap_or(0));
        work = slots.iter().map(deeper).collect();
        if work.iter().any(|work| *work > max) {
            return false;
        }
    }
    true
}

/// Of each node: what applies to its value, and to the parts of that. `None` when that is too much.
fn tables(graph: &Graph, order: &[usize]) -> Option<Vec<(u64, Vec<Slot>)>> {
    let mut entries = 0;
    let mut closures: Vec<Closure> = vec![Closure::new(); graph.nodes.len()];
    for &at in order {
        let mut closure = Closure::from([(at, 1)]);
        for edge in graph.nodes[at].edges.iter().filter(|edge| edge.place == Place::Here) {
            for (node, times) in &closures[edge.to] {
                let sum = closure.entry(*node).or_default();
                *sum = sum.saturating_add(*times);
            }
            entries += closures[edge.to].len();
        }
        entries += closure.len();
        if entries > MAX_ENTRIES {
            return None;
        }
        closures[at] = closure;
    }
    let mut tables = Vec::with_capacity(closures.len());
    for closure in &closures {
        let here = closure.values().fold(0_u64, |sum, times| sum.saturating_add(*times));
        let slots = slots(graph, closure, &mut entries)?;
        tables.push((here, slots));
    }
    Some(tables)
}

fn slots(graph: &Graph, closure: &Closure, entries: &mut usize) -> Option<Vec<Slot>> {
    let edges = || closure.iter().flat_map(|(at, times)| graph.nodes[*at].edges.iter().map(move |edge| (edge, *times)));
    // Names and places that a subschema names, and one that none does.
    let mut names: BTreeSet<Option<&str>> = BTreeSet::from([None]);
    let mut items: BTreeSet<usize> = BTreeSet::from([usize::MAX]);
    for (edge, _) in edges() {
        match &edge.place {
            Place::Member(name) => drop(names.insert(Some(name))),
            Place::Item(at) => drop(items.insert(*at)),
            _ => {}
        }
    }
    *entries = entries.saturating_add(edges().count().saturating_mul(names.len() + items.len()));
    if *entries > 5 * MAX_ENTRIES {
        return None;
    }
    let gathered = |applies: &dyn Fn(&Place) -> bool| -> Slot {
        edges().filter(|(edge, _)| applies(&edge.place)).map(|(edge, times)| (edge.to, times)).collect()
    };
    let member = |name: Option<&str>| {
        gathered(&|place| match place {
            Place::Member(one) => name == Some(one.as_str()),
            Place::Members(but) => name.is_none_or(|name| !but.contains(name)),
            _ => false,
        })
    };
    let item = |at: usize| {
        gathered(&|place| match place {
            Place::Item(one) => *one == at,
            Place::Items(first) => *first <= at,
            _ => false,
        })
    };
    let key = gathered(&|place| *place == Place::Names);
    Some(names.into_iter().map(member).chain(items.into_iter().map(item)).chain([key]).collect())
}
