use crate::{Event, repository};
use anyhow::{Context, Result, ensure};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    sync::{LazyLock, OnceLock},
};

/// What clients may see, by the JSON Schema that is committed. It is held more strictly here than a client should: a field that
/// is not described is wrong.
pub(crate) struct Contract {
    document: Value,
    validators: HashMap<String, OnceLock<Result<Validator, String>>>,
}

impl Contract {
    /// The committed one.
    pub(crate) fn committed() -> &'static Self {
        static COMMITTED: LazyLock<Contract> = LazyLock::new(|| {
            let file = repository().join("docs/contract/events.schema.json");
            let text = fs::read_to_string(file).expect("the contract is committed; run `just contract`");
            Contract::new(serde_json::from_str(&text).expect("the contract is JSON; run `just contract`"))
        });
        &COMMITTED
    }

    fn new(mut document: Value) -> Self {
        forbid_more(&mut document, false);
        let names = |table: &str| {
            let properties = document["definitions"][table]["properties"].as_object();
            properties.into_iter().flatten().map(|(name, _)| format!("{table}/properties/{name}")).collect::<Vec<_>>()
        };
        let places = ["ServerEvents", "Answers"].into_iter().flat_map(names);
        let validators =
            places.chain(["Meta".into(), "Refused".into()]).map(|place| (place, OnceLock::new())).collect();
        Self { document, validators }
    }

    /// Whether an event may look like this.
    pub(crate) fn check_event(&self, event: &Event) -> Result<()> {
        let place = format!("ServerEvents/properties/{}", event.name);
        self.check(&place, &event.payload)?;
        self.check("Meta", &event.meta).with_context(|| event.name.clone())?;
        let logged = &self.document["definitions"]["ServerEvents"]["properties"][&event.name]["x-logged"];
        match logged.as_str() {
            Some("always") => ensure!(event.id().is_some(), "{} is logged and has no id", event.name),
            Some("never") => ensure!(event.id().is_none(), "{} is not logged and has an id", event.name),
            _ => {}
        }
        Ok(())
    }

    /// Whether this command may be answered so.
    pub(crate) fn check_answer(&self, command: &str, answer: &Value) -> Result<()> {
        let place = if answer["ok"] == true { format!("Answers/properties/{command}") } else { "Refused".into() };
        self.check(&place, answer).with_context(|| format!("the answer to {command}"))
    }

    fn check(&self, place: &str, value: &Value) -> Result<()> {
        let validator = self.validators.get(place).with_context(|| format!("the contract has no {place}"))?;
        let validator = validator.get_or_init(|| self.compile(place));
        let validator = validator.as_ref().map_err(|problem| anyhow::anyhow!("{place}: {problem}"))?;
        let broken =
            |error: jsonschema::ValidationError<'_>| format!("{} at {:?}", error, error.instance_path().as_str());
        let problems: Vec<_> = validator.iter_errors(value).map(broken).collect();
        ensure!(problems.is_empty(), "the contract says otherwise of {place}: {}\n{value}", problems.join("; "));
        Ok(())
    }

    fn compile(&self, place: &str) -> Result<Validator, String> {
        let schema = json!({
            "$schema": self.document["$schema"],
            "definitions": self.document["definitions"],
            "allOf": [{ "$ref": format!("#/definitions/{place}") }],
        });
        jsonschema::options().should_validate_formats(true).build(&schema).map_err(|error| error.to_string())
    }
}

/// Lets objects hold what is described of them and nothing else. A choice among several, `is_part` of an object that has fields
/// besides, is left as it is: draft 07 cannot say it of the whole.
fn forbid_more(schema: &mut Value, is_part: bool) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| forbid_more(item, is_part)),
        Value::Object(object) => {
            let has_choices = ["oneOf", "anyOf", "allOf"].iter().any(|key| object.contains_key(*key));
            let has_fields = object.get("properties").is_some_and(Value::is_object);
            if has_fields && !has_choices && !is_part {
                object.entry("additionalProperties").or_insert(false.into());
            }
            for (key, value) in object.iter_mut() {
                let is_choice = ["oneOf", "anyOf", "allOf"].contains(&key.as_str());
                forbid_more(value, is_choice && has_fields);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, payload: Value, meta: Value) -> Event {
        Event { name: name.into(), payload, meta }
    }

    #[test]
    fn what_the_contract_does_not_say_is_found() {
        let at = "2026-01-01T00:00:00.000Z";
        let logged = json!({ "id": "1-7", "turn": 2, "at": at });
        let piece = json!({ "text": "a", "step": 0, "attempt": 0 });
        let contract = Contract::committed();
        contract.check_event(&event("agent:delta", piece.clone(), logged.clone())).expect("as it should be");
        contract.check_event(&event("agent:thinking", Value::Null, json!({ "at": at }))).expect("as it should be");
        for (name, payload, meta) in [
            ("agent:delta", json!({ "text": "a", "step": 0 }), logged.clone()),
            ("agent:delta", json!({ "text": "a", "step": "0", "attempt": 0 }), logged.clone()),
            ("agent:delta", json!({ "text": "a", "step": 0, "attempt": 0, "more": 1 }), logged.clone()),
            ("agent:delta", piece.clone(), json!({ "at": at })),
            ("agent:delta", piece.clone(), json!({ "id": "7", "at": at })),
            ("agent:delta", piece, json!({ "id": "1-7", "at": "today" })),
            ("agent:thinking", Value::Null, logged.clone()),
            ("agent:response", Value::Null, logged.clone()),
            ("agent:weather", Value::Null, logged),
        ] {
            let event = event(name, payload, meta);
            assert!(contract.check_event(&event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn answers_are_those_of_their_commands() {
        let contract = Contract::committed();
        let accepted = json!({ "ok": true, "turn": 1, "duplicate": false });
        contract.check_answer("message", &accepted).expect("as it should be");
        assert!(contract.check_answer("turn:cancel", &accepted).is_err());
        assert!(contract.check_answer("no:such", &json!({ "ok": true })).is_err());
        let refused = json!({ "ok": false, "code": "busy", "message": "Later.", "retryable": true });
        contract.check_answer("no:such", &refused).expect("as it should be");
        assert!(contract.check_answer("message", &json!({ "ok": false, "code": "tired", "message": "" })).is_err());
    }
}
