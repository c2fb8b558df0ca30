//! What a sandbox must withstand: the abuse suite of a hostile tool server.

use crate::{
    Check,
    bench::{Bench, spec, this_executable},
};
use lockkeeper_local_runtime::{Config, IsolationChoice};
use lockkeeper_ports::{ExecStatus, SandboxError, SandboxRuntime};
use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::Path,
};

const MIB: u64 = 1 << 20;

pub(crate) fn checks(choice: IsolationChoice) -> Vec<Check> {
    let isolation = (choice == IsolationChoice::None).then(|| "claims no isolation".to_owned());
    let perl = (!Path::new("/usr/bin/perl").exists() || !cfg!(target_arch = "x86_64"))
        .then(|| "needs perl on x86-64 to make raw system calls".to_owned());
    macro_rules! check {
        ($name:ident, $ignored:expr) => {
            Check { name: stringify!($name).into(), ignored: $ignored, run: Box::new(move || Box::pin($name(choice))) }
        };
    }
    vec![
        check!(the_network_is_out_of_reach, isolation.clone()),
        check!(sockets_of_the_host_are_out_of_reach, isolation.clone()),
        check!(files_of_the_host_are_out_of_reach, isolation.clone()),
        check!(nothing_outside_can_be_written, isolation.clone()),
        check!(processes_of_the_host_cannot_be_signalled, isolation.clone()),
        check!(dangerous_system_calls_are_denied, isolation.clone().or(perl)),
        check!(a_memory_bomb_is_ended, None),
        check!(a_fork_bomb_is_bounded, None),
        check!(open_files_are_bounded, None),
        check!(a_file_is_bounded, None),
        check!(a_workspace_is_bounded, None),
    ]
}

async fn small(choice: IsolationChoice, change: impl FnOnce(&mut Config)) -> Bench {
    Bench::with(choice, change).await.expect("it worked before")
}

async fn the_network_is_out_of_reach(choice: IsolationChoice) {
    let bench = small(choice, |_| {}).await;
    let id = bench.start("s").await;
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").expect("tcp"), UdpSocket::bind("127.0.0.1:0").expect("udp"));
    let address = tcp.local_addr().expect("address").to_string();
    assert!(std::net::TcpStream::connect(&address).is_ok(), "the host itself gets there");
    let output = bench.abuse(&id, &["tcp", &address]).await;
    assert!(output.stdout.starts_with("refused"), "{output:?}");
    for elsewhere in ["1.1.1.1:53", "169.254.169.254:80"] {
        for kind in ["tcp", "udp"] {
            let output = bench.abuse(&id, &[kind, elsewhere]).await;
            assert!(output.stdout.starts_with("refused"), "{kind} {elsewhere}: {output:?}");
        }
    }
    bench.abuse(&id, &["udp", &udp.local_addr().expect("address").to_string()]).await;
    udp.set_nonblocking(true).expect("nonblocking");
    assert!(udp.recv(&mut [0; 8]).is_err(), "a datagram came out");
}

async fn sockets_of_the_host_are_out_of_reach(choice: IsolationChoice) {
    let bench = small(choice, |_| {}).await;
    let id = bench.start("s").await;
    let path = bench.directory.path().join("docker.sock");
    let _by_path = UnixListener::bind(&path).expect("bind");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("chmod");
    let name = format!("lockkeeper-test-{}", std::process::id());
    let _by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).expect("name")).expect("bind");
    for arguments in [["unix", path.to_str().expect("text")], ["abstract", &name], ["unix", "/var/run/docker.sock"]] {
        let output = bench.abuse(&id, &arguments).await;
        assert!(output.stdout.starts_with("refused"), "{arguments:?}: {output:?}");
    }
}

