//! The clauses of the contract of `SandboxRuntime`, each a function that panics when it is broken.

mod session;

use futures::{FutureExt, future::join_all};
use lockkeeper_domain::Epoch;
use lockkeeper_ports::{Exec, ExecStatus, SandboxError, SandboxId, SandboxRuntime, SandboxSpec};
use session::{Output, deadline, exec, line, ready, run, run_as, sandbox, sh, start};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What is written to standard input comes back from `cat`, and the end of it ends `cat`.
pub async fn a_process_talks_over_its_streams(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let mut cat = exec(runtime, &id, &["cat"]).await;
    let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut received = vec![0; sent.len()];
    let both = async {
        let (wrote, read) = futures::join!(cat.stdin.write_all(&sent), cat.stdout.read_exact(&mut received));
        wrote.expect("write");
        read.expect("read");
    };
    deadline(both).await;
    assert!(received == sent, "the bytes changed on their way");
    cat.stdin.shutdown().await.expect("shutdown");
    let output = Output::of(cat).await;
    assert_eq!((output.stdout.as_str(), output.status), ("", ExecStatus::Exited(0)));
}

/// Standard output and standard error arrive on their own streams, and in full.
pub async fn standard_error_stays_apart(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let output = run(runtime, &id, &sh("echo out; echo err >&2; echo out again; printf end >&2")).await;
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\nout again\n", "err\nend"));
}

/// A process's exit code is the one that it chose.
pub async fn exit_codes_come_through(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    for code in [0, 1, 3, 42, 125] {
        let output = run(runtime, &id, &sh(&format!("exit {code}"))).await;
        assert_eq!(output.status, ExecStatus::Exited(code));
    }
}

/// A process that a signal ended did not exit.
pub async fn a_signal_comes_through(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    for (name, signal) in [("KILL", 9), ("TERM", 15)] {
        let output = run(runtime, &id, &sh(&format!("kill -{name} $$; sleep 60"))).await;
        assert_eq!(output.status, ExecStatus::Signalled(signal));
    }
}

/// What cannot be executed is an error that names it or one of the shell's two exit codes, and never says anything on
/// standard output.
pub async fn a_missing_command_is_no_success(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let spec = session::spec(&["no-such-command", "argument"]);
    match runtime.exec(&id, &spec).await {
        Err(SandboxError::CannotExec { command, .. }) => assert_eq!(command, "no-such-command"),
        Err(other) => panic!("{other}"),
        Ok(exec) => {
            let output = Output::of(exec).await;
            assert_eq!(output.stdout, "");
            assert!(matches!(output.status, ExecStatus::Exited(126 | 127)), "{:?}", output.status);
        }
    }
    assert_eq!(run(runtime, &id, &sh("echo alive")).await.stdout, "alive\n");
}

/// The variables of one process are in no other, and every process has `PATH`, `HOME`, `TMPDIR` and `LANG`.
pub async fn an_environment_reaches_its_process_alone(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let mut spec = session::spec(&["/bin/sh", "-c", "echo \"$TOKEN\"; read line"]);
    spec.env.insert("TOKEN".into(), "canary $HOME 'q'".to_owned().into());
    let mut first = runtime.exec(&id, &spec).await.expect("exec");
    assert_eq!(line(&mut first).await, "canary $HOME 'q'\n");
    assert_eq!(run(runtime, &id, &sh("echo \"${TOKEN-unset}\"")).await.stdout, "unset\n");
    let usual = run(runtime, &id, &sh("echo ${PATH:+path} ${HOME:+home} ${TMPDIR:+tmpdir} ${LANG:+lang}")).await;
    assert_eq!(usual.stdout, "path home tmpdir lang\n");
}

/// A process starts in its sandbox's workspace, which can be written to and keeps what is written.
pub async fn the_workspace_persists_between_processes(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let first = run(runtime, &id, &sh("pwd; mkdir -p a/b && echo kept > a/b/file")).await;
    assert_eq!(first.status, ExecStatus::Exited(0), "{}", first.stderr);
    let second = run(runtime, &id, &sh("pwd; cat a/b/file")).await;
    assert_eq!(second.stdout, format!("{}kept\n", first.stdout));
}

/// What one sandbox writes is not in another one, and cannot be reached by the path that it has in the first.
pub async fn two_sandboxes_share_no_files(runtime: &dyn SandboxRuntime) {
    let (one, other) = (start(runtime).await, start(runtime).await);
    let written = run(runtime, &one, &sh("echo private > secret; echo t > /tmp/shared-canary 2>/dev/null; pwd")).await;
    let path = format!("{}/secret", written.stdout.trim());
    let look =
        if runtime.isolation().none { "ls -A".into() } else { format!("ls -A; cat {path}; cat /tmp/shared-canary") };
    assert_eq!(run(runtime, &other, &sh(&look)).await.stdout, "");
    assert_eq!(run(runtime, &one, &sh("cat secret")).await.stdout, "private\n");
}

