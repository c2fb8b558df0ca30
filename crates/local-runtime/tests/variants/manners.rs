//! What every variant does beyond the contract.

use crate::{
    CANARY, Check,
    bench::{Bench, Output, ready, spec},
};
use lockkeeper_local_runtime::IsolationChoice;
use lockkeeper_ports::{ExecStatus, SandboxError, SandboxRuntime};
use std::fs;

pub(crate) fn checks(choice: IsolationChoice) -> Vec<Check> {
    macro_rules! check {
        ($name:ident) => {
            Check {
                name: stringify!($name).into(),
                ignored: None,
                run: Box::new(move || {
                    Box::pin(async move { $name(Bench::new(choice).await.expect("it worked before"), choice).await })
                }),
            }
        };
    }
    vec![
        check!(the_exit_code_137_is_no_signal),
        check!(a_command_that_cannot_run_is_an_error_that_says_why),
        check!(the_placeholder_stands_for_the_workspace),
        check!(what_a_command_leaves_behind_ends_with_it),
        check!(nothing_of_the_servers_environment_is_inside),
        check!(one_command_cannot_read_anothers_environment),
        check!(a_secret_is_on_no_command_line),
        check!(an_oversized_command_is_refused),
        check!(a_command_is_not_root_and_cannot_become_it),
        check!(nothing_is_left_of_a_stopped_sandbox),
        check!(it_says_what_holds),
    ]
}

async fn the_exit_code_137_is_no_signal(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    let exited = bench.sh(&id, "exit 137").await;
    assert_eq!((exited.stderr.as_str(), exited.status), ("", ExecStatus::Exited(137)));
    assert_eq!(bench.sh(&id, "kill -9 $$").await.status, ExecStatus::Signalled(9));
}

async fn a_command_that_cannot_run_is_an_error_that_says_why(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    bench.sh(&id, "echo nonsense > file; chmod 600 file; mkdir directory").await;
    for (command, reason) in [
        ("no-such-command", "No such file"),
        ("/no/such/path", "No such file"),
        ("./file", "ermission denied"),
        ("./directory", "ermission denied"),
        ("", "No such file"),
    ] {
        let outcome = bench.runtime.exec(&id, &spec(&[command])).await;
        let Err(SandboxError::CannotExec { command: named, reason: said }) = outcome else {
            panic!("{command}: {outcome:?}")
        };
        assert!(named == command && said.contains(reason), "{named}: {said}");
    }
}

async fn the_placeholder_stands_for_the_workspace(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    let script = r#"echo x > "$1/file"; cat file; [ "$1" = "$PWD" ] && [ "$1" != "$HOME" ] && echo same"#;
    let output = Output::of(bench.exec(&id, &["/bin/sh", "-c", script, "sh", "{workspace}"]).await).await;
    assert_eq!(output.stdout, "x\nsame\n", "{output:?}");
}

async fn what_a_command_leaves_behind_ends_with_it(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    // Its end is seen at the end of standard output, which the one left behind would hold open.
    let output = bench.sh(&id, "(trap '' TERM HUP; (while :; do sleep 1; done) & ) ; echo done").await;
    assert_eq!((output.stdout.as_str(), output.status), ("done\n", ExecStatus::Exited(0)));
}

async fn nothing_of_the_servers_environment_is_inside(bench: Bench, choice: IsolationChoice) {
    let id = bench.start("s").await;
    let own = bench.sh(&id, "env").await.stdout;
    let names: Vec<_> = own.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = ["HOME", "LANG", "PATH", "PWD", "TMPDIR", "SHLVL", "_", "OLDPWD"];
    assert!(names.iter().all(|name| expected.contains(name)), "{own}");
    if choice != IsolationChoice::None {
        let all = bench.sh(&id, "for f in /proc/[0-9]*/environ /proc/self/environ; do cat $f; done 2>/dev/null").await;
        assert!(!all.stdout.contains(CANARY), "{all:?}");
    }
}

