//! What is expected of this runtime beyond the contract.

use crate::{
    Check,
    bench::{Bench, config, connect, host, ready, runtime, soon, spec, spec_of, until},
    check,
    image::Parts,
};
use lockkeeper_docker_runtime::{Config, FindingKind, diagnose};
use lockkeeper_ports::{ExecStatus, SandboxError, SandboxRuntime};
use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
};

pub(crate) const HOLD: &str = "__hold";
pub(crate) const DIAGNOSE: &str = "__diagnose";

pub(crate) fn checks() -> Vec<Check> {
    let not_root = (!rustix::process::geteuid().is_root()).then(|| "needs root, to be somebody else".to_owned());
    vec![
        check!(a_secret_is_in_no_description),
        check!(each_sandbox_has_a_user_of_its_own),
        check!(a_reserved_sandbox_is_adopted_once),
        check!(an_adopted_sandbox_has_the_time_of_any_other),
        check!(a_sandbox_that_nobody_keeps_alive_ends),
        check!(the_death_of_the_server_ends_what_it_ran),
        check!(input_that_nobody_reads_does_not_hide_the_kill),
        check!(a_healthy_engine_has_no_fatal_finding),
        Check { lacks: not_root, ..check!(a_missing_permission_is_told_from_a_missing_engine) },
    ]
}

/// Plays a server: starts a process, says so, and does nothing until it is killed.
pub(crate) fn hold(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut next = || arguments.next().and_then(|argument| argument.into_string().ok()).expect("an argument");
    let (image, deployment) = (next(), next());
    crate::block_on(async {
        let runtime = runtime(&Config { deployment, ..config(&host(), image) }).await;
        let id = runtime.start(&spec_of("held", 1), Arc::new(|_| {})).await.expect("start");
        let tree = "trap '' TERM HUP; echo ready; sleep 1000; sleep 1000";
        let mut tree = runtime.exec(&id, &spec(&["/bin/sh", "-c", tree])).await.expect("exec");
        ready(&mut tree).await;
        println!("{id}");
        tree.status.await;
    });
    ExitCode::SUCCESS
}

/// Looks for the engine, as whoever runs it.
pub(crate) fn diagnose_here(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let host = arguments.next().and_then(|host| host.into_string().ok()).expect("a host");
    let findings = crate::block_on(diagnose(&Config { host, ..Config::default() }));
    for finding in findings {
        println!("{:?}", finding.kind);
    }
    ExitCode::SUCCESS
}

async fn a_secret_is_in_no_description() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let mut exec = spec(&["/bin/sh", "-c", "echo ready; cat"]);
    exec.env.insert("TOKEN".into(), "canary-of-the-session".to_owned().into());
    let mut running = bench.runtime.exec(&id, &exec).await.expect("exec");
    ready(&mut running).await;
    let container = bench.inspect(&id).await.expect("it runs");
    let execs = container.exec_ids.clone().unwrap_or_default();
    assert_eq!(execs.len(), 1);
    let exec = bench.docker.inspect_exec(&execs[0]).await.expect("it runs");
    assert!(!format!("{container:?} {exec:?}").contains("canary-of-the-session"));
    // Nor can the holder's user, or another session's, read it: it is in the environment of its own process alone.
    let other = bench.runtime.start(&spec_of("other", 1), Arc::new(|_| {})).await.expect("start");
    let look = bench.sh(&other, "cat /proc/*/environ | grep -c canary-of").await;
    assert_eq!(look.stdout, "0\n");
}

async fn each_sandbox_has_a_user_of_its_own() {
    let bench = Bench::new().await;
    let mut users = std::collections::BTreeSet::new();
    for session in ["a", "b", "c"] {
        let id = bench.runtime.start(&spec_of(session, 1), Arc::new(|_| {})).await.expect("start");
        let user = bench.sh(&id, "id -u; id -g; stat -c '%u %g' /workspace; grep ^Uid /proc/1/status").await.stdout;
        let lines: Vec<_> = user.lines().collect();
        let (user, group) = lines[2].split_once(' ').expect("two numbers");
        assert!(lines[0] == lines[1] && user == "65532" && lines[0] != group, "{lines:?}");
        assert!(lines[3].contains("65532"), "{lines:?}");
        users.extend([lines[0].to_owned(), group.to_owned()]);
    }
    assert_eq!(users.len(), 6, "{users:?}");
}

async fn a_reserved_sandbox_is_adopted_once() {
    let bench = Bench::new().await;
    let reserved = bench.runtime.reserve().await.expect("reserve").expect("this runtime keeps some");
    let mut cat = bench.exec(&reserved, &["/bin/sh", "-c", "echo mine > file; echo ready; cat"]).await;
    ready(&mut cat).await;
    assert!(bench.runtime.list().await.expect("list").is_empty(), "it belongs to nobody");
    let specs = [spec_of("one", 3), spec_of("two", 4)];
    let (one, two) =
        futures::join!(bench.runtime.adopt(&reserved, &specs[0]), bench.runtime.adopt(&reserved, &specs[1]));
    let (id, session, lost) = match (one, two) {
        (Ok(id), Err(lost)) => (id, "one", lost),
        (Err(lost), Ok(id)) => (id, "two", lost),
        both => panic!("one of them has it: {both:?}"),
    };
    assert!(matches!(lost, SandboxError::Gone), "{lost}");
    // The session does not wait for the name by which other servers know it.
    until("the session's container has its name", async || !bench.runtime.list().await.expect("list").is_empty()).await;
    let listed = bench.runtime.list().await.expect("list");
    assert_eq!(
        listed.iter().map(|one| (one.id.clone(), one.session.as_str())).collect::<Vec<_>>(),
        [(id.clone(), session)]
    );
    assert_eq!(bench.sh(&id, "cat file").await.stdout, "mine\n");
    drop(cat.stdin);
    assert_eq!(soon(cat.status).await, ExecStatus::Exited(0), "what ran in it runs on");
    let again = bench.runtime.exec(&reserved, &spec(&["/bin/true"])).await;
    assert!(matches!(again, Err(SandboxError::Gone)), "{again:?}");
    let again = bench.runtime.adopt(&reserved, &spec_of("three", 1)).await;
    assert!(matches!(again, Err(SandboxError::Gone)), "{again:?}");
}

