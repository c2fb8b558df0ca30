//! An engine that stalls, as a daemon does under SIGSTOP, and goes on: what ran under it is well, and stays.

use crate::{
    Check,
    bench::{Bench, line, ready, soon, spec_for, spec_of, until},
    check,
    daemon::{self, Daemon},
};
use lockkeeper_docker_runtime::Config;
use lockkeeper_ports::{Exec, ExecStatus, SandboxError, SandboxId, SandboxRuntime};
use rustix::process::Signal;
use std::{sync::Arc, time::Duration};
use tokio::io::AsyncWriteExt;

pub(crate) fn checks() -> Vec<Check> {
    let all = [
        check!(stalled_engine_loses_no_sandbox),
        check!(reserve_adopted_during_a_stall_is_named_afterwards),
        check!(start_given_up_during_a_stall_never_removes_the_next_one),
    ];
    all.map(|check| Check { lacks: daemon::missing(), ..check }).into()
}

fn impatient(config: &mut Config) {
    config.api_timeout_ms = 1000;
    config.stop_timeout_ms = 3000;
    config.ping_ms = 200;
    config.away_after_ms = 500;
}

async fn cat(bench: &Bench, id: &SandboxId, server: &str) -> Exec {
    let spec = spec_for(server, &["/bin/sh", "-c", "echo ready; cat; sleep 1000"]);
    let mut cat = bench.runtime.exec(id, &spec).await.expect("exec");
    ready(&mut cat).await;
    cat
}

async fn container(bench: &Bench, id: &SandboxId) -> String {
    bench.inspect(id).await.expect("it is there").id.expect("an id")
}

/// Neither what was killed meanwhile nor anything else is a reason to give the sandbox up.
/// Covers: E1
async fn stalled_engine_loses_no_sandbox() {
    let daemon = Daemon::start(&[]).await;
    let bench = Bench::at(&daemon.host(), impatient).await;
    let id = bench.start().await;
    bench.sh(&id, "echo kept > file").await;
    let (before, availability) = (container(&bench, &id).await, bench.runtime.availability());
    let (mut kept, killed) = (cat(&bench, &id, "kept").await, cat(&bench, &id, "killed").await);

    daemon.signal(Signal::STOP);
    soon(availability.away()).await;
    kept.stdin.write_all(b"held\n").await.expect("write");
    let inspected = bench.runtime.inspect(&id).await;
    assert!(matches!(inspected, Err(SandboxError::Unavailable(_))), "{inspected:?}");
    (killed.kill)();
    let status = soon(killed.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)), "{status:?}");

    daemon.signal(Signal::CONT);
    soon(availability.back()).await;
    until("it is found to be there", async || bench.runtime.inspect(&id).await.is_ok()).await;
    assert_eq!(line(&mut kept).await, "held");
    assert_eq!(bench.sh(&id, "cat file").await.stdout, "kept\n");
    until("what was killed has ended", async || {
        bench.sh(&id, "cat /proc/[0-9]*/comm | grep -c '^cat$'").await.stdout.trim() == "2"
    })
    .await;
    assert_eq!(container(&bench, &id).await, before);
    assert_eq!(bench.runtime.list().await.expect("list").len(), 1);
}

/// Covers: E1
async fn reserve_adopted_during_a_stall_is_named_afterwards() {
    let daemon = Daemon::start(&[]).await;
    let bench = Bench::at(&daemon.host(), impatient).await;
    let reserved = bench.runtime.reserve().await.expect("reserve").expect("one");
    let before = container(&bench, &reserved).await;
    daemon.signal(Signal::STOP);
    let id = bench.runtime.adopt(&reserved, &spec_of("s", 1)).await.expect("adopt");
    soon(bench.runtime.availability().away()).await;
    daemon.signal(Signal::CONT);
    until("it is named", async || bench.inspect(&id).await.is_some()).await;
    assert_eq!(container(&bench, &id).await, before);
    bench.expect_alive(&id).await;
}

/// Covers: E10
async fn start_given_up_during_a_stall_never_removes_the_next_one() {
    let daemon = Daemon::start(&[]).await;
    let bench = Bench::at(&daemon.host(), impatient).await;
    daemon.signal(Signal::STOP);
    let outcome = soon(bench.runtime.start(&spec_of("s", 1), Arc::new(|_| {}))).await;
    assert!(matches!(outcome, Err(SandboxError::Unavailable(_))), "{outcome:?}");
    daemon.signal(Signal::CONT);
    let mut started = None;
    until("the same name starts", async || {
        started = bench.runtime.start(&spec_of("s", 1), Arc::new(|_| {})).await.ok();
        started.is_some()
    })
    .await;
    let id = started.expect("just seen");
    let before = container(&bench, &id).await;
    // The removal looks twice, with a pause of `api_timeout_ms` after each look.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        bench.expect_alive(&id).await;
    }
    assert_eq!(container(&bench, &id).await, before);
}
