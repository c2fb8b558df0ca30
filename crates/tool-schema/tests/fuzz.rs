//! Random schemas and arguments: whatever is within the budget is checked within the limit of work, and nothing panics.
//!
//! `LOCKKEEPER_FUZZ_SECS` says for how long; a second by default.

use lockkeeper_tool_schema::{Budget, Inspector, Validator};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn leaf() -> impl Strategy<Value = Value> {
    let reference = prop_oneof![
        20 => (0..4_usize).prop_map(|at| format!("#/$defs/{}", NAMES[at])),
        6 => Just("#".to_owned()),
        1 => Just("#n".to_owned()),
        1 => Just("#/$defs/a/allOf/0".to_owned()),
        1 => "[#/a-z~%0-9]{0,6}",
    ];
    prop_oneof![
        2 => (prop_oneof![Just("$ref"), Just("$dynamicRef"), Just("$recursiveRef")], reference).prop_map(|(keyword, to)| json!({keyword: to})),
        1 => Just(json!({"$dynamicAnchor": "n", "$anchor": "n"})),
        1 => "[a-z(){},+*?0-9\\[\\]|\\\\]{0,12}".prop_map(|pattern| json!({"pattern": pattern})),
        1 => prop_oneof![Just("string"), Just("object"), Just("array")].prop_map(|kind| json!({"type": kind})),
        1 => Just(json!({"uniqueItems": true, "enum": [1, "a", {"a": 1}]})),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    let part = leaf().prop_recursive(4, 32, 4, |part| {
        let one = prop_oneof![
            Just("not"),
            Just("if"),
            Just("then"),
            Just("else"),
            Just("items"),
            Just("additionalProperties"),
            Just("contains"),
            Just("propertyNames"),
            Just("unevaluatedProperties"),
            Just("unevaluatedItems")
        ];
        let several = prop_oneof![Just("allOf"), Just("anyOf"), Just("oneOf"), Just("prefixItems"), Just("items")];
        let named =
            prop_oneof![Just("properties"), Just("patternProperties"), Just("dependentSchemas"), Just("dependencies")];
        let members = prop::collection::vec((0..4_usize, part.clone()), 0..4);
        let keyword = prop_oneof![
            (one, part.clone()).prop_map(|(keyword, part)| (keyword, part)),
            (several, prop::collection::vec(part, 1..4)).prop_map(|(keyword, parts)| (keyword, Value::from(parts))),
            (named, members).prop_map(|(keyword, parts)| {
                let parts: Map<_, _> = parts.into_iter().map(|(at, part)| (NAMES[at].to_owned(), part)).collect();
                (keyword, Value::from(parts))
            }),
        ];
        prop::collection::vec(keyword, 1..4).prop_map(|all| {
            all.into_iter().map(|(keyword, part)| (keyword.to_owned(), part)).collect::<Map<_, _>>().into()
        })
    });
    (part.clone(), prop::collection::vec(part, 4)).prop_map(|(root, parts)| {
        let defs: Map<_, _> = NAMES.iter().zip(parts).map(|(name, part)| ((*name).to_owned(), part)).collect();
        let mut root = if root.is_object() { root } else { json!({}) };
        root["$defs"] = defs.into();
        root
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "[a-d]{0,40}".prop_map(Value::from)];
    leaf.prop_recursive(12, 200, 6, |part| {
        prop_oneof![
            prop::collection::vec(part.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((0..4_usize, part), 0..6).prop_map(|members| {
                members.into_iter().map(|(at, part)| (NAMES[at].to_owned(), part)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

/// Covers: S1-1
#[test]
fn schemas_within_budget_are_checked_within_the_work_limit() {
    const MAX_WORK: u64 = 200_000;
    // Steps are some hundred nanoseconds in a debug build; this allows for a machine that is a hundred times as slow.
    const FAR_TOO_LONG: Duration = Duration::from_secs(20);
    #[expect(clippy::disallowed_methods, reason = "a test reads how long it may go on")]
    let seconds = std::env::var("LOCKKEEPER_FUZZ_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut runner = TestRunner::new(Config::default());
    let (schemas, values) = (schema(), arguments());
    let (mut taken, mut checked) = (0_u64, 0_u64);
    while Instant::now() < end || taken == 0 {
        let schema = schemas.new_tree(&mut runner).expect("a schema").current();
        if Inspector::new(Budget::default()).check(&schema).is_err() {
            continue;
        }
        taken += 1;
        let Ok(validator) = Validator::new(&schema) else { continue };
        for _ in 0..4 {
            let args = values.new_tree(&mut runner).expect("arguments").current();
            let started = Instant::now();
            let verdict = validator.check(&args, MAX_WORK);
            assert!(started.elapsed() < FAR_TOO_LONG, "{schema}\n{args}\n{verdict:?}");
            checked += 1;
        }
    }
    println!("{taken} schemas within budget, {checked} checks");
}
