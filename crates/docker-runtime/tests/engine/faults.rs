//! What befalls engines and containers from outside. D9 and D11 are with the abuse suite.

use crate::{
    Check,
    bench::{Bench, Output, config, connect, host, ready, runtime, soon, spec, spec_of, until},
    check,
    daemon::{self, Daemon},
    image::bare_image,
    proxy::Proxy,
};
use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, KillContainerOptions, RemoveContainerOptions, RemoveImageOptions},
};
use futures::FutureExt;
use lockkeeper_docker_runtime::{Config, DockerRuntime, FindingKind, SetupError, diagnose};
use lockkeeper_ports::{Exec, ExecStatus, SandboxError, SandboxId, SandboxRuntime};
use lockkeeper_testkit::clock::TokioClock;
use rustix::process::Signal;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;

pub(crate) fn checks() -> Vec<Check> {
    let mut checks = vec![
        check!(d1_no_engine),
        check!(d6_the_answer_to_create_is_lost),
        check!(d10_the_container_ends),
        check!(d12_the_container_is_removed_by_somebody),
        check!(d13_the_name_is_taken_by_somebody_else),
        check!(d15_the_events_break_off),
        check!(d16_a_removal_that_others_began),
    ];
    let private = [
        check!(d2_the_engine_is_killed_during_a_call),
        check!(d3_the_engine_restarts),
        check!(d4_the_engine_restarts_under_running_containers),
        check!(d5_the_engine_hangs),
        check!(d7_a28_the_runtime_hangs_at_the_start),
        check!(d8_the_image_is_missing),
        check!(d14_the_disk_of_the_engine_is_full),
    ];
    checks.extend(private.map(|check| Check { lacks: daemon::missing(), ..check }));
    checks
}

async fn waiting(bench: &Bench, id: &SandboxId) -> Exec {
    let mut cat = bench.exec(id, &["/bin/sh", "-c", "echo ready; cat"]).await;
    ready(&mut cat).await;
    cat
}

fn quick(config: &mut Config) {
    config.stop_timeout_ms = 3000;
}

async fn d1_no_engine() {
    let directory = tempfile::tempdir().expect("a directory");
    let host = format!("unix://{}", directory.path().join("d.sock").display());
    let config = Config { host: host.clone(), ..Config::default() };
    let outcome = DockerRuntime::new(config.clone(), Arc::new(TokioClock::start())).await;
    let error = outcome.expect_err("nobody is there");
    assert!(matches!(&error, SetupError::Unreachable(_)) && error.to_string().contains(&host), "{error}");
    // One that died leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(directory.path().join("d.sock")).expect("bind"));
    let findings = diagnose(&config).await;
    assert_eq!(findings[0].kind, FindingKind::NoEngine, "{findings:?}");
    assert!(findings[0].to_string().contains("dockerd"), "{findings:?}");
}

async fn d2_the_engine_is_killed_during_a_call() {
    let mut daemon = Daemon::start(&[]).await;
    let bench = Bench::at(&daemon.host(), quick).await;
    let id = bench.start().await;
    let cat = waiting(&bench, &id).await;
    daemon.end(Signal::KILL).await;
    let status = soon(cat.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)), "{status:?}");
    let outcome = bench.runtime.exec(&id, &spec(&["/bin/true"])).await;
    assert!(matches!(outcome, Err(SandboxError::Gone | SandboxError::Unavailable(_))), "{outcome:?}");
    daemon.again().await;
    bench.expect_replaced(&id).await;
}

async fn d3_the_engine_restarts() {
    let mut daemon = Daemon::start(&[]).await;
    let bench = Bench::at(&daemon.host(), quick).await;
    let id = bench.start().await;
    let cat = waiting(&bench, &id).await;
    daemon.end(Signal::TERM).await;
    let status = soon(cat.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)), "{status:?}");
    daemon.again().await;
    bench.expect_replaced(&id).await;
}

/// Its containers run on, and so does what ran in them, unseen. Such a container is removed.
async fn d4_the_engine_restarts_under_running_containers() {
    let mut daemon = Daemon::start(&["--live-restore"]).await;
    let bench = Bench::at(&daemon.host(), quick).await;
    let id = bench.start().await;
    let container = bench.inspect(&id).await.expect("it runs").id.expect("an id");
    let cat = waiting(&bench, &id).await;
    daemon.end(Signal::TERM).await;
    let status = soon(cat.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)), "{status:?}");
    daemon.again().await;
    until("the old container is gone", async || bench.docker.inspect_container(&container, None).await.is_err()).await;
    bench.expect_replaced(&id).await;
}

