//! Counts what a schema expands to. Dynamic programming over the strongly connected components of its graph; nothing recurses.

use crate::{
    Budget, OverBudget,
    graph::{Graph, Place},
    growth,
};

pub(crate) fn check(graph: &Graph, budget: &Budget) -> Result<(), OverBudget> {
    let order = here_order(graph).ok_or(OverBudget::Endless)?;
    let mut depth = vec![1_usize; graph.nodes.len()];
    for &at in &order {
        let here = graph.nodes[at].edges.iter().filter(|edge| edge.place == Place::Here);
        depth[at] = here.map(|edge| depth[edge.to] + 1).max().unwrap_or(1);
    }
    let components = components(graph);
    let mut expansions = vec![1_u64; graph.nodes.len()];
    let mut nesting = vec![1_usize; graph.nodes.len()];
    let mut members: Vec<usize> = (0..graph.nodes.len()).collect();
    // The targets of a component's edges are in components of higher numbers.
    members.sort_unstable_by_key(|at| std::cmp::Reverse(components[*at]));
    let mut is_recursive = false;
    // What looks for leftovers evaluates, and compiles, what applies to its value once more.
    let times = if graph.nodes.iter().any(|node| node.is_unevaluated) { 2 } else { 1 };
    for at in members {
        for edge in &graph.nodes[at].edges {
            if components[edge.to] == components[at] {
                // Recursion is bounded by the value, and judged by how it grows.
                is_recursive = true;
                expansions[at] = expansions[at].saturating_add(1);
            } else {
                let here = if edge.place == Place::Here { times } else { 1 };
                expansions[at] = expansions[at].saturating_add(expansions[edge.to].saturating_mul(here));
                nesting[at] = nesting[at].max(nesting[edge.to] + 1);
            }
        }
    }
    let too_deep = |all: &[usize]| all.iter().any(|depth| *depth > budget.max_depth);
    if too_deep(&depth) || too_deep(&nesting) {
        return Err(OverBudget::Depth { max: budget.max_depth });
    }
    let over = OverBudget::Expansions { max: budget.max_expansions };
    if expansions.iter().any(|count| *count > budget.max_expansions) {
        return Err(over);
    }
    if is_recursive && !growth::is_bounded(graph, &order, budget.max_expansions) { Err(over) } else { Ok(()) }
}

/// The nodes, each after all that apply to the same value because of it; `None` when one applies itself to the same value.
pub(crate) fn here_order(graph: &Graph) -> Option<Vec<usize>> {
    let mut waiting = vec![0_usize; graph.nodes.len()];
    let mut sources: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        for edge in node.edges.iter().filter(|edge| edge.place == Place::Here) {
            waiting[at] += 1;
            sources[edge.to].push(at);
        }
    }
    let mut order: Vec<usize> = (0..graph.nodes.len()).filter(|at| waiting[*at] == 0).collect();
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for &source in &sources[at] {
            waiting[source] -= 1;
            if waiting[source] == 0 {
                order.push(source);
            }
        }
    }
    (order.len() == graph.nodes.len()).then_some(order)
}

/// The number of each node's strongly connected component, in topological order (Kosaraju).
fn components(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes.len();
    let mut finished = Vec::with_capacity(count);
    let mut seen = vec![false; count];
    for start in 0..count {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let mut path = vec![(start, 0)];
        while let Some((at, next)) = path.last_mut() {
            if let Some(edge) = graph.nodes[*at].edges.get(*next) {
                *next += 1;
                if !std::mem::replace(&mut seen[edge.to], true) {
                    path.push((edge.to, 0));
                }
            } else {
                finished.push(*at);
                path.pop();
            }
        }
    }
    let mut sources: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, node) in graph.nodes.iter().enumerate() {
        node.edges.iter().for_each(|edge| sources[edge.to].push(at));
    }
    let mut component = vec![usize::MAX; count];
    for (number, start) in finished.into_iter().rev().enumerate() {
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if component[at] == usize::MAX {
                component[at] = number;
                open.extend(&sources[at]);
            }
        }
    }
    component
}
