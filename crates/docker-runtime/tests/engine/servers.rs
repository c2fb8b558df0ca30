//! Several MCP servers in one sandbox: what one of them can do to the others, and what they share.

mod supervisors;

use crate::{
    Check,
    bench::{Bench, Output, ready, soon, spec_for, spec_of},
    check,
};
use lockkeeper_ports::{Exec, ExecStatus, SandboxError, SandboxId, SandboxRuntime};
use std::{collections::BTreeSet, sync::Arc};
use supervisors::{
    a_server_cannot_signal_its_supervisor, a_server_that_ends_its_supervisor_harms_itself_alone,
    a_server_that_stops_its_supervisor_is_ended,
};
use tokio::io::AsyncWriteExt;

/// A server with a secret, files of its own in each place, and sockets. It echoes what it reads.
const VICTIM: &str = r#"
$| = 1;
$0 = 'victim-process';
for my $path ("$ENV{HOME}/note", "$ENV{TMPDIR}/note", '/tmp/note', '/dev/shm/note') {
    open(my $f, '>', $path) or die "$path: $!"; print $f "victim-secret\n"; close $f;
}
socket(my $by_name, 1, 1, 0) or die; bind($by_name, pack('S a*', 1, "\0victim")) or die; listen($by_name, 5) or die;
socket(my $by_path, 1, 1, 0) or die; bind($by_path, pack('S a*', 1, '/tmp/victim.sock')) or die; listen($by_path, 5) or die;
print "ready\n";
while (my $line = <STDIN>) { print "heard $line" }
"#;
/// The pids of the victim and of all others of its user.
const PIDS: &str = r#"
opendir(my $proc, '/proc'); my @all = grep { /^\d+$/ } readdir $proc;
sub slurp { open(my $f, '<', $_[0]) or return ''; local $/; <$f> // '' }
my ($victim) = grep { slurp("/proc/$_/cmdline") =~ /^victim-process/ } @all;
my ($user) = slurp("/proc/$victim/status") =~ /^Uid:\s+(\d+)/m;
my @pids = grep { slurp("/proc/$_/status") =~ /^Uid:\s+$user\s/m } @all;
print scalar(@pids), " processes\n";
"#;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(a_server_cannot_look_into_another_one),
        check!(a_server_cannot_use_the_streams_of_another_one),
        check!(a_server_cannot_signal_or_tune_another_one),
        check!(a_server_cannot_reach_the_files_of_another_one),
        check!(a_server_cannot_reach_the_sockets_of_another_one),
        check!(servers_share_the_workspace_in_full),
        check!(a_server_that_ends_its_supervisor_harms_itself_alone),
        check!(a_server_cannot_signal_its_supervisor),
        check!(a_server_that_stops_its_supervisor_is_ended),
        check!(each_server_has_an_account_of_its_own),
        check!(one_server_too_many_is_refused_with_the_setting),
        check!(file_systems_have_the_modes_that_were_asked_for),
    ]
}

async fn of(bench: &Bench, id: &SandboxId, server: &str, command: &[&str]) -> Output {
    Output::of(soon(bench.runtime.exec(id, &spec_for(server, command))).await.expect("exec")).await
}

async fn sh(bench: &Bench, id: &SandboxId, server: &str, script: &str) -> Output {
    of(bench, id, server, &["/bin/sh", "-c", script]).await
}

async fn intruder(bench: &Bench, id: &SandboxId, script: &str) -> Output {
    of(bench, id, "intruder", &["/usr/bin/perl", "-e", &format!("$| = 1; {PIDS}\n{script}")]).await
}

async fn victim(bench: &Bench, id: &SandboxId) -> Exec {
    let mut spec = spec_for("victim", &["/usr/bin/perl", "-e", VICTIM]);
    spec.env.insert("TOKEN".into(), "environ-canary".to_owned().into());
    let mut exec = soon(bench.runtime.exec(id, &spec)).await.expect("exec");
    ready(&mut exec).await;
    exec
}

/// It has not been written to, ended or stopped.
async fn expect_unharmed(mut victim: Exec) {
    victim.stdin.write_all(b"its own\n").await.expect("write");
    let output = Output::of(victim).await;
    assert_eq!((output.stdout.as_str(), output.status), ("heard its own\n", ExecStatus::Exited(0)));
}

/// Covers: S1-2
async fn a_server_cannot_look_into_another_one() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let victim = victim(&bench, &id).await;
    let look = r#"for my $pid (@pids) {
        for my $file (qw(environ mem maps smaps auxv stack syscall io pagemap wchan map_files fd fdinfo cwd root exe)) {
            my $path = "/proc/$pid/$file";
            for my $path ($path, "/proc/$pid/task/$pid/$file") {
                my $read = '';
                if (open(my $f, '<', $path)) { sysread($f, $read, 100) }
                print "read $path\n" if length $read && $file ne 'wchan';
                print "listed $path\n" if opendir(my $d, $path) and grep { !/^\.\.?$/ } readdir $d;
                print "followed $path\n" if defined readlink $path;
            }
        }
    }"#;
    let output = intruder(&bench, &id, look).await;
    assert_eq!(output.stdout, "2 processes\n", "the server and its supervisor: {output:?}");
    let all = sh(&bench, &id, "intruder", "cat /proc/*/environ /proc/*/task/*/environ 2>/dev/null; ps w").await;
    assert!(!all.stdout.contains("environ-canary"), "{all:?}");
    expect_unharmed(victim).await;
}