async fn d5_the_engine_hangs() {
    let daemon = Daemon::start(&[]).await;
    let bench = Bench::at(&daemon.host(), |config| {
        config.api_timeout_ms = 1000;
        config.stop_timeout_ms = 1000;
    })
    .await;
    let id = bench.start().await;
    daemon.signal(Signal::STOP);
    for _ in 0..3 {
        let outcome = soon(bench.runtime.exec(&id, &spec(&["/bin/true"]))).await;
        assert!(matches!(outcome, Err(SandboxError::Unavailable(_))), "{outcome:?}");
    }
    // By now it is not even asked.
    let asked = Instant::now();
    let error = bench.runtime.list().await.expect_err("it hangs");
    assert!(error.to_string().contains("left alone") && asked.elapsed() < Duration::from_millis(900), "{error}");
    daemon.signal(Signal::CONT);
    until("it is asked again", async || bench.runtime.list().await.is_ok()).await;
    bench.expect_alive(&id).await;
}

async fn d6_the_answer_to_create_is_lost() {
    let proxy = Proxy::before(&host());
    let bench = Bench::at(&proxy.host(), |_| {}).await;
    proxy.lose_the_answer_to("/containers/create");
    let id = bench.start().await;
    assert_eq!(proxy.lost(), 1);
    bench.expect_alive(&id).await;
    assert_eq!(bench.runtime.list().await.expect("list").len(), 1);
    // Asked twice, it is the same.
    assert_eq!(bench.start().await, id);
    bench.expect_alive(&id).await;
}

async fn d7_a28_the_runtime_hangs_at_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let (script, pid) = (directory.path().join("runtime"), directory.path().join("pid"));
    let hangs = format!(
        "#!/bin/sh\nfor word; do [ \"$word\" = create ] && echo $$ > {} && exec sleep 1000; done\nexec runc \"$@\"\n",
        pid.display()
    );
    fs::write(&script, hangs).expect("write");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
    let daemon = Daemon::start(&["--add-runtime", &format!("hangs={}", script.display())]).await;
    let bench = Bench::at(&daemon.host(), |config| {
        config.runtime = "hangs".into();
        config.start_timeout_ms = 2000;
        config.stop_timeout_ms = 1000;
    })
    .await;
    let outcome = soon(bench.runtime.start(&spec_of("s", 1), Arc::new(|_| {}))).await;
    assert!(matches!(outcome, Err(SandboxError::StartTimeout(limit)) if limit.as_millis() == 2000), "{outcome:?}");
    // The engine itself cannot remove it as long as its runtime hangs; it is gone as soon as it can be.
    let hanging = fs::read_to_string(&pid).expect("it began").trim().parse().expect("a pid");
    let hanging = rustix::process::Pid::from_raw(hanging).expect("a pid");
    rustix::process::kill_process(hanging, Signal::KILL).expect("it hangs");
    until("nothing is left", async || bench.runtime.list().await.is_ok_and(|left| left.is_empty())).await;
}

async fn d8_the_image_is_missing() {
    let daemon = Daemon::start(&[]).await;
    let absent = config(&daemon.host(), "lockkeeper/absent:1".into());
    let error = DockerRuntime::new(absent.clone(), Arc::new(TokioClock::start())).await.expect_err("no image");
    assert!(matches!(&error, SetupError::Unusable(_)), "{error}");
    assert!(error.to_string().contains("lockkeeper/absent:1") && error.to_string().contains("lockkeeper image build"));
    assert_eq!(diagnose(&absent).await[0].kind, FindingKind::NoImage);

    // Removed while the server runs.
    let bench = Bench::at(&daemon.host(), |_| {}).await;
    let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
    bench.docker.remove_image(&bench.config.image, Some(options), None).await.expect("remove");
    let error = bench.runtime.start(&spec_of("s", 1), Arc::new(|_| {})).await.expect_err("no image");
    assert!(error.to_string().contains("lockkeeper image build"), "{error}");

    // One that is not ours.
    let bare = bare_image(&bench.docker).await;
    let bare = runtime(&Config { image: bare, ..bench.config.clone() }).await;
    let id = bare.start(&spec_of("s", 1), Arc::new(|_| {})).await.expect("the init runs");
    let error = bare.exec(&id, &spec(&["/bin/true"])).await.expect_err("no binary");
    assert!(error.to_string().contains("lockkeeper image build"), "{error}");
    until("nothing is left", async || bench.runtime.list().await.expect("list").is_empty()).await;
}

async fn d10_the_container_ends() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let cat = waiting(&bench, &id).await;
    bench.docker.kill_container(id.as_str(), None::<KillContainerOptions>).await.expect("kill");
    assert_eq!(soon(cat.status).await, ExecStatus::Lost("the container ended with exit status 137".into()));
    bench.expect_replaced(&id).await;
}

