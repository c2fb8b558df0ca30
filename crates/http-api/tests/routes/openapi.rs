//! `docs/openapi.json` describes every route, no other, and each as it answers.

use crate::world::{World, asking};
use axum::http::Method;
use lockkeeper_testkit::llm::Step;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "options"];

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = std::fs::read_to_string(path).expect("docs/openapi.json can be read");
    serde_json::from_str(&text).expect("docs/openapi.json is JSON")
}

fn paths(document: &Value) -> &Map<String, Value> {
    document["paths"].as_object().expect("an object of paths")
}

/// The paths of the router, out of the one place where it tells them: `RouteId(0): "/healthz"`.
fn routed(world: &World) -> BTreeSet<String> {
    let told = format!("{:?}", world.router);
    let after_ids = told.split("RouteId(").filter_map(|part| part.split_once("): \"")).map(|(_, path)| path);
    let all = after_ids.filter_map(|path| path.split_once('"')).map(|(path, _)| path);
    all.filter(|path| !path.contains("__private__")).map(str::to_owned).collect()
}

/// Something in the place of each parameter.
fn concrete(path: &str) -> String {
    path.replace("{sessionId}", "none").replace("{callId}", "call_1_0_0").replace("{name}", "box")
}

#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let (world, document) = (World::new([]), document());
    let routed = routed(&world);
    assert!(routed.len() > 5 && routed.contains("/healthz"), "the router does not tell its routes: {routed:?}");
    let described: BTreeSet<_> = paths(&document).keys().cloned().collect();
    assert_eq!(described, routed);
    for (path, item) in paths(&document) {
        // Engine.IO answers for itself.
        if path.starts_with("/socket.io") {
            continue;
        }
        for name in METHODS {
            let method: Method = name.to_uppercase().parse().expect("a method");
            let (status, _) = world.operator(method, &concrete(path), "").await;
            assert_eq!(item.get(name).is_some(), status != 405, "{name} {path} answers {status}");
        }
    }
}

#[test]
fn the_document_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in paths(&document) {
        for (name, operation) in item.as_object().expect("an object").iter().filter(|(name, _)| *name != "parameters") {
            assert!(METHODS.contains(&name.as_str()), "{name} {path}");
            let id = operation["operationId"].as_str().expect("each operation has an id");
            assert!(ids.insert(id), "{id} is there twice");
            assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{id}");
        }
        let named = item["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path");
        let named: BTreeSet<_> = named.filter_map(|one| one["name"].as_str()).collect();
        let used: BTreeSet<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(named, used, "{path}");
    }
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let text = document.to_string();
    for name in schemas.keys() {
        assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "nobody uses {name}");
        validator(&document, name);
    }
}

/// Of an answer that has nothing but what the schema by this name says.
fn validator(document: &Value, name: &str) -> jsonschema::Validator {
    let schema = json!({
        "$ref": format!("#/components/schemas/{name}"),
        "unevaluatedProperties": false,
        "components": document["components"],
    });
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// That an answer is one that the document describes.
fn check(document: &Value, method: &str, path: &str, status: u16, answer: &Value) {
    let response = &document["paths"][path][method]["responses"][status.to_string()];
    assert!(response.is_object(), "{method} {path} answers {status}, which is not described: {answer}");
    let schema = response["content"]["application/json"]["schema"]["$ref"].as_str();
    let name = schema.and_then(|schema| schema.rsplit('/').next()).expect("answers are JSON by a schema with a name");
    let errors: Vec<_> = validator(document, name).iter_errors(answer).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{method} {path} {status}: {errors:?}\n{answer:#}");
}

#[tokio::test]
async fn what_the_routes_answer_is_what_is_described() {
    let (world, document) = (World::new([Step::text("Hi."), asking()]), document());
    world.session("one", "ann", "Hello").await;
    world.session("two", "bob", "Echo!").await;
    let ask = async |method: Method, path: &str, at: &str, body: &str, expected: u16| {
        let (status, answer) = world.operator(method.clone(), at, body).await;
        assert_eq!(status, expected, "{method} {at}: {answer}");
        check(&document, &method.as_str().to_lowercase(), path, status, &answer);
    };
    let open = ["/healthz", "/readyz", "/version", "/api/mcp/health"];
    for path in open.into_iter().chain(["/api/models", "/api/models/available", "/api/models/check"]) {
        ask(Method::GET, path, path, "", 200).await;
    }
    ask(Method::GET, "/metrics", "/metrics", "", 403).await;
    ask(Method::POST, "/api/mcp/add", "/api/mcp/add", "{}", 403).await;
    ask(Method::DELETE, "/api/mcp/{name}", "/api/mcp/box", "", 403).await;
    let (own, one, ended) = ("/api/sessions", "/api/sessions/{sessionId}", "/api/sessions/{sessionId}/end");
    ask(Method::GET, own, own, "", 200).await;
    ask(Method::GET, own, "/api/sessions?limit=x", "", 400).await;
    ask(Method::GET, "/api/sessions/{sessionId}/audit", "/api/sessions/one/audit", "", 200).await;
    ask(Method::GET, "/api/sessions/{sessionId}/audit", "/api/sessions/two/audit", "", 403).await;
    let operators = "/api/admin/sessions/{sessionId}/audit";
    ask(Method::GET, operators, "/api/admin/sessions/two/audit", "", 200).await;
    ask(Method::GET, operators, "/api/admin/sessions/none/audit", "", 404).await;
    ask(Method::POST, ended, "/api/sessions/one/end", "", 200).await;
    ask(Method::POST, ended, "/api/sessions/two/end", "", 403).await;
    ask(Method::DELETE, one, "/api/sessions/two", "", 403).await;
    ask(Method::DELETE, one, "/api/sessions/a.b", "", 400).await;
    let (sessions, session) = ("/api/admin/sessions", "/api/admin/sessions/{sessionId}");
    let (approvals, approval) = ("/api/admin/approvals", "/api/admin/approvals/{sessionId}/{callId}");
    ask(Method::GET, sessions, sessions, "", 200).await;
    ask(Method::GET, sessions, "/api/admin/sessions?limit=x", "", 400).await;
    ask(Method::GET, session, "/api/admin/sessions/two", "", 200).await;
    ask(Method::GET, session, "/api/admin/sessions/none", "", 404).await;
    ask(Method::GET, approvals, approvals, "", 200).await;
    let two = "/api/admin/approvals/two/call_1_0_0";
    ask(Method::POST, approval, two, "no", 400).await;
    ask(Method::POST, approval, two, r#"{"approved": false}"#, 200).await;
    ask(Method::POST, approval, two, r#"{"approved": false}"#, 409).await;
    ask(Method::POST, approval, "/api/admin/approvals/two/call_9_0_0", r#"{"approved": true}"#, 404).await;
    ask(Method::DELETE, session, "/api/admin/sessions/two", "", 200).await;
    let (status, _, answer) = world.ask(Method::GET, sessions, None, "").await;
    check(&document, "get", sessions, status.as_u16(), &answer);
    let (status, _, answer) = world.ask(Method::GET, "/api/models", Some("Basic x"), "").await;
    check(&document, "get", "/api/models", status.as_u16(), &answer);
    let (status, _, answer) = world.ask(Method::GET, "/api/models/check", Some("Basic x"), "").await;
    check(&document, "get", "/api/models/check", status.as_u16(), &answer);
    world.manager.drain(std::time::Duration::ZERO).await;
    ask(Method::GET, "/readyz", "/readyz", "", 503).await;
}