/// Covers: S1-2
async fn a_server_cannot_use_the_streams_of_another_one() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let victim = victim(&bench, &id).await;
    let write = r#"for my $pid (@pids) { for my $fd (0 .. 20) { for my $mode ('<', '>', '+<', '>>') {
        print "opened $pid/$fd\n" if open(my $f, $mode, "/proc/$pid/fd/$fd");
    } } }"#;
    let output = intruder(&bench, &id, write).await;
    assert_eq!(output.stdout, "2 processes\n", "{output:?}");
    expect_unharmed(victim).await;
}

/// Covers: S1-2
async fn a_server_cannot_signal_or_tune_another_one() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let victim = victim(&bench, &id).await;
    let calls = r#"for my $pid (@pids) {
        for my $signal (0, 1, 2, 9, 10, 15, 17, 18, 19, 20, 23) {
            print "signalled $pid with $signal\n" if kill $signal, $pid;
            print "signalled group $pid with $signal\n" if kill -$signal, $pid;
        }
        my ($limits, $mask) = (pack('Q2', 0, 0), pack('Q', 1));
        for my $call (['prlimit', 302, $pid, 7, $limits, 0], ['setpriority', 141, 0, $pid, 19],
                      ['sched_setaffinity', 203, $pid, 8, $mask], ['sched_setscheduler', 144, $pid, 0, pack('l', 0)],
                      ['tgkill', 234, $pid, $pid, 19], ['rt_tgsigqueueinfo', 297, $pid, $pid, 19, "\0" x 128],
                      ['ptrace', 101, 16, $pid, 0, 0], ['process_vm_readv', 310, $pid, 0, 0, 0, 0, 0],
                      ['kcmp', 312, $$, $pid, 0, 0, 0], ['ioprio_set', 251, 1, $pid, 0]) {
            my ($name, @call) = @$call;
            print "$name of $pid\n" if syscall(shift @call, @call) != -1;
        }
        my $fd = syscall(434, $pid, 0);
        if ($fd >= 0) {
            print "pidfd signal to $pid\n" if syscall(424, $fd, 19, 0, 0) != -1;
            print "pidfd_getfd of $pid\n" if syscall(438, $fd, 0, 0) != -1;
        }
        print "oom_score_adj of $pid\n" if open(my $f, '>', "/proc/$pid/oom_score_adj");
    }"#;
    let output = intruder(&bench, &id, calls).await;
    assert_eq!(output.stdout, "2 processes\n", "{output:?}");
    // It ends all that it may.
    let output = intruder(&bench, &id, "kill 'STOP', -1; kill 'KILL', -1; kill 9, $$").await;
    assert!(!matches!(output.status, ExecStatus::Lost(_)), "the sandbox is still there: {output:?}");
    expect_unharmed(victim).await;
}

/// Covers: S1-2
async fn a_server_cannot_reach_the_files_of_another_one() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let homes =
        sh(&bench, &id, "victim", "echo $HOME; echo $TMPDIR; umask; stat -c '%a %u' $HOME $TMPDIR; id -u").await;
    let lines: Vec<_> = homes.stdout.lines().collect();
    let (home, temporary) = (lines[0], lines[1]);
    let private = format!("700 {}", lines[5]);
    assert_eq!(lines[2..5], ["0007", &private, &private], "{homes:?}");
    let victim = victim(&bench, &id).await;
    let attempts = format!(
        r#"for my $path ('{home}', '{temporary}', '{home}/note', '{temporary}/note', '/tmp/note', '/dev/shm/note') {{
            my $is_shared = $path =~ m#^/(tmp|dev/shm)/#;
            print "read $path\n" if open(my $f, '<', $path) and defined readline $f;
            print "written $path\n" if open(my $g, '+<', $path);
            print "removed $path\n" if unlink $path;
            print "renamed $path\n" if rename $path, '/tmp/taken';
            print "linked $path\n" if link $path, "/tmp/linked-$$";
            print "listed $path\n" if opendir(my $d, $path);
            print "changed $path\n" if chmod 0777, $path;
            print "made below $path\n" if open(my $h, '>', "$path/intruder");
            my $watch = syscall(294, 0);
            print "watched $path\n" if syscall(254, $watch, $path, 0xfff) != -1;
        }}
        print "home replaced\n" if rename '{home}', '{home}.gone' or rmdir '{home}' or symlink '/tmp', '/home/x';"#
    );
    let output = intruder(&bench, &id, &attempts).await;
    assert_eq!(output.stdout, "2 processes\n", "{output:?}");
    // The next process of the same server finds what this one left.
    expect_unharmed(victim).await;
    let found = sh(&bench, &id, "victim", "cat $HOME/note $TMPDIR/note").await;
    assert_eq!(found.stdout, "victim-secret\nvictim-secret\n", "{found:?}");
}

