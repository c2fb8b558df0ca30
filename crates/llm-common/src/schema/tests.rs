use super::*;

/// A property `p` of this schema, as `dialect` takes it.
#[track_caller]
fn check(dialect: &Dialect, property: &Value, expected: &Value) {
    let whole = json!({"type": "object", "properties": {"p": property}});
    let fixed = repair(&whole, dialect).schema;
    assert_eq!(fixed["properties"]["p"], *expected, "{property}");
}

#[track_caller]
fn everywhere(property: &Value, expected: &Value) {
    for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE, Dialect::CLAUDE, Dialect::GEMINI] {
        check(&dialect, property, expected);
    }
}

#[test]
fn a_sound_schema_stays_as_it_is() {
    let sound = json!({
        "type": "object",
        "description": "What to look for.",
        "properties": {
            "query": {"type": "string", "minLength": 1, "description": "Words."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
            "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
            "where": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        },
        "required": ["query"],
        "additionalProperties": false,
    });
    for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE, Dialect::CLAUDE, Dialect::GEMINI] {
        let repaired = repair(&sound, &dialect);
        assert_eq!(repaired.schema, sound);
        assert_eq!(repaired.schema.to_string(), sound.to_string(), "in its order");
        assert!(repaired.names.is_empty());
    }
}

#[test]
fn arrays_have_items_at_every_depth() {
    everywhere(&json!({"type": "array"}), &json!({"type": "array", "items": {}}));
    everywhere(
        &json!({"type": "array", "items": {"type": "array", "items": null}}),
        &json!({"type": "array", "items": {"type": "array", "items": {}}}),
    );
    check(
        &Dialect::OPENAI,
        &json!({"type": "array", "items": [{"type": "string"}, {"type": "array"}], "additionalItems": false}),
        &json!({
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "array", "items": {}}],
            "items": {},
            "maxItems": 2,
        }),
    );
    check(&Dialect::CLAUDE, &json!({"type": ["array", "null"]}), &json!({"type": ["array", "null"], "items": {}}));
}

#[test]
fn words_of_other_drafts_are_translated() {
    let bounds =
        json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true, "exclusiveMaximum": false, "maximum": 9});
    check(&Dialect::OPENAI, &bounds, &json!({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}));
    check(&Dialect::GEMINI, &bounds, &json!({"type": "integer", "minimum": 0, "maximum": 9}));
    check(&Dialect::CLAUDE, &json!({"type": "number", "exclusiveMaximum": true}), &json!({"type": "number"}));
    check(
        &Dialect::CLAUDE,
        &json!({"type": "string", "nullable": true, "enum": ["a"]}),
        &json!({"type": ["string", "null"], "enum": ["a", null]}),
    );
    everywhere(&json!({"type": "STRING", "id": "#x", "$comment": "c"}), &json!({"type": "string"}));
    everywhere(&json!({"type": "any", "description": "d"}), &json!({"description": "d"}));
    let third = json!({"properties": {"a": {"type": "string", "required": true}, "b": {"required": false}}});
    let fixed = repair(&third, &Dialect::OPENAI).schema;
    assert_eq!(fixed["required"], json!(["a"]));
    assert_eq!(fixed["properties"]["a"], json!({"type": "string"}));
}

#[test]
fn members_that_are_no_schemas_are_left_out() {
    let odd = json!({
        "type": "object",
        "properties": {"file": {"type": "string"}, "type": "object", "n": null, "any": true, "never": false},
        "required": ["file", "type", "never", 7, "file"],
    });
    for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE, Dialect::CLAUDE, Dialect::GEMINI] {
        let fixed = repair(&odd, &dialect).schema;
        assert_eq!(fixed["properties"], json!({"file": {"type": "string"}, "any": {}}));
        assert_eq!(fixed["required"], json!(["file"]));
    }
    everywhere(&json!({"type": "object", "properties": ["a"]}), &json!({"type": "object"}));
    everywhere(&json!({"type": "string", "enum": "a", "minLength": "x", "title": 7}), &json!({"type": "string"}));
    everywhere(&json!({"anyOf": ["string", null]}), &json!({}));
}

#[test]
fn references_are_replaced_and_end() {
    let tree = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "node": {"$ref": "#/definitions/Node", "description": "The root."},
            "gone": {"$ref": "#/definitions/Gone", "description": "Lost."},
            "far": {"$ref": "https://a.example/s.json"},
            "self": {"$ref": "#"},
        },
        "definitions": {
            "Node": {"type": "object", "properties": {
                "name": {"$ref": "#/definitions/Name"},
                "children": {"type": "array", "items": {"$ref": "#/definitions/Node"}},
            }},
            "Name": {"type": "string"},
        },
    });
    for dialect in [Dialect::OPENAI, Dialect::COMPATIBLE, Dialect::CLAUDE, Dialect::GEMINI] {
        let fixed = repair(&tree, &dialect).schema;
        assert!(!fixed.to_string().contains("$ref") && !fixed.to_string().contains("$schema"), "{fixed}");
        let node = json!({"type": "object", "description": "The root.", "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"type": "object"}},
        }});
        assert_eq!(fixed["properties"]["node"], node);
        assert_eq!(fixed["properties"]["gone"], json!({"description": "Lost."}));
        assert_eq!(fixed["properties"]["far"], json!({}));
        assert_eq!(fixed["properties"]["self"]["type"], "object");
    }
}