/// Covers: E11
async fn an_adopted_sandbox_has_the_time_of_any_other() {
    let bench = Bench::new().await;
    let reserved = bench.runtime.reserve().await.expect("reserve").expect("one");
    let id = bench.runtime.adopt(&reserved, &spec_of("one", 1)).await.expect("adopt");
    until("it has its name", async || bench.inspect(&id).await.is_some()).await;
    let cold = bench.runtime.start(&spec_of("two", 1), Arc::new(|_| {})).await.expect("start");
    let mut idle = Vec::new();
    for id in [&id, &cold] {
        let command = bench.inspect(id).await.expect("it runs").config.expect("a config").cmd.expect("a command");
        let at = command.iter().position(|argument| argument == "--idle").expect("a switch");
        idle.push(command[at + 1].clone());
    }
    assert_eq!(idle, ["900", "900"]);
}

async fn a_sandbox_that_nobody_keeps_alive_ends() {
    let mut bench = Bench::with(|config| config.idle_secs = 6).await;
    let id = bench.start().await;
    let container = bench.inspect(&id).await.expect("it runs").id.expect("an id");
    // For longer than the silence that it bears, somebody is there.
    let mut rest = bench.exec(&id, &["sleep", "12"]).await;
    assert_eq!(soon(&mut rest.status).await, ExecStatus::Exited(0));
    // Its server is replaced by one that does not know of it, and nobody is.
    bench.runtime = runtime(&bench.config).await;
    until("it is gone", async || bench.docker.inspect_container(&container, None).await.is_err()).await;
}

async fn the_death_of_the_server_ends_what_it_ran() {
    let bench = Bench::new().await;
    let mut server = Command::new(std::env::current_exe().expect("this executable"))
        .args([HOLD, &bench.config.image, &bench.config.deployment])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut said = BufReader::new(server.stdout.take().expect("piped")).lines();
    let id = said.next().expect("a line").expect("text");
    server.kill().expect("SIGKILL");
    server.wait().expect("wait");
    let listed = bench.runtime.list().await.expect("list");
    assert_eq!(listed.len(), 1, "the next server knows of it");
    assert_eq!(listed[0].id.as_str(), id);
    until("the stubborn tree is gone", async || {
        bench.sh(&listed[0].id, "cat /proc/[0-9]*/comm | grep -c sleep").await.stdout == "0\n"
    })
    .await;
    // Its own name for it is taken: the next server does not use what another one left, and gets a fresh one.
    let before = bench.inspect(&listed[0].id).await.expect("it runs").id;
    let fresh = runtime(&bench.config).await.start(&spec_of("held", 1), Arc::new(|_| {})).await.expect("start");
    assert_eq!(fresh.as_str(), id);
    assert_ne!(bench.inspect(&fresh).await.expect("it runs").id, before);
}

async fn input_that_nobody_reads_does_not_hide_the_kill() {
    use tokio::io::AsyncWriteExt;
    let bench = Bench::new().await;
    let id = bench.start().await;
    let mut deaf = bench.exec(&id, &["/bin/sh", "-c", "echo ready; trap '' TERM; while :; do sleep 1; done"]).await;
    ready(&mut deaf).await;
    // As much as goes in until it stands still.
    let block = vec![b'x'; 65_536];
    let mut written = 0;
    while let Ok(done) = tokio::time::timeout(std::time::Duration::from_secs(1), deaf.stdin.write(&block)).await {
        written += done.expect("write");
        assert!(written < 4 << 20, "it went somewhere");
    }
    (deaf.kill)();
    assert_eq!(soon(deaf.status).await, ExecStatus::Signalled(9));
    bench.expect_alive(&id).await;
}

async fn a_healthy_engine_has_no_fatal_finding() {
    let docker = connect(&host()).await.expect("the engine answers");
    let image = Parts::find().expect("looked for before").image(&docker).await;
    let findings = diagnose(&config(&host(), image)).await;
    assert!(findings.iter().all(|finding| !finding.is_fatal()), "{findings:?}");
    let bench = Bench::new().await;
    let isolation = bench.runtime.isolation();
    assert_eq!((isolation.runtime.as_str(), isolation.none), ("docker", false));
    assert!(isolation.holds.contains("no network") && isolation.holds.contains("512 MiB"), "{isolation:?}");
}

async fn a_missing_permission_is_told_from_a_missing_engine() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).expect("chmod");
    let socket = directory.path().join("d.sock");
    let _listener = tokio::net::UnixListener::bind(&socket).expect("bind");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&socket, closed).expect("chmod");
    let said = Command::new("/proc/self/exe")
        .args([DIAGNOSE, &format!("unix://{}", socket.display())])
        .uid(65_534)
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{:?}\n", FindingKind::NoPermission), "{said:?}");
}
