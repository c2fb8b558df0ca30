//! How long a start and a command take, for whoever runs this executable with `__measure`.

use crate::bench::{self, Bench, Output, VARIANTS};
use lockkeeper_ports::SandboxRuntime;
use std::time::{Duration, Instant};

pub(crate) const ARGUMENT: &str = "__measure";
const ROUNDS: usize = 100;

pub(crate) async fn run() {
    for choice in VARIANTS {
        match Bench::new(choice).await {
            Ok(bench) => measure(bench::name(choice), &bench).await,
            Err(reason) => println!("{}: {reason}", bench::name(choice)),
        }
    }
}

async fn measure(name: &str, bench: &Bench) {
    let [mut starts, mut execs, mut runs, mut stops] = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let began = Instant::now();
        let id = bench.start(&format!("s{round}")).await;
        starts.push(began.elapsed());
        let began = Instant::now();
        let exec = bench.exec(&id, &["/bin/true"]).await;
        execs.push(began.elapsed());
        Output::of(exec).await;
        runs.push(began.elapsed());
        let began = Instant::now();
        bench.runtime.stop(&id).await.expect("stop");
        stops.push(began.elapsed());
    }
    let [start, exec, run, stop] = [starts, execs, runs, stops].map(median);
    println!("{name}: start {start:?}, exec until it runs {exec:?}, to its end {run:?}, stop {stop:?}");
    println!("  {:?}", bench.runtime.isolation());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
