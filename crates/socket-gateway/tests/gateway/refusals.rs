use crate::{
    client::Frame,
    world::{World, eventually},
};
use futures::{SinkExt, StreamExt};
use lockkeeper_ports::SandboxRuntime;
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// Connects, and says with what `error` the client was refused and what its code is.
async fn refused(world: &World, query: &str, auth: Value) -> (String, String) {
    let mut client = world.connect(query, auth).await;
    let error = client.until("error").await;
    assert_eq!(client.until_end().await, Frame::Disconnect);
    assert!(!client.names().contains(&"system:ready"));
    let code = error.meta["code"].as_str().expect("a code").to_owned();
    (error.payload.as_str().expect("a reason is a string").to_owned(), code)
}

/// Covers: S1-3
#[tokio::test]
async fn refused_connection_is_closed_and_frees_its_place() {
    let world = World::builder([]).tokens([("alice", "token-of-alice")]).config(|c| c.farewell_secs = 1).build();
    let mut client = world.connect("sessionId=s1", json!({"token": "a guess"})).await;
    client.until("error").await;
    assert_eq!(client.until_end().await, Frame::Disconnect);
    assert_eq!(client.next().await, Frame::Closed);
    eventually("its place is free", || world.gateway.connections() == 0).await;
    assert_eq!(world.manager.live_sessions(), 0);
    world.connect("sessionId=s1", json!({"token": "token-of-alice"})).await.until("system:ready").await;
}

#[tokio::test]
async fn who_is_not_known_is_refused_before_anything_is_created() {
    let world = World::builder([]).tokens([("alice", "token-of-alice"), ("bob", "token-of-bob")]).build();
    for auth in [
        json!({}),
        json!({"token": null}),
        json!({"token": ""}),
        json!({"token": "token-of-alic"}),
        json!({"token": "alice"}),
    ] {
        let (_, code) = refused(&world, "sessionId=s1", auth.clone()).await;
        assert_eq!(code, "unauthenticated", "{auth}");
    }
    for auth in [json!({"token": 7}), json!({"token": ["token-of-alice"]}), json!({"role": "root"})] {
        let (_, code) = refused(&world, "sessionId=s1", auth.clone()).await;
        assert_eq!(code, "invalid_payload", "{auth}");
    }
    for auth in [json!([]), json!("token-of-alice")] {
        let mut client = world.connect("sessionId=s1", auth).await;
        assert_eq!(client.until("error").await.payload, "auth is an object.");
    }
    assert_eq!(refused(&world, "sessionId=s1&token=token-of-alice", json!({})).await.1, "unauthenticated");
    assert_eq!(world.manager.live_sessions(), 0);
    assert!(world.log("s1").await.is_empty());
    assert!(world.sandboxes.list().await.expect("a list").is_empty());
    let mut alice = world.connect("sessionId=s1", json!({"token": "token-of-alice"})).await;
    alice.until("system:ready").await;
}

#[tokio::test]
async fn another_principals_session_is_refused_and_looks_like_any_other_refusal() {
    let world = World::builder([]).tokens([("alice", "token-of-alice"), ("bob", "token-of-bob")]).build();
    let mut alice = world.connect("sessionId=s1", json!({"token": "token-of-alice"})).await;
    alice.until("system:ready").await;
    let (reason, code) = refused(&world, "sessionId=s1", json!({"token": "token-of-bob", "lastEventId": "1-1"})).await;
    assert_eq!(code, "forbidden", "{reason}");
    assert!(!reason.contains("alice"), "{reason}");
}

#[tokio::test]
async fn a_session_id_with_structure_is_refused() {
    let world = World::new([]);
    for id in ["a:b", "..%2Fx", "%7Bs1%7D", "a%20b", "*"] {
        assert_eq!(refused(&world, &format!("sessionId={id}"), json!({})).await.1, "invalid_payload", "{id}");
    }
    // Reference defect 4: this one is as good as any other.
    world.ready("sessionId=index").await;
    world.ready("sessionId=s2").await;
}

#[tokio::test]
async fn a_missing_key_is_said_and_the_client_disconnected() {
    let world = World::builder([]).without_key().build();
    let (reason, code) = refused(&world, "sessionId=s1", json!({})).await;
    assert_eq!(code, "missing_api_key");
    assert!(reason.contains("ANTHROPIC_API_KEY"), "{reason}");
    assert!(world.sandboxes.list().await.expect("a list").is_empty());
}

#[tokio::test]
async fn a_sandbox_that_cannot_start_is_said_and_the_client_disconnected() {
    let world = World::new([]);
    world.sandboxes.refuse_starts(1);
    let (reason, code) = refused(&world, "sessionId=s1", json!({})).await;
    assert_eq!(code, "sandbox_unavailable", "{reason}");
    world.ready("sessionId=s1").await;
}

#[tokio::test]
async fn a_client_without_a_session_id_gets_a_session() {
    let world = World::new([]);
    let mut client = world.connect("", json!({})).await;
    let id = client.until("system:ready").await.payload["sessionId"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 32);
    let mut other = world.connect("", json!({})).await;
    assert_ne!(other.until("system:ready").await.payload["sessionId"], id);
}

/// Covers: S1-3
#[tokio::test]
async fn refused_handshakes_leave_room_for_others() {
    let world = World::builder([]).tokens([("alice", "token-of-alice")]).config(|c| c.max_connections_per_address = 3);
    let world = world.config(|c| c.connection_burst = 100).build();
    let mut refused = Vec::new();
    for _ in 0..55 {
        let mut client = world.connect("sessionId=s1", json!({"token": "wrong"})).await;
        client.until("error").await;
        assert_eq!(client.until_end().await, Frame::Disconnect);
        eventually("its place is free", || world.gateway.connections() == 0).await;
        // It keeps its end open.
        refused.push(client);
    }
    world.connect("sessionId=s1", json!({"token": "token-of-alice"})).await.until("system:ready").await;
}

/// Covers: S3-packets
#[tokio::test]
async fn packets_without_a_handshake_end_their_connection() {
    for packet in ["40/aaaa,", "3", "2", "42/aaaa,[\"x\"]"] {
        let world = World::new([]);
        let stream = world.open("sessionId=s1", 1 << 20).await.expect("let in");
        let mut ws = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        for _ in 0..10_000 {
            if ws.send(Message::text(packet)).await.is_err() {
                break;
            }
        }
        while let Some(Ok(_)) = ws.next().await {}
        eventually("its place is free", || world.gateway.connections() == 0).await;
    }
}