/// A new epoch is a new sandbox; the same one is not.
pub async fn two_epochs_of_a_session_are_two_sandboxes(runtime: &dyn SandboxRuntime) {
    let first = session::sandbox_spec();
    let second = SandboxSpec { epoch: Epoch::new(first.epoch.get() + 1), ..first.clone() };
    let (one, other) = (sandbox(runtime, &first).await, sandbox(runtime, &second).await);
    assert_ne!(one, other);
    run(runtime, &one, &sh("echo old > file")).await;
    assert_eq!(run(runtime, &other, &sh("ls -A")).await.stdout, "");
}

/// No process of another sandbox shows.
pub async fn two_sandboxes_do_not_see_each_others_processes(runtime: &dyn SandboxRuntime) {
    let (one, other) = (start(runtime).await, start(runtime).await);
    let mut waiting = exec(runtime, &one, &["/bin/sh", "-c", "echo ready; read line", "process-canary"]).await;
    ready(&mut waiting).await;
    let look = "for dir in /proc/[0-9]*; do cat $dir/cmdline; echo; done 2>/dev/null";
    let seen = run(runtime, &other, &sh(look)).await.stdout;
    assert!(!seen.contains("process-canary"), "{seen}");
}

/// What one server of a sandbox makes in the workspace, the others can read, change and remove.
pub async fn two_servers_share_the_workspace(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let made = run_as(runtime, &id, "one", "mkdir -p a/b && echo one > a/b/file").await;
    assert_eq!(made.status, ExecStatus::Exited(0), "{}", made.stderr);
    let changed = run_as(runtime, &id, "other", "echo other >> a/b/file && cat a/b/file && mv a/b/file a/moved").await;
    assert_eq!(changed.stdout, "one\nother\n", "{}", changed.stderr);
    let removed = run_as(runtime, &id, "one", "rm -r a && ls -A").await;
    assert_eq!((removed.stdout.as_str(), removed.status), ("", ExecStatus::Exited(0)), "{}", removed.stderr);
}

/// Each server has a `HOME` and a `TMPDIR` that it can write to, and finds nothing there that another one wrote. Where
/// the runtime isolates, no other server can read what is there.
pub async fn two_servers_share_no_home(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let write = "echo mine > \"$HOME/home-canary\" && echo mine > \"$TMPDIR/tmp-canary\" && echo \"$HOME\" && \
                 echo \"$TMPDIR\" && echo ready && read line";
    let mut one = session::exec_as(runtime, &id, "one", write).await;
    let (home, temporary) = (line(&mut one).await, line(&mut one).await);
    ready(&mut one).await;
    let (home, temporary) = (home.trim(), temporary.trim());
    let look =
        format!("cat '{home}/home-canary' '{temporary}/tmp-canary' \"$HOME/home-canary\" \"$TMPDIR/tmp-canary\"");
    let look = if runtime.isolation().none { "ls -A \"$HOME\" | grep canary".into() } else { look };
    let found = run_as(runtime, &id, "other", &look).await;
    assert_eq!(found.stdout, "", "{}", found.stderr);
}

