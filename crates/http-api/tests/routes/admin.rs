use crate::world::{OPERATOR, TOKEN, World, asking};
use axum::http::{Method, header};
use lockkeeper_domain::{EventBody, NoticeKind};
use lockkeeper_testkit::llm::Step;
use serde_json::{Value, json};

#[tokio::test]
async fn without_a_token_of_operators_there_is_nothing() {
    let world = World::with_token([], None);
    for path in ["/api/admin/sessions", "/api/admin/sessions/a", "/api/admin/approvals"] {
        let (status, _, body) = world.ask(Method::GET, path, Some(&format!("Bearer {TOKEN}")), "").await;
        assert_eq!((status.as_u16(), &body["code"]), (404, &json!("not_found")), "{path}");
    }
}

/// Covers: S2-8
#[tokio::test]
async fn wrong_tokens_are_throttled_and_right_one_passes() {
    let world = World::new([]);
    let mut statuses = Vec::new();
    for (method, path) in [
        (Method::GET, "/api/admin/sessions"),
        (Method::GET, "/api/admin/sessions/a"),
        (Method::DELETE, "/api/admin/sessions/a"),
        (Method::GET, "/api/admin/approvals"),
        (Method::POST, "/api/admin/approvals/a/call_1_0_0"),
    ] {
        for guess in [None, Some("Bearer the-token-of-operatort"), Some("Basic the-token-of-operators")] {
            let (status, headers, body) = world.ask(method.clone(), path, guess, "{\"approved\": true}").await;
            let code = if status == 401 { "unauthenticated" } else { "rate_limited" };
            assert_eq!(body["code"], code, "{path}");
            let says = if status == 401 { header::WWW_AUTHENTICATE } else { header::RETRY_AFTER };
            assert!(headers.contains_key(says));
            statuses.push(status.as_u16());
        }
    }
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 5]].concat());
    let (status, ..) = world.ask(Method::GET, "/api/admin/sessions", Some(&format!("Bearer {TOKEN}")), "").await;
    assert_eq!(status.as_u16(), 200, "wrong tokens of an address lock nobody out");
}