async fn files_of_the_host_are_out_of_reach(choice: IsolationChoice) {
    let bench = small(choice, |_| {}).await;
    let (id, other) = (bench.start("s").await, bench.start("other").await);
    let secret = bench.directory.path().join("secret");
    fs::write(&secret, "host-secret").expect("write");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("chmod");
    bench.sh(&other, "chmod 755 . ; echo other-secret > secret; chmod 644 secret").await;
    let state = bench.directory.path().join("state");
    let other = state.join(other.as_str()).join("workspace/secret");
    for path in
        [secret.as_path(), &other, Path::new("/etc/shadow"), Path::new("/etc/hostname"), Path::new("/proc/kcore")]
    {
        let output = bench.sh(&id, &format!("head -c 100 {}", path.display())).await;
        assert!(output.stdout.is_empty() && output.status != ExecStatus::Exited(0), "{}: {output:?}", path.display());
    }
    for directory in [state.as_path(), Path::new("/root"), Path::new("/home"), Path::new("/var"), Path::new("/sys")] {
        let output = bench.sh(&id, &format!("ls -A {}", directory.display())).await;
        assert!(output.stdout.is_empty(), "{}: {output:?}", directory.display());
    }
}

async fn nothing_outside_can_be_written(choice: IsolationChoice) {
    let bench = small(choice, |_| {}).await;
    let id = bench.start("s").await;
    let open = bench.directory.path().join("open");
    fs::create_dir(&open).expect("mkdir");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("chmod");
    fs::write(open.join("file"), "as it was").expect("write");
    fs::set_permissions(open.join("file"), fs::Permissions::from_mode(0o666)).expect("chmod");
    let open = open.to_str().expect("text");
    let attempts = format!(
        "echo bad > {open}/file; rm -f {open}/file; for d in / /usr /usr/bin /etc /opt /dev /proc/sys/kernel {open}; do \
         echo bad > $d/intruder; mkdir $d/intruder; done; echo bad > /proc/sys/kernel/core_pattern; echo bad > {}",
        this_executable().display()
    );
    bench.sh(&id, &attempts).await;
    assert_eq!(fs::read_to_string(format!("{open}/file")).expect("it is still there"), "as it was");
    assert!(fs::read_dir(open).expect("list").count() == 1 && !Path::new("/usr/intruder").exists());
    assert!(!Path::new("/etc/intruder").exists() && !Path::new("/opt/intruder").exists());
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
    assert!(!pattern.starts_with("bad"), "{pattern}");
}

async fn processes_of_the_host_cannot_be_signalled(choice: IsolationChoice) {
    let bench = small(choice, |_| {}).await;
    let id = bench.start("s").await;
    let this = std::process::id();
    let output = bench.sh(&id, &format!("kill -0 {this} && echo reached; kill -0 -1 && echo all; :")).await;
    assert!(!output.stdout.contains("reached"), "{output:?}");
    // Everything that it may signal is its own.
    bench.sh(&id, "kill -9 -1").await;
    assert_eq!(bench.sh(&id, "echo alive").await.stdout, "alive\n");
}

