//! What a server can do to its own supervisor, which has the same user, and that it costs no other server.

use super::{expect_unharmed, is_scoped, sh, victim};
use crate::bench::{Bench, ready, soon, spec_for};
use bollard::{exec::StartExecOptions, models::ExecConfig};
use lockkeeper_ports::{Exec, ExecStatus, SandboxId, SandboxRuntime};

/// Covers: S1-2
pub(super) async fn a_server_that_ends_its_supervisor_harms_itself_alone() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let victim = victim(&bench, &id).await;
    let intruder = signal_its_supervisor(&bench, &id, "KILL").await;
    assert_eq!(soon(intruder.status).await, ExecStatus::Signalled(9));
    let left = sh(&bench, &id, "intruder", "cat /proc/[0-9]*/status | grep -c \"^Uid:.$(id -u)\"").await;
    // This shell, what it runs, and its supervisor.
    assert!((2..=4).contains(&left.last_number()), "{left:?}");
    expect_unharmed(victim).await;
}

/// What a server can do itself where Landlock does not keep its signals inside (before Linux 6.12): it has the user of its
/// supervisor.
async fn signal_its_supervisor(bench: &Bench, id: &SandboxId, signal: &str) -> Exec {
    let script = "(while :; do sleep 1; done) & (while :; do sleep 1; done) & echo ready; while :; do sleep 1; done";
    let mut exec = soon(bench.runtime.exec(id, &spec_for("intruder", &["/bin/sh", "-c", script]))).await.expect("exec");
    ready(&mut exec).await;
    let user = sh(bench, id, "intruder", "id -u").await.stdout;
    let find = format!(
        "for dir in /proc/[0-9]*; do grep -q '^PPid:.0$' $dir/status && grep -q '^Uid:.{}' $dir/status && \
         [ $dir != /proc/$$ ] && kill -{signal} ${{dir#/proc/}}; done",
        user.trim()
    );
    let config = ExecConfig {
        user: Some(format!("{0}:{0}", user.trim())),
        cmd: Some(["/bin/sh", "-c", &find].map(String::from).into()),
        ..ExecConfig::default()
    };
    let created = bench.docker.create_exec(id.as_str(), config).await.expect("an exec");
    let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
    bench.docker.start_exec(&created.id, Some(detached)).await.expect("it starts");
    exec
}

/// Covers: S1-2
pub(super) async fn a_server_cannot_signal_its_supervisor() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let attempts = "kill -STOP $PPID && echo stopped; kill -KILL $PPID && echo killed; :";
    let output = sh(&bench, &id, "intruder", attempts).await;
    if is_scoped(&bench, &id).await {
        assert_eq!((output.stdout.as_str(), output.status), ("", ExecStatus::Exited(0)), "{}", output.stderr);
    }
    bench.expect_alive(&id).await;
}

/// Covers: S1-2
pub(super) async fn a_server_that_stops_its_supervisor_is_ended() {
    let bench = Bench::with(|config| config.stop_timeout_ms = 2000).await;
    let id = bench.start().await;
    let victim = victim(&bench, &id).await;
    let stopped = signal_its_supervisor(&bench, &id, "STOP").await;
    (stopped.kill)();
    assert_eq!(soon(stopped.status).await, ExecStatus::Signalled(9));
    expect_unharmed(victim).await;
}
