//! Repairs the JSON Schema of a tool, so that a vendor takes it and still learns most of what it says.
//!
//! Servers write schemas by hand and by generators of every age, and the vendors refuse a whole request for one of them. What
//! is lost here is guidance alone: arguments are checked against the tool's own schema before a call.

mod keywords;
mod narrow;
mod refs;
mod root;

use crate::{dialect::Dialect, names::Names};
use keywords::{exclusive_bounds, plain, required, type_value, types};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// How many schemas one schema may become while references are followed.
const MAX_NODES: usize = 4_000;
/// How deep schemas may lie in each other.
const MAX_DEPTH: usize = 32;

/// A schema that a vendor takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The schema.
    pub schema: Value,
    /// What was renamed in it.
    pub names: Names,
}

/// The nearest schema to `schema` that `dialect` takes.
pub fn repair(schema: &Value, dialect: &Dialect) -> Repaired {
    let mut repair = Repair { root: schema, dialect, nodes_left: MAX_NODES, open: vec!["#".to_owned()] };
    let (fixed, names) = repair.node(schema, 0);
    Repaired { schema: root::object(fixed, dialect.lists_properties), names }
}

/// The plainest form of a repaired schema: its properties, with their types and descriptions.
pub(crate) fn plainest(schema: &Value) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let plain = |(name, property): (&String, &Value)| {
        let mut fields = Map::new();
        let kinds = property.get("type").map(types).unwrap_or_default();
        let kind = kinds.into_iter().find(|kind| *kind != "null");
        fields.extend(kind.map(|kind| ("type".to_owned(), json!(kind))));
        fields.extend(property.get("description").map(|words| ("description".to_owned(), words.clone())));
        if kind == Some("array") {
            let of = property.pointer("/items/type").map(types).unwrap_or_default();
            let of = of.into_iter().find(|kind| !matches!(*kind, "null" | "array"));
            fields.insert("items".to_owned(), of.map_or_else(|| json!({}), |kind| json!({"type": kind})));
        }
        (name.clone(), Value::Object(fields))
    };
    let mut fields = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties.map(plain).collect())),
    ]);
    fields.extend(schema.get("required").map(|names| ("required".to_owned(), names.clone())));
    Value::Object(fields)
}

struct Repair<'a> {
    root: &'a Value,
    dialect: &'a Dialect,
    nodes_left: usize,
    /// The references that are being followed.
    open: Vec<String>,
}

impl Repair<'_> {
    fn node(&mut self, schema: &Value, depth: usize) -> (Value, Names) {
        let Value::Object(fields) = schema else {
            let nothing_fits = schema == &Value::Bool(false) && !self.dialect.narrow;
            return (if nothing_fits { json!({"not": {}}) } else { json!({}) }, Names::default());
        };
        if self.nodes_left == 0 || depth > MAX_DEPTH {
            return (stub(fields), Names::default());
        }
        self.nodes_left -= 1;
        let reference = ["$ref", "$dynamicRef", "$recursiveRef"].iter().find_map(|key| fields.get(*key));
        if let Some(reference) = reference {
            return self.follow(fields, reference.as_str().unwrap_or_default(), depth);
        }
        let mut walk = Walk { repair: self, depth, done: Map::new(), names: Names::default(), wanted: Vec::new() };
        walk.fields(fields);
        walk.finish()
    }

    /// A reference is replaced by what it names. One that cannot be followed, and one within what it names, may be anything.
    fn follow(&mut self, fields: &Map<String, Value>, reference: &str, depth: usize) -> (Value, Names) {
        let mut merged: Map<String, Value> =
            fields.iter().filter(|(key, _)| !key.ends_with("Ref") && *key != "$ref").map(cloned).collect();
        let target = refs::resolve(self.root, reference);
        let Some(Value::Object(target)) = target else { return self.node(&Value::Object(merged), depth) };
        if self.open.iter().any(|open| open == reference) {
            let mut stub = target.clone();
            stub.extend(merged);
            return (self::stub(&stub), Names::default());
        }
        for (key, value) in target {
            merged.entry(key.clone()).or_insert_with(|| value.clone());
        }
        self.open.push(reference.to_owned());
        let node = self.node(&Value::Object(merged), depth + 1);
        self.open.pop();
        node
    }
}

