use crate::{
    client::Client,
    world::{World, eventually},
};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_disconnected_and_comes_back_to_where_it_was() {
    // Traps 1 and 2: such a client is never disconnected, and a full buffer drops what is sent.
    let gate = Gate::new();
    let pieces = (0..600).map(|n| format!("{n:06} {}", "x".repeat(2_000)));
    let step = pieces.fold(Step::new().wait(&gate), Step::say);
    let mut world = World::builder([step]).config(|c| (c.max_buffered_packets, c.slow_client_secs) = (16, 1));
    world.sessions.max_output_tokens = 1_000_000;
    let world = world.build();
    let mut client = Client::connect(&world, "sessionId=s1", json!({}), 4 << 10).await;
    client.until("system:ready").await;
    client.emit("message", json!("go")).await;
    client.until("user:message").await;
    let last = client.last_id();
    gate.open();
    world.provider.until_finished(1).await;
    // It is still there, and reads nothing.
    eventually("the slow client is let go", || (world.gateway.tasks(), world.gateway.connections()) == (0, 0)).await;
    let mut back = world.connect("sessionId=s1", json!({"lastEventId": last})).await;
    let whole = back.until("agent:response").await.payload;
    let deltas: String =
        back.seen.iter().filter(|e| e.name == "agent:delta").filter_map(|e| e.payload["text"].as_str()).collect();
    assert!(deltas.is_empty() || whole.as_str() == Some(&*deltas));
    assert_eq!(whole.as_str().map(|text| text.matches(" x").count()), Some(600));
    let places: Vec<_> = back.logged().into_iter().map(|(seq, ..)| seq).collect();
    assert!(places.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{places:?}");
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_late_but_in_time_gets_everything() {
    let step = (0..400).fold(Step::new(), |step, n| step.say(format!("{n:06} {}", "y".repeat(500))));
    let world = World::builder([step]).config(|c| c.max_buffered_packets = 8).build();
    let mut client = Client::connect(&world, "sessionId=s1", json!({}), 4 << 10).await;
    client.until("system:ready").await;
    client.emit("message", json!("go")).await;
    world.provider.until_finished(1).await;
    client.until("turn:completed").await;
    let places: Vec<_> = client.logged().into_iter().map(|(seq, ..)| seq).collect();
    assert_eq!(places, (1..=places.len() as u64).collect::<Vec<_>>());
}
