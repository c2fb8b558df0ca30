//! Several MCP servers in one sandbox, and what of the machine all of them see.

use crate::{
    Check,
    bench::{Bench, Output, ready, spec_for, this_executable},
};
use lockkeeper_local_runtime::{Config, IsolationChoice};
use lockkeeper_ports::{ExecStatus, SandboxId, SandboxRuntime};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

pub(crate) fn checks(choice: IsolationChoice) -> Vec<Check> {
    let isolation = (choice == IsolationChoice::None).then(|| "claims no isolation".to_owned());
    let has_root = matches!(choice, IsolationChoice::Bubblewrap | IsolationChoice::Namespaces);
    let root = (!has_root).then(|| "has no file systems of its own".to_owned());
    macro_rules! check {
        ($name:ident, $ignored:expr) => {
            Check { name: stringify!($name).into(), ignored: $ignored, run: Box::new(move || Box::pin($name(choice))) }
        };
    }
    vec![
        check!(a_server_sees_nothing_of_another_one, isolation.clone()),
        check!(a_server_cannot_reach_the_sockets_of_another_one, isolation.clone()),
        check!(memory_file_systems_are_noexec_and_bounded, root.clone()),
        check!(proc_tells_nothing_of_the_machine, isolation.clone()),
        check!(opt_and_local_settings_are_not_visible, isolation.clone()),
        check!(hidden_and_visible_paths_are_configurable, isolation),
    ]
}

async fn bench(choice: IsolationChoice, change: impl FnOnce(&mut Config)) -> Bench {
    Bench::with(choice, change).await.expect("it worked before")
}

async fn sh(bench: &Bench, id: &SandboxId, server: &str, script: &str) -> Output {
    Output::of(bench.runtime.exec(id, &spec_for(server, &["/bin/sh", "-c", script])).await.expect("exec")).await
}

/// Covers: S1-2
async fn a_server_sees_nothing_of_another_one(choice: IsolationChoice) {
    let bench = bench(choice, |_| {}).await;
    let id = bench.start("s").await;
    let script = "for d in $HOME $TMPDIR /tmp /dev/shm; do echo file-canary > $d/note; done 2>/dev/null; \
                  echo ready; read line; echo heard $line";
    let mut spec = spec_for("victim", &["/bin/sh", "-c", script]);
    spec.env.insert("TOKEN".into(), "environ-canary".to_owned().into());
    let mut victim = bench.runtime.exec(&id, &spec).await.expect("exec");
    ready(&mut victim).await;
    let look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/[0-9]*/task/*/environ /proc/[0-9]*/root/tmp/note \
                $HOME/note $HOME/../*/note $TMPDIR/note $TMPDIR/../*/note /tmp/note /dev/shm/note 2>/dev/null | \
                tr '\\0' '\\n' | grep -a 'canar[y]'";
    let seen = sh(&bench, &id, "intruder", look).await;
    assert_eq!(seen.stdout, "", "{seen:?}");
    let streams = "for fd in /proc/[0-9]*/fd/[012]; do case $fd in /proc/$$/*|/proc/1/*) ;; *) (echo forged > $fd) \
                   2>/dev/null && echo wrote $fd;; esac; done; kill -STOP -1; kill -KILL -1; :";
    let wrote = sh(&bench, &id, "intruder", streams).await;
    assert_eq!(wrote.stdout, "", "{wrote:?}");
    tokio::io::AsyncWriteExt::write_all(&mut victim.stdin, b"its own\n").await.expect("write");
    let output = Output::of(victim).await;
    assert_eq!((output.stdout.as_str(), output.status), ("heard its own\n", ExecStatus::Exited(0)));
}

/// Covers: S1-2
async fn a_server_cannot_reach_the_sockets_of_another_one(choice: IsolationChoice) {
    let bench = bench(choice, |_| {}).await;
    let id = bench.start("s").await;
    let this = this_executable();
    let this = this.to_str().expect("text");
    let listen = spec_for("victim", &[this, crate::abuser::ARGUMENT, "listen", "victim"]);
    let mut victim = bench.runtime.exec(&id, &listen).await.expect("exec");
    ready(&mut victim).await;
    let connect = spec_for("intruder", &[this, crate::abuser::ARGUMENT, "abstract", "victim"]);
    let output = Output::of(bench.runtime.exec(&id, &connect).await.expect("exec")).await;
    assert!(output.stdout.starts_with("refused"), "{output:?}");
    drop(victim.stdin);
    assert_eq!(victim.status.await, ExecStatus::Exited(0));
}

