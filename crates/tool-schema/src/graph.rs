//! A schema as a graph: its subschemas, and where each applies another one.

use crate::{OverBudget, pointer::Names};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// To which part of a value a subschema is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The value itself.
    Here,
    /// The member of this name.
    Member(String),
    /// All members but those that have a subschema of their own beside it.
    Members(HashSet<String>),
    /// The names of all members.
    Names,
    /// The item at this place.
    Item(usize),
    /// All items from this place on.
    Items(usize),
}

#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) place: Place,
    pub(crate) to: usize,
}

/// One subschema.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) edges: Vec<Edge>,
    /// How much there is to compare a value with: the size of its keywords that hold no subschemas.
    pub(crate) size: u64,
    pub(crate) pattern: Option<String>,
    /// The patterns for names of members.
    pub(crate) name_patterns: Vec<String>,
    pub(crate) is_unique: bool,
    /// Whether it looks for what its subschemas left over, which runs them again.
    pub(crate) is_unevaluated: bool,
    /// Whether a weaker subschema may make it refuse more.
    pub(crate) is_negative: bool,
}

/// All subschemas that can be reached from the root, which is the first.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

struct Builder<'a> {
    names: Names<'a>,
    known: HashMap<*const Value, usize>,
    open: Vec<(usize, &'a Value)>,
    nodes: Vec<Node>,
}

impl Graph {
    pub(crate) fn build(schema: &Value, max_depth: usize) -> Result<Self, OverBudget> {
        if !is_flat(schema, max_depth) {
            return Err(OverBudget::Depth { max: max_depth });
        }
        let names = Names::of(schema);
        let mut builder = Builder { names, known: HashMap::new(), open: Vec::new(), nodes: Vec::new() };
        builder.node(schema);
        while let Some((at, schema)) = builder.open.pop() {
            let node = builder.read(schema)?;
            builder.nodes[at] = node;
        }
        Ok(Self { nodes: builder.nodes })
    }
}

/// Whether nothing in the value is nested deeper than this. Does not recurse.
fn is_flat(value: &Value, max_depth: usize) -> bool {
    let mut rest = vec![(value, 0)];
    while let Some((value, depth)) = rest.pop() {
        match value {
            _ if depth > max_depth => return false,
            Value::Object(object) => rest.extend(object.values().map(|member| (member, depth + 1))),
            Value::Array(items) => rest.extend(items.iter().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    true
}

fn size(value: &Value) -> u64 {
    let mut size = 0;
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        size += match value {
            Value::String(text) => 1 + text.len() as u64 / 16,
            _ => 1,
        };
        match value {
            Value::Object(object) => rest.extend(object.values()),
            Value::Array(items) => rest.extend(items),
            _ => {}
        }
    }
    size
}

impl<'a> Builder<'a> {
    fn node(&mut self, schema: &'a Value) -> usize {
        let next = self.nodes.len();
        let at = *self.known.entry(std::ptr::from_ref(schema)).or_insert(next);
        if at == next {
            self.nodes.push(Node::default());
            self.open.push((at, schema));
        }
        at
    }

    fn edge(&mut self, node: &mut Node, place: Place, schema: &'a Value) {
        let to = self.node(schema);
        node.edges.push(Edge { place, to });
    }

    fn read(&mut self, schema: &'a Value) -> Result<Node, OverBudget> {
        let mut node = Node { size: 1, ..Node::default() };
        let Value::Object(object) = schema else { return Ok(node) };
        for (keyword, value) in object {
            self.keyword(&mut node, object, keyword, value)?;
        }
        // Also what does not apply is looked up.
        node.size += node.edges.len() as u64;
        Ok(node)
    }

    fn keyword(
        &mut self,
        node: &mut Node,
        beside: &'a Map<String, Value>,
        keyword: &str,
        value: &'a Value,
    ) -> Result<(), OverBudget> {
        node.size += 1;
        match (keyword, value) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                for target in self.names.resolve(reference)? {
                    self.edge(node, Place::Here, target);
                }
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                node.is_negative |= keyword == "oneOf";
                for schema in all {
                    self.edge(node, Place::Here, schema);
                }
            }
            ("not" | "if" | "then" | "else", schema) => {
                node.is_negative = true;
                self.edge(node, Place::Here, schema);
            }
            ("extends" | "disallow" | "type", Value::Array(all)) => {
                for schema in all.iter().filter(|one| one.is_object()) {
                    self.edge(node, Place::Here, schema);
                }
                node.size += all.len() as u64;
            }
            ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                for schema in all.values() {
                    self.edge(node, Place::Here, schema);
                    node.size += size(schema).min(64);
                }
            }
            ("properties", Value::Object(all)) => {
                for (name, schema) in all {
                    self.edge(node, Place::Member(name.clone()), schema);
                }
            }
            ("patternProperties", Value::Object(all)) => {
                for (pattern, schema) in all {
                    node.name_patterns.push(pattern.clone());
                    self.edge(node, Place::Members(HashSet::new()), schema);
                }
            }
            ("additionalProperties", schema) => {
                let named = beside.get("properties").and_then(Value::as_object);
                let named = named.map(|all| all.keys().cloned().collect()).unwrap_or_default();
                self.edge(node, Place::Members(named), schema);
            }
            ("propertyNames", schema) => self.edge(node, Place::Names, schema),
            ("items" | "prefixItems", Value::Array(all)) => {
                for (at, schema) in all.iter().enumerate() {
                    self.edge(node, Place::Item(at), schema);
                }
            }
            // Whether items before it have subschemas of their own depends on the draft.
            ("items", schema) => self.edge(node, Place::Items(0), schema),
            ("additionalItems", schema) => {
                let first = beside.get("items").and_then(Value::as_array).map_or(0, Vec::len);
                self.edge(node, Place::Items(first), schema);
            }
            ("contains", schema) => {
                node.is_negative = true;
                self.edge(node, Place::Items(0), schema);
            }
            ("unevaluatedProperties", schema) => {
                node.is_unevaluated = true;
                node.is_negative = true;
                self.edge(node, Place::Members(HashSet::new()), schema);
            }
            ("unevaluatedItems", schema) => {
                node.is_unevaluated = true;
                node.is_negative = true;
                self.edge(node, Place::Items(0), schema);
            }
            ("pattern", Value::String(pattern)) => node.pattern = Some(pattern.clone()),
            ("uniqueItems", Value::Bool(true)) => node.is_unique = true,
            ("$defs" | "definitions" | "default" | "examples" | "description" | "title", _) => {}
            _ => node.size += size(value),
        }
        Ok(())
    }
}
