//! Which schemas are within the budget, and what validations cost.

use lockkeeper_tool_schema::{Budget, Inspector, Invalid, OverBudget, Validator};
use serde_json::{Value, json};

const WORK: u64 = 10_000_000;

fn checked(schema: &Value) -> Result<(), OverBudget> {
    Inspector::new(Budget::default()).check(schema)
}

/// `levels` definitions, each made by `level` from a reference to the next.
fn chain(levels: usize, level: impl Fn(Value) -> Value) -> Value {
    let mut defs: serde_json::Map<_, _> =
        (0..levels).map(|at| (format!("a{at}"), level(json!({"$ref": format!("#/$defs/a{}", at + 1)})))).collect();
    defs.insert(format!("a{levels}"), json!({"type": "string"}));
    json!({"$defs": defs, "type": "object", "properties": {"x": {"$ref": "#/$defs/a0"}}})
}

/// A keyword, and the schema with it around the schema of the next level.
type Level = (&'static str, fn(Value) -> Value);

/// Covers: S1-1
#[test]
fn references_that_double_are_over_budget_in_each_keyword() {
    let doubled: [Level; 9] = [
        ("allOf", |next| json!({"allOf": [next, next]})),
        ("anyOf", |next| json!({"anyOf": [next, next]})),
        ("oneOf", |next| json!({"oneOf": [next, next]})),
        ("not", |next| json!({"not": next, "allOf": [next]})),
        ("if", |next| json!({"if": next, "then": next, "else": next})),
        ("dependentSchemas", |next| json!({"dependentSchemas": {"a": next, "b": next}})),
        ("dependencies", |next| json!({"dependencies": {"a": next, "b": next}})),
        ("properties", |next| json!({"properties": {"a": next, "b": next}})),
        ("patternProperties", |next| json!({"patternProperties": {"a": next, "b": next}})),
    ];
    for (keyword, level) in doubled {
        assert!(matches!(checked(&chain(30, level)), Err(OverBudget::Expansions { .. })), "{keyword}");
        assert_eq!(checked(&chain(4, level)), Ok(()), "{keyword}");
    }
}

/// Covers: S1-1
#[test]
fn recursion_is_judged_by_how_its_work_grows() {
    let tree = json!({"$defs": {"n": {"properties": {"left": {"$ref": "#/$defs/n"}, "right": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
    let any = json!({"anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]});
    let beside = json!({"properties": {"child": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}});
    for good in [tree, any, beside] {
        assert_eq!(checked(&good), Ok(()), "{good}");
    }
    let twice = json!({"properties": {"x": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
    let branches = json!({"anyOf": [{"items": {"$ref": "#"}}, {"prefixItems": [{"$ref": "#"}]}]});
    let dynamic = json!({"$dynamicAnchor": "n", "allOf": [{"additionalProperties": {"$dynamicRef": "#n"}}, {"properties": {"x": {"$dynamicRef": "#n"}}}]});
    for bad in [twice, branches, dynamic] {
        assert!(matches!(checked(&bad), Err(OverBudget::Expansions { .. })), "{bad}");
    }
    for endless in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$recursiveRef": "#"}]}),
        json!({"$id": "urn:a", "not": {"$ref": "urn:a"}}),
    ] {
        assert_eq!(checked(&endless), Err(OverBudget::Endless), "{endless}");
    }
}

#[test]
fn references_are_found_by_pointer_and_anchor_or_refused() {
    let target = |reference: &str| json!({"$ref": reference, "$defs": {"a/b~c %": {"$anchor": "here"}}, "default": {"odd": [{}, {"type": "string"}]}});
    for good in ["#/$defs/a~1b~0c%20%25", "#here", "#/default/odd/1"] {
        assert_eq!(checked(&target(good)), Ok(()), "{good}");
    }
    for bad in
        ["#/$defs/none", "#none", "http://example.com/schema", "http://json-schema.org/draft-07/schema#", "#/%zz"]
    {
        assert_eq!(checked(&target(bad)), Err(OverBudget::Reference), "{bad}");
    }
    let old = json!({"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"a": {}}, "properties": {
        "x": {"id": "http://example.com/x", "$ref": "#/definitions/a", "definitions": {"a": {}}}}});
    assert_eq!(checked(&old), Err(OverBudget::EmbeddedId));
    let embedded = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$id": "http://example.com/a"}}});
    assert_eq!(checked(&embedded), Err(OverBudget::EmbeddedId));
}

#[test]
fn sizes_depths_and_patterns_are_limited() {
    assert!(matches!(checked(&json!({"enum": ["x".repeat(70_000)]})), Err(OverBudget::Bytes { .. })));
    let deep = (0..200).fold(json!({}), |inner, _| json!({"not": inner}));
    assert!(matches!(checked(&deep), Err(OverBudget::Depth { .. })));
    assert!(matches!(checked(&chain(300, |next| json!({"allOf": [next]}))), Err(OverBudget::Depth { .. })));
    let many: serde_json::Map<_, _> =
        (0..100).map(|at| (format!("p{at}"), json!({"pattern": format!("^{at}$")}))).collect();
    assert!(matches!(checked(&json!({"properties": many})), Err(OverBudget::Patterns { .. })));
    assert_eq!(checked(&json!({"pattern": "x".repeat(2_000)})), Err(OverBudget::PatternSize));
    assert_eq!(checked(&json!({"patternProperties": {"(a{1000}){1000}": {}}})), Err(OverBudget::PatternEngine));
    assert_eq!(checked(&json!({"not": {"pattern": "(.+)\\1"}})), Err(OverBudget::PatternEngine));
}

/// Covers: S1-1
#[test]
fn a_pattern_that_backtracks_is_left_out_of_the_check() {
    let schema = json!({"properties": {"x": {"type": "string", "pattern": "^(a+)+\\1$"}}});
    assert_eq!(checked(&schema), Ok(()));
    let validator = Validator::new(&schema).expect("it compiles");
    assert_eq!(validator.check(&json!({"x": "b"}), WORK), Ok(()));
    assert!(validator.check(&json!({"x": 1}), WORK).is_err());
    let linear = Validator::new(&json!({"pattern": "^(a+)+$"})).expect("it compiles");
    assert!(linear.check(&json!("a".repeat(20_000) + "!"), WORK).is_err());
}

/// Covers: S1-1
#[test]
fn work_that_depends_on_the_arguments_is_refused_before_it_is_done() {
    let doubled = json!({"properties": {"x": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["y"]});
    let deep = (0..60).fold(json!({}), |inner, _| json!({"x": inner}));
    assert_eq!(Validator::new(&doubled).expect("it compiles").check(&deep, WORK), Err(Invalid::TooMuchWork));
    let left = |inner: Value| json!({"unevaluatedProperties": false, "anyOf": [inner, {"required": ["z"]}]});
    let nested = (0..40).fold(json!({"type": "object"}), |inner, _| left(inner));
    assert_eq!(Validator::new(&nested).expect("it compiles").check(&json!({"a": 1}), WORK), Err(Invalid::TooMuchWork));
    let many = json!({"anyOf": (0..1000).map(|at| json!({"const": at})).collect::<Vec<_>>()});
    let items = Validator::new(&json!({"items": many})).expect("it compiles");
    assert_eq!(items.check(&Value::from(vec![-1; 50_000]), WORK), Err(Invalid::TooMuchWork));
    let heavy = Validator::new(&json!({"pattern": "^([a-z]{1,50}x){1,10}$"})).expect("it compiles");
    assert_eq!(heavy.check(&json!("a".repeat(1 << 20)), WORK), Err(Invalid::TooMuchWork));
}

#[test]
fn errors_of_a_mismatch_are_few_and_short() {
    let validator = Validator::new(&json!({"items": {"type": "string"}})).expect("it compiles");
    let Err(Invalid::Mismatch(shown)) = validator.check(&json!([1, 2, 3, 4, 5, 6, 7, vec![0; 1000]]), WORK) else {
        panic!("it does not fit");
    };
    assert_eq!(shown.len(), 5);
    assert!(shown.iter().all(|error| error.len() < 320), "{shown:?}");
    let plain = Validator::new(&json!({"required": ["a"]})).expect("it compiles").check(&json!({}), WORK);
    assert!(plain.expect_err("a is missing").to_string().contains("\"a\" is a required property"));
}

#[test]
fn schemas_of_everyday_tools_are_within_budget() {
    let filter = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
            "at": {"type": "string", "pattern": "^((\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|(02)-(0[1-9]|1\\d|2[0-8])))T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?(Z)$"},
            "paths": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true},
            "edits": {"type": "array", "items": {"$ref": "#/definitions/edit"}}},
        "definitions": {"edit": {"type": "object", "required": ["old", "new"], "properties": {"old": {"type": "string"}, "new": {"type": "string"}}}}});
    assert_eq!(checked(&filter), Ok(()));
    let validator = Validator::new(&filter).expect("it compiles");
    let args = json!({"id": "6c84fb90-12c4-11e1-840d-7b25c5ee775a", "at": "2024-02-29T10:00:00Z", "paths": ["a", "b"],
        "edits": [{"old": "x".repeat(500_000), "new": "y"}]});
    assert_eq!(validator.check(&args, WORK), Ok(()));
}