#[tokio::test]
async fn sessions_of_all_users_are_listed_and_shown_without_what_was_said() {
    let world = World::new([Step::text("Paris."), Step::text("Rome.")]);
    world.session("one", "ann", "The capital of France?").await;
    world.session("two", "bob", "And of Italy?").await;
    let (status, listed) = world.operator(Method::GET, "/api/admin/sessions", "").await;
    assert_eq!((status, listed["sessions"].as_array().map(Vec::len)), (200, Some(2)));
    let (_, listed) = world.operator(Method::GET, "/api/admin/sessions?owner=ann&limit=5", "").await;
    let mut one = listed["sessions"][0].clone();
    for time in ["createdAt", "lastActiveAt"] {
        one[time] = json!("..");
    }
    let expected = json!({
        "sessionId": "one", "owner": "ann", "title": "The capital of France?", "createdAt": "..", "lastActiveAt": "..",
        "busy": false, "model": "scripted-1", "hasSandbox": true,
    });
    assert_eq!((one, listed["sessions"].as_array().map(Vec::len)), (expected, Some(1)));
    let (_, shown) = world.operator(Method::GET, "/api/admin/sessions/one", "").await;
    assert_eq!((&shown["messages"], &shown["calls"], &shown["turn"]), (&json!(2), &json!([]), &Value::Null));
    assert!(!shown.to_string().contains("Paris"), "what was said is nobody's business: {shown}");
    for (path, expected) in [
        ("/api/admin/sessions?limit=many", 400),
        ("/api/admin/sessions?owner=", 400),
        ("/api/admin/sessions/a:b", 400),
        ("/api/admin/sessions/none", 404),
    ] {
        assert_eq!(world.operator(Method::GET, path, "").await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn calls_of_all_sessions_are_decided_as_the_operators() {
    let world = World::new([asking(), Step::text("Done.")]);
    let id = world.session("one", "ann", "Echo!").await;
    let (status, waiting) = world.operator(Method::GET, "/api/admin/approvals", "").await;
    let waiting = waiting["approvals"].as_array().cloned().unwrap_or_default();
    assert_eq!((status, waiting.len()), (200, 2));
    let first = &waiting[0];
    assert_eq!(
        (&first["sessionId"], &first["owner"], &first["title"]),
        (&json!("one"), &json!("ann"), &json!("Echo!"))
    );
    assert_eq!(
        (&first["server"], &first["name"], &first["args"]),
        (&json!("box"), &json!("echo"), &json!({"text": "a"}))
    );
    assert!(first["expiresAt"].is_string() && first["why"].is_string(), "{first}");

    let at = |call: &Value| format!("/api/admin/approvals/one/{}", call["callId"].as_str().expect("an id"));
    let denied = world.operator(Method::POST, &at(&waiting[1]), r#"{"approved": false, "reason": "No."}"#).await;
    assert_eq!(denied, (200, json!({"ok": true})));
    let resolved = world.until(&id, |body| matches!(body, EventBody::ApprovalResolved(_))).await;
    let EventBody::ApprovalResolved(resolved) = resolved else { unreachable!("it was picked") };
    assert_eq!(resolved.by.map(|by| by.to_string()).as_deref(), Some(OPERATOR));
    assert_eq!(resolved.reason.as_deref(), Some("No."));
    let (status, again) = world.operator(Method::POST, &at(&waiting[1]), r#"{"approved": true}"#).await;
    assert_eq!((status, &again["code"]), (409, &json!("already_resolved")));
    assert_eq!(world.operator(Method::POST, &at(&waiting[0]), r#"{"approved": true}"#).await.0, 200);
    world.until(&id, |body| matches!(body, EventBody::TurnCompleted(_))).await;
    assert_eq!(world.operator(Method::GET, "/api/admin/approvals", "").await.1, json!({"approvals": []}));
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused() {
    let world = World::new([asking()]);
    world.session("one", "ann", "Echo!").await;
    let long = json!({"approved": false, "reason": "x".repeat(5_000)}).to_string();
    for (call, body, expected) in [
        ("call_1_0_0", "", 400),
        ("call_1_0_0", "{}", 400),
        ("call_1_0_0", r#"{"approved": "yes"}"#, 400),
        ("call_1_0_0", r#"{"approved": true, "args": {}}"#, 400),
        ("call_1_0_0", &long, 413),
        ("call_1_0_0", &"x".repeat(20_000), 413),
        ("a:b", r#"{"approved": true}"#, 400),
        ("call_9_0_0", r#"{"approved": true}"#, 404),
    ] {
        let (status, _) = world.operator(Method::POST, &format!("/api/admin/approvals/one/{call}"), body).await;
        assert_eq!(status, expected, "{call} {}", &body[..body.len().min(40)]);
    }
    let (status, _) =
        world.operator(Method::POST, "/api/admin/approvals/none/call_1_0_0", r#"{"approved": true}"#).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_session_is_ended_and_keeps_its_history() {
    let world = World::new([asking()]);
    let id = world.session("one", "ann", "Echo!").await;
    assert_eq!(world.operator(Method::DELETE, "/api/admin/sessions/one", "").await, (200, json!({"ok": true})));
    world.until(&id, |body| matches!(body, EventBody::Notice { kind: NoticeKind::SessionEnded, .. })).await;
    let (status, shown) = world.operator(Method::GET, "/api/admin/sessions/one", "").await;
    assert_eq!((status, &shown["busy"], &shown["hasSandbox"]), (200, &json!(false), &json!(false)));
    assert!(shown["messages"].as_u64().is_some_and(|messages| messages > 0), "{shown}");
    assert_eq!(world.operator(Method::DELETE, "/api/admin/sessions/none", "").await.0, 404);
}
