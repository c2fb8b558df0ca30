//! The essential part against Podman's compatible API, by a service of its own.

use crate::{
    Check,
    bench::{Bench, Output, config, until},
    check,
    daemon::{self, Daemon},
};
use lockkeeper_docker_runtime::{DockerRuntime, FindingKind, SetupError, diagnose, image};
use lockkeeper_ports::{ExecStatus, SandboxRuntime};
use lockkeeper_testkit::clock::TokioClock;
use std::{fs, sync::Arc};
use tokio::io::AsyncWriteExt;

pub(crate) fn checks() -> Vec<Check> {
    vec![Check { lacks: daemon::podman_missing(), ..check!(podman_holds_what_it_is_asked_for) }]
}

async fn podman_holds_what_it_is_asked_for() {
    let podman = Daemon::podman().await;
    let filter = podman.path("seccomp.json");
    fs::write(&filter, image::SECCOMP).expect("write");
    let bench = Bench::at(&podman.host(), |config| config.seccomp_file = filter.display().to_string()).await;
    let id = bench.start().await;

    let mut cat = bench.exec(&id, &["/bin/sh", "-c", "cat; echo well >&2; exit 3"]).await;
    cat.stdin.write_all(b"a call").await.expect("write");
    let output = Output::of(cat).await;
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("a call", "well\n"), "{output:?}");
    assert_eq!(output.status, ExecStatus::Exited(3));

    let seen = "grep -E '^(NoNewPrivs|Seccomp|Cap)' /proc/self/status | tr -d '\\t'; id -u; ulimit -n; ls /sys/class/net; \
                echo x > /etc/x; echo x > /workspace/x && cat /workspace/x; cat /sys/fs/cgroup/pids/pids.max \
                /sys/fs/cgroup/pids.max 2>/dev/null; cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
                /sys/fs/cgroup/memory.max 2>/dev/null";
    let seen = bench.sh(&id, seen).await;
    assert!(seen.stdout.contains("NoNewPrivs:1\n") && seen.stdout.contains("Seccomp:2\n"), "{seen:?}");
    assert_eq!(seen.stdout.matches(":0000000000000000\n").count(), 5, "no capability of any kind: {seen:?}");
    assert!(seen.stderr.contains("Read-only file system"), "{seen:?}");
    let (pids, memory) = (bench.config.pids.to_string(), bench.config.memory_bytes.to_string());
    for line in ["1024", "lo", "x", &pids, &memory] {
        assert!(seen.stdout.lines().any(|found| found == line), "{line}: {seen:?}");
    }
    let user = seen.stdout.lines().find_map(|line| line.parse::<u32>().ok());
    assert!(user.is_some_and(|user| user >= bench.config.uid_base), "{seen:?}");

    // The next server finds it by its label, and removes it.
    let next = crate::bench::runtime(&bench.config).await;
    assert_eq!(next.list().await.expect("list").len(), 1);
    next.stop(&id).await.expect("stop");
    until("it is gone", async || bench.inspect(&id).await.is_none()).await;
    assert!(next.list().await.expect("list").is_empty());

    // Without the filter, or with another OCI runtime than its own, it is refused.
    for (kind, seccomp_file, runtime) in [
        (FindingKind::NoFilter, String::new(), "runc"),
        (FindingKind::NoRuntime, filter.display().to_string(), "runsc"),
    ] {
        let image = bench.config.image.clone();
        let config = lockkeeper_docker_runtime::Config {
            seccomp_file,
            runtime: runtime.into(),
            ..config(&podman.host(), image)
        };
        let found = diagnose(&config).await;
        assert!(found.iter().any(|finding| finding.kind == kind && finding.is_fatal()), "{found:?}");
        let refused = DockerRuntime::new(config, Arc::new(TokioClock::start())).await;
        assert!(matches!(refused, Err(SetupError::Unusable(_))), "{refused:?}");
    }
}