/// Each call by number, with arguments that get past the kernel's own checks far enough to be told from a refusal.
async fn dangerous_system_calls_are_denied(choice: IsolationChoice) {
    let bench = small(choice, |_| {}).await;
    let id = bench.start("s").await;
    for (name, call) in [
        ("mount", r#"165, "none", "/", "tmpfs", 0, 0"#),
        ("umount2", r#"166, "/proc", 2"#),
        ("pivot_root", r#"155, ".", ".""#),
        ("chroot", r#"161, ".""#),
        ("ptrace", "101, 0, 0, 0, 0"),
        ("unshare user", "272, 0x10000000"),
        ("unshare mount", "272, 0x20000"),
        ("setns", "308, 0, 0"),
        ("clone user", "56, 0x10000011, 0, 0, 0, 0"),
        ("keyctl", "250, 0, -3, 0"),
        ("add_key", r#"248, "user", "k", "v", 1, -3"#),
        ("bpf", "321, 0, 0, 0"),
        ("perf_event_open", "298, 0, 0, -1, -1, 0"),
        ("userfaultfd", "323, 0"),
        ("io_uring_setup", "425, 1, 0"),
        ("open_by_handle_at", "304, -100, 0, 0"),
        ("process_vm_readv", "310, 1, 0, 0, 0, 0, 0"),
        ("kexec_load", "246, 0, 0, 0, 0"),
        ("init_module", r#"175, "x", 1, """#),
        ("fsopen", r#"430, "tmpfs", 0"#),
        ("pidfd_getfd", "438, 0, 0, 0"),
        ("sethostname", r#"170, "owned", 5"#),
        ("socket packet", "41, 17, 3, 0"),
        ("socket vsock", "41, 40, 1, 0"),
        ("socket alg", "41, 38, 5, 0"),
        ("socket raw", "41, 2, 3, 1"),
        ("inject a character", "16, 0, 0x5412, 0"),
    ] {
        let script = format!("my @a = ({call}); my $r = syscall(shift @a, @a); print $r == -1 ? $!+0 : 'done'");
        let output = crate::bench::Output::of(bench.exec(&id, &["/usr/bin/perl", "-e", &script]).await).await;
        assert_eq!(output.stdout, "1", "{name} must be EPERM: {output:?}");
    }
    let clone3 = "my $r = syscall(435, 0, 0); print $r == -1 ? $!+0 : 'done'";
    let output = crate::bench::Output::of(bench.exec(&id, &["/usr/bin/perl", "-e", clone3]).await).await;
    assert_eq!(output.stdout, "38", "clone3 must be ENOSYS, so that C libraries use clone");
}

async fn a_memory_bomb_is_ended(choice: IsolationChoice) {
    let bench = small(choice, |config| config.memory_bytes = 64 * MIB).await;
    let id = bench.start("s").await;
    let output = bench.abuse(&id, &["memory"]).await;
    assert!(matches!(output.status, ExecStatus::Signalled(6 | 9)), "{:?}", output.status);
    assert!((16..=64).contains(&output.last_number()), "it got to {} MiB", output.last_number());
    assert_eq!(bench.sh(&id, "echo alive").await.stdout, "alive\n");
}

async fn a_fork_bomb_is_bounded(choice: IsolationChoice) {
    let bench = small(choice, |config| config.pids = 40).await;
    let id = bench.start("s").await;
    let output = bench.abuse(&id, &["processes"]).await;
    assert!((10..=40).contains(&output.last_number()), "it got to {} processes", output.last_number());
    assert_eq!(bench.sh(&id, "echo alive").await.stdout, "alive\n");
    // One that multiplies ends as well when it is told to.
    let bomb = "echo ready; b() { b | b & }; b; while :; do sleep 1; done";
    let mut exec = bench.exec(&id, &["/bin/sh", "-c", bomb]).await;
    crate::bench::ready(&mut exec).await;
    bench.runtime.stop(&id).await.expect("stop");
    assert_eq!(exec.status.await, ExecStatus::Signalled(9));
}

async fn open_files_are_bounded(choice: IsolationChoice) {
    let bench = small(choice, |config| config.open_files = 64).await;
    let id = bench.start("s").await;
    let output = bench.abuse(&id, &["files"]).await;
    assert!((32..=64).contains(&output.last_number()), "{output:?}");
}

async fn a_file_is_bounded(choice: IsolationChoice) {
    let bench = small(choice, |config| config.file_bytes = 4 * MIB).await;
    let id = bench.start("s").await;
    let output = bench.abuse(&id, &["fill", "64"]).await;
    assert_eq!(output.status, ExecStatus::Signalled(25), "SIGXFSZ ends it: {output:?}");
    assert!(output.last_number() <= 4, "{output:?}");
}

async fn a_workspace_is_bounded(choice: IsolationChoice) {
    let bench = small(choice, |config| {
        config.workspace_bytes = 8 * MIB;
        config.workspace_check_ms = 10;
    })
    .await;
    let id = bench.start("s").await;
    let output = bench.abuse(&id, &["fill-many"]).await;
    assert!(output.last_number() < 4095, "all was written");
    if output.status == ExecStatus::Exited(0) {
        assert!(output.stdout.contains("No space left"), "{output:?}");
        assert!(output.last_number() <= 8, "{output:?}");
    } else {
        assert_eq!(output.status, ExecStatus::Signalled(9), "{output:?}");
        let error = bench.runtime.exec(&id, &spec(&["/bin/true"])).await.expect_err("too full");
        assert!(matches!(&error, SandboxError::CannotExec { reason, .. } if reason.contains("too full")), "{error}");
    }
    bench.runtime.stop(&id).await.expect("stop");
}
