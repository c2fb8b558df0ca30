//! How long a start and a process take, for whoever runs this executable with `__measure`.

use crate::bench::{Bench, Output, ready, spec_of};
use lockkeeper_ports::SandboxRuntime;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const ARGUMENT: &str = "__measure";
const ROUNDS: u64 = 30;

pub(crate) async fn run() {
    let bench = Bench::new().await;
    let [mut starts, mut execs, mut trips, mut kills, mut stops] = [const { Vec::new() }; 5];
    for round in 0..ROUNDS {
        let began = Instant::now();
        let id = bench.runtime.start(&spec_of("s", round), Arc::new(|_| {})).await.expect("start");
        starts.push(began.elapsed());
        let began = Instant::now();
        let mut cat = bench.exec(&id, &["/bin/sh", "-c", "echo ready; exec cat"]).await;
        ready(&mut cat).await;
        execs.push(began.elapsed());
        for _ in 0..10 {
            let began = Instant::now();
            cat.stdin.write_all(b"0123456789abcdef").await.expect("write");
            cat.stdout.read_exact(&mut [0; 16]).await.expect("read");
            trips.push(began.elapsed());
        }
        let began = Instant::now();
        (cat.kill)();
        cat.status.await;
        kills.push(began.elapsed());
        let began = Instant::now();
        bench.runtime.stop(&id).await.expect("stop");
        stops.push(began.elapsed());
    }
    let id = bench.start().await;
    let began = Instant::now();
    let output = Output::of(bench.exec(&id, &["dd", "if=/dev/zero", "bs=65536", "count=4096"]).await).await;
    let rate = output.stdout.len() as u128 / began.elapsed().as_micros().max(1);
    let [start, exec, trip, kill, stop] = [starts, execs, trips, kills, stops].map(median);
    println!(
        "start {start:?}, exec until it speaks {exec:?}, 16 bytes there and back {trip:?}, kill {kill:?}, stop {stop:?}"
    );
    println!("output {rate} MB/s");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