/// What remains of a schema that is not gone into.
fn stub(fields: &Map<String, Value>) -> Value {
    let mut stub = Map::new();
    let kinds: Vec<&str> = fields.get("type").map(types).unwrap_or_default();
    stub.extend(type_value(&kinds).map(|kinds| ("type".to_owned(), kinds)));
    if kinds.contains(&"array") {
        stub.insert("items".to_owned(), json!({}));
    }
    let words = fields.get("description").filter(|words| words.is_string());
    stub.extend(words.map(|words| ("description".to_owned(), words.clone())));
    Value::Object(stub)
}

fn cloned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// One schema that is being repaired.
struct Walk<'r, 'a> {
    repair: &'r mut Repair<'a>,
    depth: usize,
    done: Map<String, Value>,
    names: Names,
    /// The properties that their own schemas call required, as the third draft had it.
    wanted: Vec<String>,
}

impl Walk<'_, '_> {
    fn fields(&mut self, fields: &Map<String, Value>) {
        for (key, value) in fields {
            match key.as_str() {
                "$schema" | "$id" | "$comment" | "$vocabulary" | "$anchor" | "$dynamicAnchor" | "$recursiveAnchor"
                | "$defs" | "definitions" | "nullable" | "additionalItems" => {}
                // Their places; what they come to depends on the others.
                "required" | "type" => drop(self.done.insert(key.clone(), Value::Null)),
                "id" if value.is_string() => {}
                "properties" => self.properties(value),
                "items" => self.items(value, fields.get("additionalItems")),
                "prefixItems" | "anyOf" | "oneOf" | "allOf" => self.list(key, value),
                "additionalProperties" | "unevaluatedProperties" | "unevaluatedItems" if value.is_boolean() => {
                    self.done.insert(key.clone(), value.clone());
                }
                "additionalProperties" | "unevaluatedProperties" | "unevaluatedItems" | "contains" => {
                    self.below(key, value);
                }
                "not" | "if" | "then" | "else" | "propertyNames" => self.aside(key, value),
                "patternProperties" | "dependentSchemas" => self.map(key, value),
                "pattern" if self.repair.dialect.anchored && !is_anchored(value) => {}
                _ => self.done.extend(plain(key, value).map(|value| (key.clone(), value))),
            }
        }
        self.types(fields);
        self.required(fields);
    }

    fn schema(&mut self, value: &Value) -> (Value, Names) {
        self.repair.node(value, self.depth + 1)
    }

    /// Members of `properties` that are no schemas are none of them.
    fn properties(&mut self, value: &Value) {
        let Value::Object(members) = value else { return };
        let mut used = HashSet::new();
        // Names that fit already keep theirs.
        let keys = self.repair.dialect.keys;
        let fits = |name: &String| keys.fit(name, &mut HashSet::new()) == *name;
        used.extend(members.keys().filter(|name| fits(name)).cloned());
        let mut properties = Map::new();
        for (name, member) in members {
            if !member.is_object() && member != &Value::Bool(true) {
                continue;
            }
            let (mut schema, names) = self.schema(member);
            let wire = if fits(name) { name.clone() } else { keys.fit(name, &mut used) };
            if member.get("required").is_some_and(|wanted| wanted == true) {
                self.wanted.push(name.clone());
            }
            if wire != *name {
                if let Some(fields) = schema.as_object_mut() {
                    narrow::describe(fields, &format!("The tool calls it `{name}`."));
                }
                self.names.renamed.insert(wire.clone(), name.clone());
            }
            if !names.is_empty() {
                self.names.below.insert(wire.clone(), names);
            }
            properties.insert(wire, schema);
        }
        self.done.insert("properties".to_owned(), Value::Object(properties));
    }

    /// A list of schemas is what earlier drafts had for the items at the front.
    fn items(&mut self, value: &Value, additional: Option<&Value>) {
        match value {
            Value::Array(front) => {
                self.list("prefixItems", value);
                match additional {
                    Some(rest @ Value::Object(_)) => self.below("items", rest),
                    _ => drop(self.done.insert("items".to_owned(), json!({}))),
                }
                if additional == Some(&Value::Bool(false)) {
                    self.done.entry("maxItems").or_insert_with(|| json!(front.len()));
                }
            }
            Value::Object(_) => self.below("items", value),
            _ => drop(self.done.insert("items".to_owned(), json!({}))),
        }
    }

