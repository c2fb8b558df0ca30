//! What a sandbox's processes can get at.

use crate::{bench::Bench, image::SETUID};
use bollard::query_parameters::UploadToContainerOptions;
use lockkeeper_ports::ExecStatus;

pub(super) async fn a10_network() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    for (address, port) in [("1.1.1.1", 53), ("169.254.169.254", 80), ("172.17.0.1", 6379)] {
        for kind in [1, 2] {
            let connect = format!(
                "socket(my $s, 2, {kind}, 0) or print 'no socket'; connect($s, pack('S n C4 x8', 2, {port}, split(/\\./, \
                 '{address}'))) and print 'connected'; print $! + 0"
            );
            assert_eq!(bench.perl(&id, &connect).await.stdout, "101", "ENETUNREACH: {address}:{port}");
        }
    }
    let interfaces = bench.sh(&id, "ls /sys/class/net").await.stdout;
    assert!(interfaces.is_empty() || interfaces == "lo\n", "{interfaces}");
}

pub(super) async fn a11_interfaces_of_the_host() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    for path in ["/var/run/docker.sock", "/dev/kmsg", "/dev/mem", "/dev/sda", "/dev/vda", "/etc/shadow"] {
        let output = bench.sh(&id, &format!("head -c 1 {path} | wc -c")).await;
        assert_eq!(output.stdout.trim(), "0", "{path}: {output:?}");
    }
    // These can be opened, and must be empty.
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"] {
        let output = bench.sh(&id, &format!("if [ -e {path} ]; then head -c 1 {path} | wc -c; else echo 0; fi")).await;
        assert_eq!(output.stdout.trim(), "0", "{path}: {output:?}");
    }
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/proc/1/oom_score_adj",
    ] {
        let output = bench.sh(&id, &format!("(echo 1 > {path}) 2>/dev/null && echo written")).await;
        assert_eq!(output.stdout, "", "{path}: {output:?}");
    }
}

pub(super) async fn a12_setuid_root() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let mode = bench.sh(&id, &format!("stat -c '%a %u' {SETUID}")).await;
    assert_eq!(mode.stdout, "4755 0\n", "the image has such a program");
    let output = bench.run(&id, &[SETUID, "-e", "$> = 0; $< = 0; print qq($< $>)"]).await;
    let user = bench.sh(&id, "id -u").await.stdout;
    let user = user.trim();
    assert!(user.parse::<u32>().is_ok_and(|user| user >= bench.config.uid_base), "{user}");
    assert_eq!(output.stdout, format!("{user} {user}"), "{output:?}");
    let status = bench.sh(&id, "grep -E '^(NoNewPrivs|Seccomp|Cap)' /proc/self/status | tr -d '\\t'").await.stdout;
    assert!(status.contains("NoNewPrivs:1\n") && status.contains("Seccomp:2\n"), "{status}");
    assert_eq!(status.matches(":0000000000000000\n").count(), 5, "no capability of any kind: {status}");
}

