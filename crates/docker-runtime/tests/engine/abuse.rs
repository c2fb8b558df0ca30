//! What a sandbox must withstand: the abuse suite of a hostile tool server. A19 to A26 are about what such a server writes,
//! and are in the tests of the MCP client.

mod reach;

use crate::{
    Check,
    bench::{Bench, Output, ready, soon, spec, until},
    check,
    image::Parts,
};
use bollard::query_parameters::KillContainerOptions;
use futures::FutureExt;
use lockkeeper_docker_runtime::Config;
use lockkeeper_ports::{ExecStatus, SandboxRuntime};
use reach::{
    a10_network, a11_interfaces_of_the_host, a12_setuid_root, a13_dangerous_system_calls, a14_signals_to_process_1,
    a15_writes_to_the_image, a16_copies_into_the_container,
};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

const MIB: u64 = 1 << 20;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(a1_fork_bomb),
        check!(a2_d9_memory_bomb_in_the_main_process),
        check!(a3_d9_memory_bomb_in_a_process),
        check!(a4_disk_fill),
        check!(a5_inode_fill),
        check!(a6_cpu_spin),
        check!(a7_fd_exhaustion),
        check!(a8_stdout_flood_that_nobody_reads),
        check!(a9_stdout_flood_that_somebody_reads),
        check!(a10_network),
        check!(a11_interfaces_of_the_host),
        check!(a12_setuid_root),
        check!(a13_dangerous_system_calls),
        check!(a14_signals_to_process_1),
        check!(a15_writes_to_the_image),
        check!(a16_copies_into_the_container),
        check!(a17_zombies),
        check!(a18_symlinks),
        check!(a27_d11_pause),
    ]
}

fn small_memory(config: &mut Config) {
    config.memory_bytes = 64 * MIB;
    config.workspace_bytes = 8 * MIB;
    config.tmp_bytes = 8 * MIB;
    config.shm_bytes = MIB;
}

async fn a1_fork_bomb() {
    let bench = Bench::with(|config| config.pids = 40).await;
    let id = bench.start().await;
    let forks = "my $n = 0; while (1) { my $p = fork(); if (!defined $p) { print $! + 0, qq(\\n$n\\n); last } \
                 if ($p == 0) { sleep 1000; exit } $n++ }";
    let output = bench.perl(&id, forks).await;
    assert!(output.stdout.starts_with("11\n"), "EAGAIN: {output:?}");
    assert!((20..40).contains(&output.last_number()), "{output:?}");
    bench.expect_alive(&id).await;
    // One that multiplies ends when it is told to.
    let bomb = "echo ready; b() { b | b & }; b; while :; do sleep 1; done";
    let mut exec = bench.exec(&id, &["/bin/sh", "-c", bomb]).await;
    ready(&mut exec).await;
    soon(bench.runtime.stop(&id)).await.expect("stop");
    assert_eq!(soon(exec.status).await, ExecStatus::Lost("the sandbox was stopped".into()));
    assert!(bench.inspect(&id).await.is_none());
}

async fn a2_d9_memory_bomb_in_the_main_process() {
    let mut bench = Bench::with(small_memory).await;
    bench.config.image = Parts::find().expect("looked for before").greedy_image(&bench.docker).await;
    bench.runtime = crate::bench::runtime(&bench.config).await;
    let id = bench.start().await;
    let mut cat = bench.exec(&id, &["/bin/sh", "-c", "echo ready; cat"]).await;
    ready(&mut cat).await;
    let urge = KillContainerOptions { signal: "SIGURG".into() };
    bench.docker.kill_container(id.as_str(), Some(urge)).await.expect("a signal");
    let status = soon(cat.status).await;
    assert_eq!(status, ExecStatus::Lost("out of memory: limit 64 MiB".into()));
    bench.expect_replaced(&id).await;
}

async fn a3_d9_memory_bomb_in_a_process() {
    let bench = Bench::with(small_memory).await;
    let id = bench.start().await;
    let output = bench.perl(&id, "my @all; while (1) { push @all, 'x' x (1 << 20); print scalar @all, qq(\\n) }").await;
    assert_eq!(output.status, ExecStatus::Lost("out of memory: limit 64 MiB".into()), "{output:?}");
    assert!((16..=64).contains(&output.last_number()), "it got to {} MiB", output.last_number());
    bench.expect_alive(&id).await;
}

async fn a4_disk_fill() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    for (directory, mib) in [("/tmp", 64), ("/dev/shm", 16), ("/workspace", 128)] {
        let fill =
            format!("dd if=/dev/zero of={directory}/fill bs=1M 2>&1; stat -c %s {directory}/fill; rm {directory}/fill");
        let output = bench.sh(&id, &fill).await;
        assert!(output.stdout.contains("No space left on device"), "{directory}: {output:?}");
        assert_eq!(output.last_number(), mib * MIB, "{directory}");
    }
    let output = bench.sh(&id, "echo x > /fill").await;
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
    bench.expect_alive(&id).await;
}

async fn a5_inode_fill() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    for (directory, files) in [("/tmp", 4096), ("/dev/shm", 1024), ("/workspace", 16_384)] {
        let fill = format!(
            "my $n = 0; while (open(my $f, '>', qq({directory}/$n))) {{ close $f; $n++ }} print $! + 0, qq(\\n$n\\n)"
        );
        let output = bench.perl(&id, &fill).await;
        assert!(output.stdout.starts_with("28\n"), "ENOSPC in {directory}: {output:?}");
        let made = output.last_number();
        assert!(made > files - 8 && made < files, "{directory}: {made}");
    }
}

