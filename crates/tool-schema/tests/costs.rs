//! Schemas that use up their budget: compiling them, and checking whatever is let through, stays quick.

use lockkeeper_tool_schema::{Budget, Inspector, Validator};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A machine that is fifty times as slow passes.
const FAR_TOO_LONG: Duration = Duration::from_secs(30);
const WORK: u64 = 10_000_000;

fn doubled(levels: usize, level: &dyn Fn(&Value) -> Value) -> Value {
    let mut defs: serde_json::Map<_, _> =
        (0..levels).map(|at| (format!("a{at}"), level(&json!({"$ref": format!("#/$defs/a{}", at + 1)})))).collect();
    defs.insert(format!("a{levels}"), json!({"type": "object", "properties": {"k": {"const": 1}}}));
    json!({"$defs": defs, "$ref": "#/$defs/a0"})
}

/// The schema with the most levels that passes.
fn largest(level: &dyn Fn(&Value) -> Value) -> (usize, Value) {
    let passes = |schema: &Value| Inspector::new(Budget::default()).check(schema).is_ok();
    let all = (1..60).map(|levels| (levels, doubled(levels, level)));
    all.take_while(|(_, schema)| passes(schema)).last().expect("one level is within budget")
}

/// A keyword, and the schema with it around the schema of the next level.
type Level<'a> = (&'a str, &'a dyn Fn(&Value) -> Value);

/// Covers: S1-1
#[test]
fn schemas_at_the_edge_of_the_budget_stay_quick() {
    let levels: [Level; 8] = [
        ("anyOf", &|next| json!({"anyOf": [next, next]})),
        ("oneOf of three", &|next| json!({"oneOf": [next, next, next]})),
        ("pinned", &|next| {
            json!({"anyOf": [
            {"properties": {"k": {"const": "a"}}, "required": ["k"], "allOf": [next]},
            {"properties": {"k": {"const": "b"}}, "required": ["k"], "allOf": [next]},
            {"properties": {"k": {"const": "c"}}, "required": ["k"], "allOf": [next]}]})
        }),
        ("unevaluated", &|next| json!({"unevaluatedProperties": false, "anyOf": [next, next]})),
        ("unevaluated, single", &|next| json!({"unevaluatedProperties": false, "anyOf": [next, {"required": ["z"]}]})),
        ("conditions", &|next| json!({"if": next, "then": next, "unevaluatedItems": false})),
        ("dependent", &|next| json!({"dependentSchemas": {"k": next, "l": next}, "unevaluatedProperties": false})),
        ("properties", &|next| json!({"properties": {"a": next, "b": next, "c": next}})),
    ];
    let wide: Value = (0..2_000).map(|at| (format!("m{at}"), json!(at))).collect::<serde_json::Map<_, _>>().into();
    let deep = (0..60).fold(json!({"k": 2}), |inner, _| json!({"a": inner, "k": "b"}));
    for (name, level) in levels {
        let (count, schema) = largest(level);
        let started = Instant::now();
        let validator = Validator::new(&schema).expect("it compiles");
        let compiled = started.elapsed();
        let verdicts: Vec<_> =
            [&wide, &deep, &json!({"k": 2}), &json!({})].map(|args| validator.check(args, WORK).is_ok()).into();
        println!("{name}: {count} levels, compiled in {compiled:?}, all in {:?}, {verdicts:?}", started.elapsed());
        assert!(started.elapsed() < FAR_TOO_LONG, "{name}: {count} levels took {:?}", started.elapsed());
    }
}