/// Each call by number, with arguments that get past the kernel's own checks far enough to be told from a refusal.
pub(super) async fn a13_dangerous_system_calls() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let calls = [
        ("mount", r#"165, "none", "/tmp", "tmpfs", 0, 0"#),
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
        ("request_key", r#"249, "user", "k", 0, -3"#),
        ("bpf", "321, 0, 0, 0"),
        ("perf_event_open", "298, 0, 0, -1, -1, 0"),
        ("userfaultfd", "323, 0"),
        ("io_uring_setup", "425, 1, 0"),
        ("io_uring_enter", "426, 0, 0, 0, 0, 0, 0"),
        ("open_by_handle_at", "304, -100, 0, 0"),
        ("name_to_handle_at", r#"303, -100, "/", 0, 0, 0"#),
        ("process_vm_readv", "310, 1, 0, 0, 0, 0, 0"),
        ("process_vm_writev", "311, 1, 0, 0, 0, 0, 0"),
        ("kexec_load", "246, 0, 0, 0, 0"),
        ("init_module", r#"175, "x", 1, """#),
        ("fsopen", r#"430, "tmpfs", 0"#),
        ("open_tree", r#"428, -100, "/", 0"#),
        ("mount_setattr", r#"442, -100, "/", 0, 0, 0"#),
        ("pidfd_getfd", "438, 0, 0, 0"),
        ("kcmp", "312, 1, 1, 0, 0, 0"),
        ("vmsplice", "278, 1, 0, 0, 0"),
        ("modify_ldt", "154, 0, 0, 0"),
        ("mknodat", r#"259, -100, "/tmp/node", 0x1180, 0"#),
        ("sethostname", r#"170, "owned", 5"#),
        ("clock_settime", "227, 0, 0"),
        ("syslog", "103, 3, 0, 0"),
        ("socket packet", "41, 17, 3, 0"),
        ("socket vsock", "41, 40, 1, 0"),
        ("socket alg", "41, 38, 5, 0"),
        ("socket raw", "41, 2, 3, 1"),
        ("socket raw IPv6", "41, 10, 3, 58"),
        ("socket bluetooth", "41, 31, 3, 1"),
        ("netlink netfilter", "41, 16, 3, 12"),
        ("netlink audit", "41, 16, 3, 9"),
        ("inject a character", "16, 0, 0x5412, 0"),
    ];
    let script = calls.map(|(name, call)| {
        format!(
            "{{ my @a = ({call}); my $r = syscall(shift @a, @a); print qq({name} ), $r == -1 ? $! + 0 : 'done', qq(\\n) }}"
        )
    });
    let script = script.join("\n");
    let output = bench.perl(&id, &script).await;
    let expected = calls.map(|(name, _)| format!("{name} 1\n")).concat();
    assert_eq!(output.stdout, expected, "each must be EPERM: {}", output.stderr);
    let clone3 = bench.perl(&id, "my $r = syscall(435, 0, 0); print $r == -1 ? $! + 0 : 'done'").await;
    assert_eq!(clone3.stdout, "38", "clone3 must be ENOSYS, so that C libraries use clone");
    // A filter that denied everything would pass all of this.
    let allowed = "socket(my $s, 1, 1, 0) and socket(my $t, 2, 1, 0) and socket(my $u, 10, 2, 0) and \
                   socket(my $v, 16, 3, 0) and pipe(my $r, my $w) and print 'fine'";
    assert_eq!(bench.perl(&id, allowed).await.stdout, "fine");
}

pub(super) async fn a14_signals_to_process_1() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let output = bench.sh(&id, "kill -9 1; kill -15 1; cat /proc/1/environ; cat /proc/1/mem").await;
    assert_eq!(output.stderr.matches("Operation not permitted").count(), 2, "{output:?}");
    assert_eq!(output.stderr.matches("Permission denied").count(), 2, "{output:?}");
    let holder = "for dir in /proc/[0-9]*; do grep -q '^Uid:.65532' $dir/status && kill -9 ${dir#/proc/}; done";
    let output = bench.sh(&id, holder).await;
    assert_eq!(output.stderr.matches("Operation not permitted").count(), 2, "the init and the holder: {output:?}");
    bench.expect_alive(&id).await;
    // It may end its own processes, its supervisor among them where Landlock does not keep signals inside (Linux 6.12),
    // and harms nobody else by it.
    let output = bench.perl(&id, "<STDIN>; kill 9, -1").await;
    assert!(matches!(output.status, ExecStatus::Exited(0) | ExecStatus::Signalled(9)), "{output:?}");
    bench.expect_alive(&id).await;
}

pub(super) async fn a15_writes_to_the_image() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    for path in ["/etc/hosts", "/etc/passwd", "/etc/resolv.conf", "/usr/local/bin/lockkeeper-workspace", "/bin/sh"] {
        let output =
            bench.sh(&id, &format!("(echo x >> {path}) && echo written; rm -f {path}; chmod 777 {path}; :")).await;
        assert_eq!(output.stdout, "", "{path}: {output:?}");
    }
    for directory in ["/", "/usr", "/etc", "/dev", "/proc", "/sys", "/var"] {
        let output = bench.sh(&id, &format!("mkdir {directory}/intruder && echo made")).await;
        assert_eq!(output.stdout, "", "{directory}: {output:?}");
    }
    for directory in ["/tmp", "/workspace", "/dev/shm"] {
        let script = format!("cp /bin/busybox {directory}/copy && {directory}/copy true && echo executed");
        let output = bench.sh(&id, &script).await;
        assert!(output.stdout.is_empty() && output.stderr.contains("Permission denied"), "{directory}: {output:?}");
    }
}

pub(super) async fn a16_copies_into_the_container() {
    let bench = Bench::new().await;
    let id = bench.start().await;
    let options = UploadToContainerOptions { path: "/etc".into(), ..UploadToContainerOptions::default() };
    let body = bollard::body_full(vec![0; 1024].into());
    let copied = bench.docker.upload_to_container(id.as_str(), Some(options), body).await;
    let error = copied.expect_err("the image is read-only").to_string();
    assert!(error.contains("read-only"), "{error}");
}
