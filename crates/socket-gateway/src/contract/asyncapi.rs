//! The contract as an AsyncAPI 3 document. There is no official binding for Socket.IO: the channel is the namespace, a message
//! is an event, and an acknowledgement is a reply that is marked with `x-socketio-ack`.

use crate::wire::PROTOCOL;
use serde_json::{Map, Value, json};

/// The document, from the server's side: it sends what clients receive.
pub(super) fn document(schema: &Value) -> Value {
    let definitions = schema["definitions"].as_object().expect("definitions");
    let mut parts = Parts::default();
    for (name, payload) in entries(&definitions["ServerEvents"]) {
        let arguments = json!([{ "$ref": "#/definitions/Meta" }]);
        parts.message(
            name,
            payload,
            json!({ "x-socketio-more-arguments": arguments, "x-logged": payload["x-logged"] }),
        );
        parts.operation(name, "send", json!({}));
    }
    parts.add_message(
        "refused",
        "refused",
        &json!({ "$ref": "#/definitions/Refused" }),
        json!({ "x-socketio-ack": true }),
    );
    for (name, payload) in entries(&definitions["ClientEvents"]) {
        parts.message(name, payload, json!({ "x-by": payload["x-by"] }));
        let (followed, answer) = (key(name) + ".followed", &definitions["Answers"]["properties"][name]);
        parts.add_message(&followed, &followed, answer, json!({ "x-socketio-ack": true }));
        let answers = [in_channel(&followed), in_channel("refused")];
        let reply = json!({ "channel": { "$ref": CHANNEL }, "messages": answers, "x-socketio-ack": true });
        parts.operation(name, "receive", json!({ "reply": reply }));
    }
    let is_table = |name: &str| ["ServerEvents", "ClientEvents", "Answers"].contains(&name);
    let schemas: Map<_, _> =
        definitions.iter().filter(|(name, _)| !is_table(name)).map(|(n, s)| (n.clone(), s.clone())).collect();
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lockkeeper over Socket.IO",
            "version": format!("{PROTOCOL}.0.0"),
            "description": "Generated from crates/socket-gateway/src/wire by `just contract`. Socket.IO 4 over WebSocket or \
                long polling, path /socket.io/. For clients that ask for version 2, every event from the server has a second argument, the schema Meta.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": { "root": {
            "address": "/",
            "title": "The namespace /",
            "description": "A connection is a view of one session.",
            "messages": parts.in_channel,
            "bindings": { "ws": { "query": { "$ref": "#/definitions/HandshakeQuery" }, "bindingVersion": "0.1.0" } },
            "x-socketio-auth": { "$ref": "#/definitions/HandshakeAuth" },
        } },
        "operations": parts.operations,
        "components": { "messages": parts.messages, "schemas": schemas },
    });
    relocate(&mut document);
    document
}

const CHANNEL: &str = "#/channels/root";

#[derive(Default)]
struct Parts {
    messages: Map<String, Value>,
    in_channel: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Parts {
    fn message(&mut self, name: &str, payload: &Value, more: Value) {
        let key = key(name);
        self.add_message(&key, name, payload, more);
        self.messages[&key]["description"] = payload["description"].clone();
    }

    fn add_message(&mut self, key: &str, name: &str, payload: &Value, more: Value) {
        let mut message = json!({ "name": name, "payload": payload });
        if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
            message.extend(more);
        }
        self.messages.insert(key.to_owned(), message);
        self.in_channel.insert(key.to_owned(), json!({ "$ref": format!("#/components/messages/{key}") }));
    }

    fn operation(&mut self, name: &str, action: &str, more: Value) {
        let key = key(name);
        let mut operation = json!({ "action": action, "channel": { "$ref": CHANNEL }, "messages": [in_channel(&key)] });
        if let (Value::Object(operation), Value::Object(more)) = (&mut operation, more) {
            operation.extend(more);
        }
        self.operations.insert(key, operation);
    }
}

fn entries(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flatten()
}

fn in_channel(key: &str) -> Value {
    json!({ "$ref": format!("{CHANNEL}/messages/{key}") })
}

/// Keys of components hold no colon.
fn key(name: &str) -> String {
    name.replace(':', ".")
}

/// Points references at where the schemas are in this document.
fn relocate(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(relocate),
        Value::Object(object) => {
            if let Some(Value::String(to)) = object.get_mut("$ref") {
                *to = to.replace("#/definitions/", "#/components/schemas/");
            }
            object.values_mut().for_each(relocate);
        }
        _ => {}
    }
}