async fn one_command_cannot_read_anothers_environment(bench: Bench, choice: IsolationChoice) {
    let id = bench.start("s").await;
    let mut with_secret = spec(&["/bin/sh", "-c", "echo ready; read line"]);
    with_secret.env.insert("TOKEN".into(), "environ-canary".to_owned().into());
    let mut exec = bench.runtime.exec(&id, &with_secret).await.expect("exec");
    ready(&mut exec).await;
    let all =
        bench.sh(&id, "for f in /proc/[0-9]*/environ /proc/[0-9]*/task/*/environ; do cat $f; done 2>/dev/null").await;
    assert_eq!(all.stdout.contains("environ-canary"), choice == IsolationChoice::None, "{all:?}");
}

async fn a_secret_is_on_no_command_line(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    let mut with_secret = spec(&["/bin/sh", "-c", "echo ready; read line"]);
    with_secret.env.insert("TOKEN".into(), "argv-canary-0815".to_owned().into());
    let mut exec = bench.runtime.exec(&id, &with_secret).await.expect("exec");
    ready(&mut exec).await;
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    let lines: Vec<_> = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).collect();
    assert!(lines.iter().any(|line| String::from_utf8_lossy(line).contains("echo ready; read line")), "it runs");
    assert!(lines.iter().all(|line| !String::from_utf8_lossy(line).contains("argv-canary-0815")));
    // Nor on disk.
    let state = bench.directory.path().join("state").join(id.as_str());
    let note = fs::read_to_string(state.join("sandbox.json")).expect("the note");
    assert!(!note.contains("argv-canary-0815"), "{note}");
}

async fn an_oversized_command_is_refused(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    let (large, larger) = ("x".repeat(1 << 20), "x".repeat(9 << 20));
    for argument in [&large, &larger] {
        let outcome = bench.runtime.exec(&id, &spec(&["/bin/echo", argument])).await;
        let error = outcome.expect_err("too large");
        assert!(matches!(error, SandboxError::CannotExec { .. } | SandboxError::Unavailable(_)), "{error}");
    }
    assert_eq!(bench.sh(&id, "echo alive").await.stdout, "alive\n");
}

async fn a_command_is_not_root_and_cannot_become_it(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    // Not by a child of the shell, for which Landlock leaves no /proc/self.
    let script = "id -u; id -G; while read name value; do case $name in Cap[EPIA]*|NoNewPrivs:) echo $name$value; esac; done \
                  </proc/self/status";
    let output = bench.sh(&id, script).await;
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(lines[0] != "0" && lines[1].split(' ').all(|group| group != "0"), "{output:?}");
    assert!(output.stdout.contains("NoNewPrivs:1"), "{output:?}");
    assert_eq!(output.stdout.matches("0000000000000000").count(), 4, "{output:?}");
}

async fn nothing_is_left_of_a_stopped_sandbox(bench: Bench, _: IsolationChoice) {
    let id = bench.start("s").await;
    bench.sh(&id, "mkdir -p a/b; chmod 0 a/b; ln -s / root; mkfifo pipe").await;
    bench.runtime.stop(&id).await.expect("stop");
    let left: Vec<_> = fs::read_dir(bench.directory.path().join("state")).expect("state").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(bench.directory.path().to_str().expect("text")), "{mounts}");
}

async fn it_says_what_holds(bench: Bench, choice: IsolationChoice) {
    let isolation = bench.runtime.isolation();
    assert_eq!((isolation.runtime.as_str(), isolation.none), ("local", choice == IsolationChoice::None));
    let word = match choice {
        IsolationChoice::Bubblewrap => "bubblewrap",
        IsolationChoice::Namespaces => "own namespaces",
        IsolationChoice::Landlock => "Landlock",
        _ => "nothing isolates",
    };
    assert!(format!("{}; {}", isolation.holds, isolation.gaps).contains(word), "{isolation:?}");
}
