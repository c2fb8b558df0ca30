//! The essential part against Podman's compatible API, by a service of its own.

use crate::{
    Check,
    bench::{Bench, Output, config, line, spec_for, until},
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

    // Servers are users of their own there as well, and share the workspace through their primary group.
    let run = async |server: &str, script: &str| {
        let spec = spec_for(server, &["/bin/sh", "-c", script]);
        Output::of(bench.runtime.exec(&id, &spec).await.expect("exec")).await
    };
    let mut spec = spec_for("victim", &["/bin/sh", "-c", "echo secret > $HOME/note; echo $HOME; cat"]);
    spec.env.insert("TOKEN".into(), "environ-canary".to_owned().into());
    let mut victim = bench.runtime.exec(&id, &spec).await.expect("exec");
    let home = line(&mut victim).await;
    let look = format!(
        "cat /proc/[0-9]*/environ | grep -c environ-canary; for fd in /proc/[0-9]*/fd/[012]; do case $fd in /proc/$$/*) ;; \
         *) (echo forged > $fd) 2>/dev/null && echo wrote $fd;; esac; done; ls {home}; kill -STOP -1; kill -KILL -1; :"
    );
    let seen = run("intruder", &look).await;
    assert_eq!(seen.stdout, "0\n", "{seen:?}");
    victim.stdin.write_all(b"unharmed").await.expect("write");
    assert_eq!(Output::of(victim).await.stdout, "unharmed");
    run("one", "mkdir d && echo one > d/file").await;
    let shared = run("other", "echo other >> d/file && cat d/file && rm -r d && ls").await;
    assert_eq!(shared.stdout, "one\nother\nx\n", "{shared:?}");

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