/// Covers: S1-2
async fn a_server_cannot_reach_the_sockets_of_another_one() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let victim = victim(&bench, &id).await;
    let connect = r#"for my $name ('/tmp/victim.sock', "\0victim") {
        socket(my $s, 1, 1, 0) or die; print "connected to $name\n" if connect($s, pack('S a*', 1, $name));
    }"#;
    let output = intruder(&bench, &id, connect).await;
    // What the kernel cannot keep apart, docs/security.md names.
    let expected = if is_scoped(&bench, &id).await { "2 processes\n" } else { "2 processes\nconnected to \0victim\n" };
    assert_eq!(output.stdout, expected, "{output:?}");
    expect_unharmed(victim).await;
}

/// Whether the kernel's Landlock knows of signals and abstract sockets: it says its version, which is 6 from Linux 6.12 on.
async fn is_scoped(bench: &Bench, id: &SandboxId) -> bool {
    let version = "print syscall(444, 0, 0, 1), qq(\\n)";
    let version = of(bench, id, "probe", &["/usr/bin/perl", "-e", version]).await;
    version.stdout.trim().parse::<i32>().expect("a number") >= 6
}

/// Covers: S1-2
async fn servers_share_the_workspace_in_full() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let made =
        "echo one > file; mkdir -p dir/inner; echo two > dir/inner/file; ln -s file link; cp file tool; chmod +x tool";
    assert_eq!(sh(&bench, &id, "one", made).await.status, ExecStatus::Exited(0));
    let used = "echo more >> file && cat file && echo more >> dir/inner/file && touch dir/inner/new && mv dir moved && \
                rm moved/inner/file link && stat -c '%a' file moved tool";
    let output = sh(&bench, &id, "other", used).await;
    assert_eq!(output.stdout, "one\nmore\n660\n2770\n770\n", "{output:?}");
    let seen = sh(&bench, &id, "one", "ls moved/inner; echo mine > moved/inner/new && rm -r moved && ls").await;
    assert_eq!(seen.stdout, "new\nfile\ntool\n", "{seen:?}");
    // A file that its maker closes is closed to the others, and can still be removed by them.
    sh(&bench, &id, "one", "umask 077; echo private > closed").await;
    let closed = sh(&bench, &id, "other", "cat closed; rm -f closed; ls").await;
    assert_eq!(closed.stdout, "file\ntool\n", "{closed:?}");
    assert!(closed.stderr.contains("Permission denied"), "{closed:?}");
}

/// Covers: S1-2
async fn each_server_has_an_account_of_its_own() {
    let bench = Bench::new().await;
    let mut users = BTreeSet::new();
    for session in ["a", "b"] {
        let id = bench.runtime.start(&spec_of(session, 1), Arc::new(|_| {})).await.expect("start");
        for server in ["one", "other"] {
            let script = "id -u; id -un; [ \"$(eval echo ~$(id -un))\" = $HOME ] && echo home; id -Gn; \
                          echo x >> /etc/passwd; rm -f /run/lockkeeper/passwd; touch /run/lockkeeper/new; id -un";
            let output = sh(&bench, &id, server, script).await;
            let lines: Vec<_> = output.stdout.lines().collect();
            assert_eq!(lines[2..], ["home", &format!("{} workspace", lines[1]), lines[1]], "{output:?}");
            users.insert(lines[0].to_owned());
        }
    }
    assert_eq!(users.len(), 4, "{users:?}");
}

/// Covers: S1-2
async fn one_server_too_many_is_refused_with_the_setting() {
    let bench = Bench::with(|config| config.servers = 2).await;
    let id = bench.start().await;
    for server in ["one", "two", "one"] {
        assert_eq!(sh(&bench, &id, server, "echo runs").await.stdout, "runs\n");
    }
    let error = bench.runtime.exec(&id, &spec_for("three", &["/bin/true"])).await.expect_err("no user is left");
    assert!(matches!(error, SandboxError::CannotExec { .. }), "{error}");
    assert!(error.to_string().contains("sandbox.docker.servers"), "{error}");
}

/// Covers: S1-2
async fn file_systems_have_the_modes_that_were_asked_for() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let modes = sh(&bench, &id, "one", "stat -c '%n %a' /workspace /tmp /dev/shm /home /run/lockkeeper $HOME").await;
    let home = modes.stdout.lines().last().expect("a line").replace(" 700", "");
    let expected = format!("/workspace 2770\n/tmp 1777\n/dev/shm 1777\n/home 755\n/run/lockkeeper 755\n{home} 700\n");
    assert_eq!(modes.stdout, expected, "{modes:?}");
    // Nobody whom a server can be owns the workspace, so that none can close it to the others.
    let closed = sh(&bench, &id, "one", "chmod 700 /workspace || echo refused; stat -c %u /workspace; id -u").await;
    let lines: Vec<_> = closed.stdout.lines().collect();
    assert!(lines[0] == "refused" && lines[1] != lines[2], "{closed:?}");
}