/// Covers: S3 local
async fn memory_file_systems_are_noexec_and_bounded(choice: IsolationChoice) {
    let bench = bench(choice, |_| {}).await;
    let id = bench.start("s").await;
    for directory in ["/tmp", "/dev/shm", "/run/home"] {
        let mounted = format!("grep ' {directory} ' /proc/self/mounts");
        let options = sh(&bench, &id, "server", &mounted).await.stdout;
        for option in ["noexec", "nosuid", "nodev", "nr_inodes=4096"] {
            assert!(options.contains(option), "{directory} without {option}: {options}");
        }
        let run = format!("printf '#!/bin/sh\\necho executed' > {directory}/x; chmod 755 {directory}/x; {directory}/x");
        let run = sh(&bench, &id, "server", &run).await;
        assert!(run.stdout.is_empty() && run.stderr.contains("ermission denied"), "{directory}: {run:?}");
        let fill = format!(
            "n=0; while (: > {directory}/$n) 2>/dev/null; do n=$((n+1)); [ $n -ge 5000 ] && break; done; echo $n"
        );
        let made = sh(&bench, &id, "server", &fill).await.last_number();
        assert!(made < 4096, "{made} files in {directory}");
    }
}

/// Covers: S3 local
async fn proc_tells_nothing_of_the_machine(choice: IsolationChoice) {
    let bench = bench(choice, |_| {}).await;
    let id = bench.start("s").await;
    for name in ["kcore", "config.gz", "kallsyms", "keys", "key-users", "modules", "timer_list", "interrupts", "iomem"]
    {
        let output = sh(&bench, &id, "server", &format!("head -c 10 /proc/{name} | wc -c")).await;
        assert_eq!(output.stdout.trim(), "0", "{name}: {output:?}");
    }
    for name in ["acpi", "asound", "bus", "fs", "irq", "scsi"] {
        let output = sh(&bench, &id, "server", &format!("ls -A /proc/{name}")).await;
        assert_eq!(output.stdout, "", "{name}: {output:?}");
    }
    let needed = sh(&bench, &id, "server", "head -c 10 /proc/meminfo | wc -c").await;
    assert_eq!(needed.stdout.trim(), "10", "{needed:?}");
}

/// Covers: S3 local
async fn opt_and_local_settings_are_not_visible(choice: IsolationChoice) {
    let bench = bench(choice, |_| {}).await;
    let id = bench.start("s").await;
    let output =
        sh(&bench, &id, "server", "ls -A /opt /usr/local/etc; cat /opt/* /usr/local/etc/*; ls /usr/bin | wc -l").await;
    let lines: Vec<_> = output.stdout.lines().filter(|line| !line.is_empty() && !line.ends_with(':')).collect();
    assert!(lines.len() == 1 && lines[0].trim() != "0", "{output:?}");
}

/// Covers: S3 local
async fn hidden_and_visible_paths_are_configurable(choice: IsolationChoice) {
    // Below a directory that no variant shows by itself.
    let folder = tempfile::tempdir_in("/var/tmp").expect("a directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let at = |name: &str| folder.path().join(name);
    for directory in ["shown", "shown/hidden/back", "shown/other", "extra"] {
        fs::create_dir_all(at(directory)).expect("mkdir");
        fs::write(at(directory).join("file"), format!("{directory}\n")).expect("write");
    }
    fs::write(at("shown/hidden/file"), "shown/hidden\n").expect("write");
    let bench = bench(choice, |config| {
        config.system_paths.push(at("shown"));
        config.hidden_paths.push(at("shown/hidden"));
        config.read_only.extend([at("extra"), at("shown/hidden/back")]);
    })
    .await;
    let id = bench.start("s").await;
    let read = |name: &str| format!("cat {0}; echo x > {0}; ", display(&at(name).join("file")));
    let script = ["shown", "shown/hidden", "shown/other", "extra", "shown/hidden/back"].map(read).concat();
    let output = sh(&bench, &id, "server", &script).await;
    assert_eq!(output.stdout, "shown\nshown/other\nextra\nshown/hidden/back\n", "{output:?}");
    assert_eq!(fs::read_to_string(at("extra/file")).expect("unharmed"), "extra\n");
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
