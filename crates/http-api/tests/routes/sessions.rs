//! A user's own sessions over HTTP. Everybody is ann in this world.

use crate::world::World;
use axum::http::Method;
use lockkeeper_testkit::llm::Step;
use serde_json::Value;

async fn names(world: &World) -> Vec<String> {
    let (status, _, answer) = world.ask(Method::GET, "/api/sessions", None, "").await;
    assert_eq!(status, 200, "{answer}");
    let sessions = answer["sessions"].as_array().expect("a list");
    let mut names: Vec<_> = sessions.iter().filter_map(|one| one["sessionId"].as_str()).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn own_sessions_are_listed_ended_and_deleted_without_a_connection() {
    let world = World::new([Step::text("Hi."), Step::text("Ho."), Step::text("Hey.")]);
    for (session, owner) in [("one", "ann"), ("two", "ann"), ("bobs", "bob")] {
        world.session(session, owner, "Hello").await;
    }
    assert_eq!(names(&world).await, ["one", "two"]);
    let (status, _, answer) = world.ask(Method::POST, "/api/sessions/one/end", None, "").await;
    assert_eq!((status.as_u16(), &answer["ok"]), (200, &Value::Bool(true)));
    assert_eq!(names(&world).await, ["one", "two"], "its history stays");
    let (status, _, answer) = world.ask(Method::DELETE, "/api/sessions/two", None, "").await;
    assert_eq!((status.as_u16(), &answer["ok"]), (200, &Value::Bool(true)));
    assert_eq!(names(&world).await, ["one"]);
    for (method, path) in [(Method::DELETE, "/api/sessions/bobs"), (Method::POST, "/api/sessions/bobs/end")] {
        let (status, _, answer) = world.ask(method, path, None, "").await;
        assert_eq!((status.as_u16(), answer["code"].as_str()), (403, Some("forbidden")), "{path}");
    }
    let (status, _, _) = world.ask(Method::GET, "/api/sessions", Some("Basic x"), "").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn older_frontends_find_the_health_and_the_reasons_they_know() {
    let world = World::new([Step::text("Hi.")]);
    let (_, _, before) = world.ask(Method::GET, "/api/mcp/health", None, "").await;
    assert_eq!(before["summary"]["total"], 1);
    assert_eq!((&before["mcps"][0]["name"], &before["mcps"][0]["status"]), (&"box".into(), &"healthy".into()));
    for (method, path) in [(Method::POST, "/api/mcp/add"), (Method::DELETE, "/api/mcp/box")] {
        let (status, _, answer) = world.ask(method, path, None, r#"{"name":"x"}"#).await;
        assert_eq!(status, 403, "{path}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains("lockkeeper mcp add")), "{answer}");
    }
}
