use crate::world::{World, eventually};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::net::SocketAddr;
use tower::ServiceExt;

/// A client of the polling transport.
struct Poller<'a> {
    world: &'a World,
    sid: String,
}

impl<'a> Poller<'a> {
    async fn open(world: &'a World) -> Self {
        let (status, body) = Self::request(world, "GET", "sessionId=s1", "").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let open: Value = serde_json::from_str(&body[1..]).expect("an open packet");
        assert_eq!(open["maxPayload"], 256 << 10);
        Self { world, sid: open["sid"].as_str().expect("a sid").to_owned() }
    }

    async fn post(&self, body: &str) -> (StatusCode, String) {
        Self::request(self.world, "POST", &format!("sid={}", self.sid), body).await
    }

    /// Polls until a packet begins like this.
    async fn until(&self, start: &str) -> String {
        loop {
            let (status, body) = Self::request(self.world, "GET", &format!("sid={}", self.sid), "").await;
            assert_eq!(status, StatusCode::OK, "{body}");
            for packet in body.split('\u{1e}') {
                if packet == "2" {
                    self.post("3").await;
                }
                if packet.starts_with(start) {
                    return packet.to_owned();
                }
            }
        }
    }

    async fn request(world: &World, method: &str, query: &str, body: &str) -> (StatusCode, String) {
        let peer: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let request = Request::builder()
            .method(method)
            .uri(format!("/socket.io/?EIO=4&transport=polling&{query}"))
            .header("host", "localhost:3000")
            .header("content-type", "text/plain;charset=UTF-8")
            .extension(peer)
            .body(Full::<Bytes>::from(body.to_owned()))
            .expect("a request");
        let response: Response<_> = world.service.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }
}

#[tokio::test]
async fn a_conversation_works_over_polling() {
    let world = World::new([lockkeeper_testkit::llm::Step::text("Hi.")]);
    let poller = Poller::open(&world).await;
    assert_eq!(poller.post("40{}").await.0, StatusCode::OK);
    poller.until("40").await;
    poller.until("42[\"system:ready\"").await;
    assert_eq!(poller.post("427[\"message\",\"go\"]").await.0, StatusCode::OK);
    let response = poller.until("42[\"agent:response\"").await;
    assert_eq!(response, "42[\"agent:response\",\"Hi.\"]");
    assert_eq!(world.gateway.connections(), 1);
}

#[tokio::test]
async fn polling_takes_no_more_than_a_websocket() {
    let world = World::new([]);
    let poller = Poller::open(&world).await;
    poller.post("40{}").await;
    poller.until("42[\"system:ready\"").await;
    let (fits, _) = poller.post(&format!("42[\"no such event\",\"{}\"]", "a".repeat(200 << 10))).await;
    assert_eq!(fits, StatusCode::OK);
    let (too_large, _) = poller.post(&format!("42[\"message\",\"{}\"]", "a".repeat(257 << 10))).await;
    assert!(too_large.is_client_error(), "{too_large}");
    assert!(world.log("s1").await.is_empty());
}

/// Covers: S1-3
#[tokio::test]
async fn refused_polling_client_learns_why_and_is_closed() {
    let world = World::builder([]).tokens([("alice", "token-of-alice")]).config(|c| c.farewell_secs = 1).build();
    let poller = Poller::open(&world).await;
    poller.post("40{\"token\":\"wrong\"}").await;
    poller.until("42[\"error\"").await;
    eventually("its place is free", || world.gateway.connections() == 0).await;
    // The session is gone soon, without a ping that times out.
    loop {
        let (status, body) = Poller::request(&world, "GET", &format!("sid={}", poller.sid), "").await;
        if status == StatusCode::BAD_REQUEST {
            assert!(body.contains("Session ID unknown"), "{body}");
            return;
        }
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

/// Covers: S3-packets
#[tokio::test]
async fn polling_body_of_many_handshakes_is_refused() {
    let world = World::builder([]).config(|c| c.connect_timeout_secs = 1).build();
    let poller = Poller::open(&world).await;
    let (status, _) = poller.post(&["40/aaaa,"; 1_000].join("\u{1e}")).await;
    assert!(status.is_client_error(), "{status}");
    eventually("its place is free", || world.gateway.connections() == 0).await;
}

#[tokio::test]
async fn path_works_without_its_last_slash() {
    let world = World::new([]);
    let request = Request::get("/socket.io?EIO=4&transport=polling").header("host", "localhost:3000");
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    let response = world.service.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn binary_event_over_polling_is_refused_and_the_connection_stays() {
    let world = World::new([]);
    let poller = Poller::open(&world).await;
    poller.post("40{}").await;
    poller.until("42[\"system:ready\"").await;
    let event = "451-7[\"message\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAAECAw==";
    assert_eq!(poller.post(event).await.0, StatusCode::OK);
    let refused = poller.until("437[").await;
    assert!(refused.contains("invalid_payload") && refused.contains("base64"), "{refused}");
    assert_eq!(poller.post("428[\"history:get\"]").await.0, StatusCode::OK);
    assert!(poller.until("438[").await.contains("\"ok\":true"));
}