/// No server reads another one's environment, writes to its streams, or ends or stops its processes.
pub async fn two_servers_cannot_reach_each_others_processes(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let mut spec = session::spec_of("one", &sh("echo ready; read line; echo \"heard $line\""));
    spec.env.insert("TOKEN".into(), "server-canary".to_owned().into());
    let mut one = deadline(runtime.exec(&id, &spec)).await.expect("exec");
    ready(&mut one).await;
    // Its own processes are left out: this shell and its supervisor.
    let attack = "for dir in /proc/[0-9]*; do pid=${dir#/proc/}
        [ $pid = $$ ] || [ $pid = $PPID ] || [ $pid = 1 ] && continue
        cat $dir/environ $dir/task/*/environ | grep -a server-canary && echo read $pid
        for fd in 0 1 2; do (echo forged > $dir/fd/$fd) && echo wrote $pid; done
    done 2>/dev/null
    kill -STOP -1 2>/dev/null; kill -KILL -1 2>/dev/null; :";
    let attack = run_as(runtime, &id, "other", attack).await;
    assert_eq!(attack.stdout, "", "{}", attack.stderr);
    assert!(!matches!(attack.status, ExecStatus::Lost(_)), "{:?}", attack.status);
    one.stdin.write_all(b"its own\n").await.expect("write");
    let output = Output::of(one).await;
    assert_eq!((output.stdout.as_str(), output.status), ("heard its own\n", ExecStatus::Exited(0)));
}

/// Dropping an `Exec` ends all that it started, whatever that does about it.
pub async fn dropping_an_exec_ends_its_tree(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let mut stubborn = exec(runtime, &id, &sh(STUBBORN)).await;
    ready(&mut stubborn).await;
    let Exec { stdin, mut stdout, stderr, status, kill } = stubborn;
    drop((stdin, stderr, status, kill));
    // It ends when nobody is left who could write to it.
    deadline(stdout.read_to_end(&mut Vec::new())).await.expect("the end of standard output");
}

/// Killing an `Exec` ends all that it started, and its status tells that it did not exit.
pub async fn killing_an_exec_ends_its_tree(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let mut stubborn = exec(runtime, &id, &sh(STUBBORN)).await;
    ready(&mut stubborn).await;
    (stubborn.kill)();
    deadline(stubborn.stdout.read_to_end(&mut Vec::new())).await.expect("the end of standard output");
    let status = deadline(stubborn.status).await;
    assert!(!matches!(status, ExecStatus::Exited(_)), "{status:?}");
}

/// Stopping a sandbox ends all processes in it, can be done twice, and to what never was.
pub async fn stopping_ends_everything_and_is_idempotent(runtime: &dyn SandboxRuntime) {
    let (id, kept) = (start(runtime).await, start(runtime).await);
    let mut running = Vec::new();
    for _ in 0..3 {
        let mut stubborn = exec(runtime, &id, &sh(STUBBORN)).await;
        ready(&mut stubborn).await;
        running.push(stubborn);
    }
    run(runtime, &id, &sh("mkdir -p closed/inner && echo x > closed/inner/file && chmod 0 closed")).await;
    deadline(runtime.stop(&id)).await.expect("stop");
    for mut exec in running {
        deadline(exec.stdout.read_to_end(&mut Vec::new())).await.expect("the end of standard output");
        let status = deadline(exec.status).await;
        assert!(!matches!(status, ExecStatus::Exited(_)), "{status:?}");
    }
    runtime.stop(&id).await.expect("stop twice");
    for unknown in ["", "unknown", "../..", "0123456789abcdef0123456789abcdef"] {
        runtime.stop(&SandboxId::new(unknown)).await.expect("stop what never was");
    }
    assert_eq!(run(runtime, &kept, &sh("echo alive")).await.stdout, "alive\n");
}

/// A stopped sandbox runs nothing any more and is not listed, and neither is one that never was.
pub async fn a_stopped_sandbox_is_gone(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    runtime.stop(&id).await.expect("stop");
    for id in [&id, &SandboxId::new("../x"), &SandboxId::new("")] {
        let outcome = runtime.exec(id, &session::spec(&["/bin/sh", "-c", "true"])).await;
        assert!(matches!(outcome, Err(SandboxError::Gone)), "{outcome:?}");
    }
    assert!(runtime.list().await.expect("list").iter().all(|summary| summary.id != id));
}

/// Output that nobody reads stays with its process, which waits; read later, it is complete.
pub async fn a_flood_that_nobody_reads_waits(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let flood = sh("echo ready; dd if=/dev/zero bs=65536 count=1024 2>/dev/null");
    let mut flood = exec(runtime, &id, &flood).await;
    ready(&mut flood).await;
    for _ in 0..5 {
        run(runtime, &id, &sh("true")).await;
        assert!((&mut flood.status).now_or_never().is_none(), "64 MiB went somewhere");
    }
    let mut read = Vec::new();
    deadline(flood.stdout.read_to_end(&mut read)).await.expect("read");
    assert_eq!((read.len(), deadline(flood.status).await), (64 << 20, ExecStatus::Exited(0)));
}

/// Processes of one sandbox run side by side.
pub async fn many_processes_run_at_once(runtime: &dyn SandboxRuntime) {
    let id = start(runtime).await;
    let echoes = (0..24).map(|number| {
        let id = &id;
        async move {
            let mut echo = exec(runtime, id, &sh(&format!("echo ready; read line; echo {number} $line"))).await;
            ready(&mut echo).await;
            echo
        }
    });
    // All of them have started before the first is told to go on.
    for (number, mut echo) in join_all(echoes).await.into_iter().enumerate() {
        echo.stdin.write_all(b"go\n").await.expect("write");
        assert_eq!(Output::of(echo).await.stdout, format!("{number} go\n"));
    }
}

/// All sandboxes are listed with what they were started for.
pub async fn every_sandbox_is_listed(runtime: &dyn SandboxRuntime) {
    let specs = [session::sandbox_spec(), session::sandbox_spec()];
    let mut expected = Vec::new();
    for spec in specs {
        expected.push((sandbox(runtime, &spec).await, spec.session, spec.epoch));
    }
    let listed = runtime.list().await.expect("list");
    for (id, session, epoch) in expected {
        let found = listed.iter().find(|summary| summary.id == id).expect("listed");
        assert_eq!((&found.session, found.epoch), (&session, epoch));
    }
}

/// Whoever waits for a start is told that it began and that it is done.
pub async fn progress_is_told(runtime: &dyn SandboxRuntime) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let progress = Arc::new(move |progress| sink.lock().expect("lock").push(progress));
    runtime.start(&session::sandbox_spec(), progress).await.expect("start");
    let told = told.lock().expect("lock");
    assert_eq!(told.first().map(|first| first.status.as_str()), Some("running"));
    assert_eq!(told.last().map(|last| last.status.as_str()), Some("done"));
}

/// Ignores what asks it to go, in three generations, the last of which has no parent left.
const STUBBORN: &str = "trap '' TERM HUP INT PIPE QUIT
(trap '' TERM HUP INT PIPE QUIT; (while :; do sleep 1; done) & )
echo ready
while :; do sleep 1; done";
