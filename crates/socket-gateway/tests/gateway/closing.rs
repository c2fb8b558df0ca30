use crate::{
    client::{Client, Frame},
    world::World,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn closing_ends_every_connection_so_that_clients_come_again_by_themselves() {
    // Trap 10: after a disconnect packet they would not.
    let world = World::new([]);
    let (mut one, mut two) = (world.ready("sessionId=s1").await, world.ready("sessionId=s2").await);
    let closed = world.gateway.close(Duration::from_secs(5)).await;
    assert_eq!(closed.left, 0);
    for client in [&mut one, &mut two] {
        assert_eq!(client.until_end().await, Frame::Closed);
    }
    assert_eq!(world.open("sessionId=s3", 1024).await.map(drop), Err("server_draining".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_cannot_hold_the_server_up() {
    // Trap 1: `io.close()` waits for it for ever.
    let world = World::builder([]).config(|c| c.max_buffered_packets = 8).build();
    let mut stuck = Client::connect(&world, "sessionId=s1", json!({}), 1 << 10).await;
    for _ in 0..12 {
        stuck.feed("42[\"history:get\",{}]".to_owned()).await;
        stuck.feed("42[\"no such event, and no acknowledgement\"]".to_owned()).await;
    }
    stuck.flush().await;
    let started = Instant::now();
    world.gateway.close(Duration::from_secs(4)).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
