use crate::world::{World, eventually};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_principal_has_only_so_many_connections() {
    let world = World::builder([]).config(|c| c.max_connections_per_principal = 2).build();
    let (first, _second) = (world.ready("sessionId=s1").await, world.ready("sessionId=s1").await);
    let mut third = world.connect("sessionId=s1", json!({})).await;
    assert_eq!(third.until("error").await.meta["code"], "rate_limited");
    drop(first);
    eventually("a place is free", || world.gateway.tasks() == 1).await;
    world.ready("sessionId=s1").await;
}

#[tokio::test]
async fn an_address_and_the_server_have_only_so_many_connections() {
    let world = World::builder([]).config(|c| c.max_connections_per_address = 2).build();
    let first = world.ready("sessionId=s1").await;
    let _second = world.ready("sessionId=s1").await;
    assert_eq!(world.open("sessionId=s1", 1024).await.map(drop), Err("rate_limited".to_owned()));
    drop(first);
    eventually("a place is free", || world.gateway.connections() == 1).await;
    world.ready("sessionId=s1").await;
    let world = World::builder([]).config(|c| c.max_connections = 1).build();
    let _only = world.ready("sessionId=s1").await;
    assert_eq!(world.open("sessionId=s1", 1024).await.map(drop), Err("busy".to_owned()));
}

#[tokio::test]
async fn the_events_of_a_principal_an_address_and_all_are_limited_whatever_the_connection() {
    let count = async |world: &World, code: &str| {
        let (mut taken, mut refused) = (0, 0);
        for session in ["s1", "s2", "s3"] {
            let mut client = world.ready(&format!("sessionId={session}")).await;
            for _ in 0..4 {
                let answer = client.call("history:get", json!({})).await;
                taken += usize::from(answer["ok"] == true);
                refused += usize::from(answer["code"] == code && answer["retryable"] == true);
            }
        }
        (taken, refused)
    };
    let world = World::builder([]).config(|c| (c.event_burst_per_principal, c.events_per_sec_per_principal) = (5, 1));
    assert_eq!(count(&world.build(), "rate_limited").await, (5, 7));
    let world = World::builder([]).config(|c| (c.event_burst_per_address, c.events_per_sec_per_address) = (6, 1));
    assert_eq!(count(&world.build(), "rate_limited").await, (6, 6));
    let world = World::builder([]).config(|c| (c.event_burst_in_all, c.events_per_sec_in_all) = (7, 1));
    assert_eq!(count(&world.build(), "busy").await, (7, 5));
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    // Trap 5: what a disconnect handler leaves undone is never done.
    let world =
        World::builder([]).config(|c| (c.connection_burst, c.max_connections_per_principal) = (1_000, 50)).build();
    for n in 0..200 {
        let mut client = world.connect(&format!("sessionId=s{}", n % 5), json!({})).await;
        match n % 4 {
            0 => drop(client),
            1 => client.send("41").await,
            2 => {
                client.until("system:ready").await;
                client.emit("history:get", json!({})).await;
            }
            _ => client.send("1").await,
        }
    }
    eventually("all connections ended", || (world.gateway.connections(), world.gateway.tasks()) == (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_hello_is_cut_off() {
    let world = World::new([]);
    let mut silent = world.open("sessionId=s1", 1024).await.expect("let in");
    assert_eq!(world.gateway.connections(), 1);
    let mut read = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut read);
    let started = tokio::time::Instant::now();
    tokio::time::timeout(Duration::from_mins(1), ended).await.expect("cut off").expect("read");
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
}