async fn a6_cpu_spin() {
    let bench = Bench::with(|config| config.cpu_millis = 500).await;
    let id = bench.start().await;
    let spin = "sub now { open(my $f, '<', '/proc/uptime'); (split ' ', <$f>)[0] } my $began = now(); \
                for (1..4) { next if fork(); 1 while now() - $began < 4; exit } 1 while wait() > 0; \
                my ($u, $s, $cu, $cs) = times; printf qq(%d\\n), 1000 * ($cu + $cs) / (now() - $began)";
    let output = bench.perl(&id, spin).await;
    // A period is 100 ms, of which the last may be taken in full.
    assert!(output.last_number() <= 560, "thousandths of a core: {output:?}");
}

async fn a7_fd_exhaustion() {
    let bench = Bench::with(|config| config.open_files = 64).await;
    let id = bench.start().await;
    let open =
        "my @all; while (open(my $f, '<', '/dev/null')) { push @all, $f } print $! + 0, qq(\\n), scalar @all, qq(\\n)";
    let output = bench.perl(&id, open).await;
    assert!(output.stdout.starts_with("24\n"), "EMFILE: {output:?}");
    assert!((32..64).contains(&output.last_number()), "{output:?}");
}

async fn a8_stdout_flood_that_nobody_reads() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let flood = "$| = 1; print qq(ready\\n); my $n = 0; while (1) { syswrite(STDOUT, 'x' x 65536) or last; $n++; \
                 open(my $f, '>', '/tmp/count'); print $f $n; close $f }";
    let mut exec = bench.exec(&id, &["/usr/bin/perl", "-e", flood]).await;
    ready(&mut exec).await;
    // It stands still when all pipes on the way are full.
    let mut last = None;
    until("the flood stands still", async || {
        let count = bench.sh(&id, "sleep 0.2; cat /tmp/count").await.stdout;
        let still = !count.is_empty() && last.as_ref() == Some(&count);
        last = Some(count);
        still
    })
    .await;
    let written = last.expect("a count").parse::<u64>().expect("a number") * 65_536;
    assert!(written < 8 * MIB, "{written} bytes went somewhere");
    assert!((&mut exec.status).now_or_never().is_none());
    drop(exec);
    until("the flood has ended", async || bench.sh(&id, "cat /proc/[0-9]*/comm | grep -c perl").await.stdout == "0\n")
        .await;
}

async fn a9_stdout_flood_that_somebody_reads() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let mut exec = bench.exec(&id, &["yes"]).await;
    let before = resident_bytes();
    let mut buffer = vec![0; 65_536];
    let mut read = 0;
    while read < 128 * MIB {
        read += soon(exec.stdout.read(&mut buffer)).await.expect("read") as u64;
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes are held");
    (exec.kill)();
    assert_eq!(soon(exec.status).await, ExecStatus::Signalled(9));
}

async fn a17_zombies() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let orphans = "for (1..50) { next if fork(); fork(); exit } print 'made'";
    assert_eq!(bench.perl(&id, orphans).await.stdout, "made");
    let count = "cat /proc/[0-9]*/stat | wc -l; grep -l 'State:.Z' /proc/[0-9]*/status | wc -l";
    until("nothing is left", async || {
        let output = bench.sh(&id, count).await;
        let lines: Vec<u64> = output.stdout.lines().filter_map(|line| line.trim().parse().ok()).collect();
        // The init, the holder, the supervisor, the shell and what it runs.
        lines.len() == 2 && lines[0] <= 6 && lines[1] == 0
    })
    .await;
}

/// Nothing of the host is mounted, and nobody outside follows a path of the workspace.
async fn a18_symlinks() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let output = bench
        .sh(&id, "ln -s / root; ln -s /proc/1/root init; ln -s ../../../etc up; ls init/ 2>&1; mkdir d; chmod 0 d")
        .await;
    assert!(output.stdout.contains("Permission denied"), "{output:?}");
    let found = bench.inspect(&id).await.expect("it runs");
    assert!(
        found.mounts.unwrap_or_default().iter().all(|mount| mount.source.as_deref().unwrap_or_default().is_empty())
    );
    let host = found.host_config.expect("a profile");
    assert!(host.binds.unwrap_or_default().is_empty() && host.volumes_from.unwrap_or_default().is_empty());
    bench.runtime.stop(&id).await.expect("stop");
    assert!(std::path::Path::new("/etc/passwd").exists());
}

/// A paused container says nothing at all. Whoever waits for it has a deadline of their own, and the next process wakes it.
async fn a27_d11_pause() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let mut cat = bench.exec(&id, &["/bin/sh", "-c", "echo ready; cat"]).await;
    ready(&mut cat).await;
    bench.docker.pause_container(id.as_str()).await.expect("pause");
    assert!((&mut cat.status).now_or_never().is_none());
    bench.expect_alive(&id).await;
    assert_eq!(soon(Output::of(cat)).await.status, ExecStatus::Exited(0));
    // One that is killed while it is paused takes its sandbox with it.
    let mut bench = bench;
    bench.config.stop_timeout_ms = 2000;
    bench.runtime = crate::bench::runtime(&bench.config).await;
    let mut cat = bench.exec(&id, &["/bin/sh", "-c", "echo ready; cat"]).await;
    ready(&mut cat).await;
    bench.docker.pause_container(id.as_str()).await.expect("pause");
    let began = Instant::now();
    (cat.kill)();
    let status = soon(cat.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)) && began.elapsed() >= Duration::from_secs(2), "{status:?}");
    until("the container is gone", async || bench.inspect(&id).await.is_none()).await;
    assert!(bench.runtime.exec(&id, &spec(&["/bin/true"])).await.is_err());
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages") * 4096
}