    fn below(&mut self, key: &str, value: &Value) {
        if !value.is_object() && !value.is_boolean() {
            return;
        }
        let (schema, names) = self.schema(value);
        if !names.is_empty() {
            self.names.every.push(names);
        }
        self.done.insert(key.to_owned(), schema);
    }

    /// A schema that says nothing of which names there are.
    fn aside(&mut self, key: &str, value: &Value) {
        if value.is_object() || value.is_boolean() {
            let (schema, names) = self.schema(value);
            if names.is_empty() {
                self.done.insert(key.to_owned(), schema);
            }
        }
    }

    fn map(&mut self, key: &str, value: &Value) {
        let Value::Object(members) = value else { return };
        let mut fixed = Map::new();
        for (name, member) in members.iter().filter(|(_, member)| member.is_object() || member.is_boolean()) {
            let (schema, names) = self.schema(member);
            if !names.is_empty() {
                self.names.every.push(names);
            }
            fixed.insert(name.clone(), schema);
        }
        self.done.insert(key.to_owned(), Value::Object(fixed));
    }

    fn list(&mut self, key: &str, value: &Value) {
        let mut schemas = Vec::new();
        for member in value.as_array().into_iter().flatten() {
            if !member.is_object() && !member.is_boolean() {
                continue;
            }
            let (schema, names) = self.schema(member);
            if !names.is_empty() {
                let place = if key == "prefixItems" { &mut self.names.every } else { &mut self.names.branches };
                place.push(names);
            }
            schemas.push(schema);
        }
        if !schemas.is_empty() {
            self.done.insert(key.to_owned(), Value::Array(schemas));
        }
    }

    /// `nullable` is a word of `OpenAPI`; JSON Schema has a type for it.
    fn types(&mut self, fields: &Map<String, Value>) {
        let mut kinds = fields.get("type").map(types).unwrap_or_default();
        let nullable = fields.get("nullable").is_some_and(|nullable| nullable == true);
        if nullable && !kinds.is_empty() && !kinds.contains(&"null") {
            kinds.push("null");
        }
        if nullable
            && kinds.contains(&"null")
            && let Some(choices) = self.done.get_mut("enum").and_then(Value::as_array_mut)
            && !choices.contains(&Value::Null)
        {
            choices.push(Value::Null);
        }
        match type_value(&kinds) {
            Some(kinds) => drop(self.done.insert("type".to_owned(), kinds)),
            None => drop(self.done.shift_remove("type")),
        }
        let is_array = kinds.contains(&"array") || (kinds.is_empty() && self.done.contains_key("prefixItems"));
        if is_array {
            self.done.entry("items").or_insert_with(|| json!({}));
        }
        exclusive_bounds(&mut self.done);
    }

    fn required(&mut self, fields: &Map<String, Value>) {
        let mut names = fields.get("required").map(required).unwrap_or_default();
        names.extend(std::mem::take(&mut self.wanted));
        let listed = fields.get("properties").and_then(Value::as_object);
        // What was no schema is not there any more.
        let gone = |name: &String| {
            let member = listed.and_then(|listed| listed.get(name));
            member.is_some_and(|member| !member.is_object() && member != &Value::Bool(true))
        };
        let wire = |name: &String| {
            let renamed = self.names.renamed.iter().find(|(_, own)| *own == name).map(|(wire, _)| wire.clone());
            renamed.unwrap_or_else(|| name.clone())
        };
        let names: Vec<String> = names.iter().filter(|name| !gone(name)).map(wire).collect();
        let names = required(&json!(names));
        if names.is_empty() {
            self.done.shift_remove("required");
        } else {
            self.done.insert("required".to_owned(), json!(names));
        }
    }

    fn finish(self) -> (Value, Names) {
        let done = if self.repair.dialect.narrow { narrow::schema(self.done) } else { self.done };
        (Value::Object(done), self.names)
    }
}

/// Whether a pattern covers all of a text, as grammars need it.
fn is_anchored(pattern: &Value) -> bool {
    pattern.as_str().is_some_and(|pattern| pattern.starts_with('^') && pattern.ends_with('$'))
}

#[cfg(test)]
mod tests;