async fn d12_the_container_is_removed_by_somebody() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let cat = waiting(&bench, &id).await;
    let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
    bench.docker.remove_container(id.as_str(), Some(options)).await.expect("remove");
    let status = soon(cat.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)), "{status:?}");
    bench.expect_replaced(&id).await;
}

async fn d13_the_name_is_taken_by_somebody_else() {
    let bench = Bench::new().await;
    let name = bench.start().await;
    bench.runtime.stop(&name).await.expect("stop");
    let options = CreateContainerOptions { name: Some(name.to_string()), platform: String::new() };
    let body = ContainerCreateBody {
        image: Some(bench.config.image.clone()),
        cmd: Some(vec!["sh".into()]),
        ..ContainerCreateBody::default()
    };
    let theirs = bench.docker.create_container(Some(options), body).await.expect("create").id;
    let outcome = bench.runtime.start(&spec_of("s", 1), Arc::new(|_| {})).await;
    bench.runtime.stop(&name).await.expect("unknown");
    let found = bench.docker.inspect_container(&theirs, None).await.is_ok();
    let listed = bench.runtime.list().await.expect("list");
    bench.docker.remove_container(&theirs, None::<RemoveContainerOptions>).await.expect("remove");
    assert!(
        matches!(&outcome, Err(SandboxError::Unavailable(why)) if why.to_string().contains("left alone")),
        "{outcome:?}"
    );
    assert!(found && listed.is_empty(), "it was not touched");
    // The next epoch has a name of its own.
    let next = bench.runtime.start(&spec_of("s", 2), Arc::new(|_| {})).await.expect("start");
    bench.expect_alive(&next).await;
}

async fn d14_the_disk_of_the_engine_is_full() {
    let daemon = Daemon::on_a_small_disk(96).await;
    let bench = Bench::at(&daemon.host(), |_| {}).await;
    let id = bench.start().await;
    let filler = daemon.path("data/filler");
    let fill = std::process::Command::new("dd")
        .args(["if=/dev/zero", "bs=1M"])
        .arg(format!("of={}", filler.display()))
        .output();
    assert!(!fill.expect("dd runs").status.success(), "it is full");
    let error = bench.runtime.start(&spec_of("t", 1), Arc::new(|_| {})).await.expect_err("no room");
    assert!(matches!(&error, SandboxError::Unavailable(why) if why.to_string().contains("no space left")), "{error}");
    // Those that run do not need any.
    bench.expect_alive(&id).await;
    fs::remove_file(&filler).expect("remove");
    let started = bench.runtime.start(&spec_of("t", 1), Arc::new(|_| {})).await.expect("start");
    bench.expect_alive(&started).await;
    assert_eq!(bench.runtime.list().await.expect("list").len(), 2);
}

async fn d15_the_events_break_off() {
    let proxy = Proxy::before(&host());
    let bench = Bench::at(&proxy.host(), |_| {}).await;
    let direct = connect(&host()).await.expect("the engine answers");
    let id = bench.start().await;
    let mut cat = waiting(&bench, &id).await;
    assert_eq!(proxy.cut("/events"), 1);
    // Nobody notices: what runs runs on.
    cat.stdin.write_all(b"still here\n").await.expect("write");
    until("the events are followed again", async || proxy.asked("/events")).await;
    assert!((&mut cat.status).now_or_never().is_none());
    let output = soon(Output::of(cat)).await;
    assert_eq!((output.stdout.as_str(), output.status), ("still here\n", ExecStatus::Exited(0)));
    // And what happens now is heard, or found out.
    let cat = waiting(&bench, &id).await;
    assert_eq!(proxy.cut("/events"), 1);
    direct.kill_container(id.as_str(), None::<KillContainerOptions>).await.expect("kill");
    let status = soon(cat.status).await;
    assert!(matches!(status, ExecStatus::Lost(_)), "{status:?}");
    bench.expect_replaced(&id).await;
}

/// Whoever removes what is not needed may stop half-way, or be two.
async fn d16_a_removal_that_others_began() {
    let bench = Bench::new().await;
    let other = runtime(&bench.config).await;
    let id = bench.start().await;
    let (one, two) = futures::join!(bench.runtime.stop(&id), other.stop(&id));
    one.and(two).expect("both succeed");
    let id = bench.start().await;
    bench.docker.kill_container(id.as_str(), None::<KillContainerOptions>).await.expect("kill");
    other.stop(&id).await.expect("stop");
    assert!(bench.inspect(&id).await.is_none() && other.list().await.expect("list").is_empty());
}