#[test]
fn references_that_multiply_are_bounded() {
    let mut defs = Map::new();
    for n in 0..24 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        defs.insert(format!("d{n}"), json!({"type": "object", "properties": {"a": next, "b": next, "c": next}}));
    }
    defs.insert("d24".to_owned(), json!({"type": "string"}));
    let fixed = repair(&json!({"$ref": "#/$defs/d0", "$defs": defs}), &Dialect::GEMINI).schema;
    assert!(fixed.to_string().len() < 400_000, "{}", fixed.to_string().len());
}

#[test]
fn the_root_is_an_object_without_alternatives() {
    let check = |schema: Value, expected: Value| {
        assert_eq!(repair(&schema, &Dialect::CLAUDE).schema, expected, "{schema}");
    };
    check(json!({}), json!({"type": "object"}));
    check(json!(true), json!({"type": "object"}));
    check(json!({"type": ["object", "null"], "enum": [{}]}), json!({"type": "object"}));
    check(
        json!({"description": "d", "anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "c": {}}, "required": ["a", "c"]},
            {"$ref": "#/$defs/B"},
        ], "$defs": {"B": {"type": "object", "properties": {"b": {"type": "number"}, "c": {}}, "required": ["c"]}}}),
        json!({
            "description": "d",
            "type": "object",
            "properties": {"a": {"type": "string"}, "c": {}, "b": {"type": "number"}},
            "required": ["c"],
        }),
    );
    assert_eq!(repair(&json!(null), &Dialect::OPENAI).schema, json!({"type": "object", "properties": {}}));
}

#[test]
fn names_are_renamed_there_and_back() {
    let odd = json!({
        "type": "object",
        "properties": {
            "$filter": {"type": "string"},
            "filter[name]": {"type": "string", "description": "By name."},
            "_filter": {"type": "boolean"},
            "deep": {"type": "array", "items": {"anyOf": [
                {"type": "object", "properties": {"@id": {"type": "string"}}, "required": ["@id"]},
                {"type": "string"},
            ]}},
        },
        "required": ["$filter"],
    });
    let Repaired { schema, names } = repair(&odd, &Dialect::CLAUDE);
    let keys: Vec<&String> = schema["properties"].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["_filter_2", "filter_name_", "_filter", "deep"]);
    assert_eq!(schema["required"], json!(["_filter_2"]));
    assert_eq!(schema["properties"]["filter_name_"]["description"], "By name. The tool calls it `filter[name]`.");
    let mut args =
        json!({"_filter_2": "a", "_filter": true, "filter_name_": "b", "deep": [{"_id": "1"}, "x"], "other": 1});
    names.restore(&mut args);
    let own = json!({"$filter": "a", "_filter": true, "filter[name]": "b", "deep": [{"@id": "1"}, "x"], "other": 1});
    assert_eq!(args, own);
    assert!(repair(&odd, &Dialect::OPENAI).names.is_empty(), "OpenAI takes any name");
    let mut args = json!("no object");
    names.restore(&mut args);
    assert_eq!(args, "no object");
}

#[test]
fn gemini_gets_the_part_of_the_language_that_it_knows() {
    let check = |property: Value, expected: Value| check(&Dialect::GEMINI, &property, &expected);
    check(
        json!({"type": ["string", "null"], "description": "d", "pattern": "a", "examples": [1]}),
        json!({"anyOf": [{"type": "string", "description": "d"}, {"type": "null"}]}),
    );
    check(json!({"const": "a"}), json!({"type": "string", "enum": ["a"]}));
    check(
        json!({"type": "string", "enum": ["a", "", null]}),
        json!({"anyOf": [
            {"type": "string", "enum": ["a"]}, {"type": "null"},
        ]}),
    );
    check(json!({"enum": [true, "a"]}), json!({"description": "One of [true,\"a\"]."}));
    check(json!({"type": "string", "format": "uri"}), json!({"type": "string", "description": "Format: uri."}));
    check(
        json!({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b", "z"]}]}),
        json!({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}),
    );
    check(
        json!({"description": "d", "oneOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"anyOf": [{"type": "string", "description": "d"}, {"type": "integer", "description": "d"}]}),
    );
    check(json!({"patternProperties": {"^x": {}}, "if": {}, "type": "object"}), json!({"type": "object"}));
}

#[test]
fn patterns_that_grammars_do_not_take_are_left_out() {
    let loose = json!({"type": "string", "pattern": "[a-z]+"});
    check(&Dialect::COMPATIBLE, &loose, &json!({"type": "string"}));
    check(&Dialect::OPENAI, &loose, &loose);
    let whole = json!({"type": "string", "pattern": "^[a-z]+$"});
    check(&Dialect::COMPATIBLE, &whole, &whole);
}

#[test]
fn the_plainest_form_keeps_names_types_and_words() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": ["string", "null"], "description": "d", "enum": ["x"]},
        "b": {"type": "array", "items": {"type": "object", "properties": {"c": {}}}},
        "c": {"anyOf": [{}]},
    }, "required": ["a"], "additionalProperties": false});
    assert_eq!(
        plainest(&schema),
        json!({"type": "object", "properties": {
            "a": {"type": "string", "description": "d"},
            "b": {"type": "array", "items": {"type": "object"}},
            "c": {},
        }, "required": ["a"]})
    );
}
