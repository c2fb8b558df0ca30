use super::*;
use lockkeeper_domain::ServerName;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Every field of it is a decision: a change here is to be read by somebody who knows what it lets out.
#[test]
fn a_container_is_asked_for_as_it_is_on_record() {
    let names = Names::new("test");
    let now = Timestamp::from_millis(1_700_000_000_123);
    let config = Config { image: "lockkeeper/sandbox:0".into(), servers: 2, ..Config::default() };
    let body = container((&config, Dialect::Docker), &names, "one", 100_007, now);
    let mut body = serde_json::to_value(body).expect("JSON");
    let options = body["HostConfig"]["SecurityOpt"].as_array_mut().expect("a list");
    let seccomp = options.pop().expect("the last one");
    assert_eq!(seccomp, json!(format!("seccomp={SECCOMP}")));
    let recorded: Value = serde_json::from_str(include_str!("container.json")).expect("JSON");
    assert_eq!(body, recorded, "{body:#}");
}

/// What it allows was reviewed call by call; so must be a change.
#[test]
fn the_seccomp_profile_is_the_one_that_was_reviewed() {
    let hash = Sha256::digest(SECCOMP).iter().fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
    assert_eq!(hash, "9c0114dd50c3b14de7fac9c7a439cc633e7dd08bc42ba3cf005d8fafddd0b0de");
}

#[test]
fn dangerous_system_calls_are_in_no_rule() {
    let profile: Value = serde_json::from_str(SECCOMP).expect("JSON");
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let rules = profile["syscalls"].as_array().expect("a list");
    let names = rules.iter().flat_map(|rule| rule["names"].as_array().expect("a list"));
    let names: Vec<&str> = names.map(|name| name.as_str().expect("text")).collect();
    assert!(names.len() > 250, "it is the whole list");
    for denied in [
        "acct",
        "add_key",
        "adjtimex",
        "bpf",
        "chroot",
        "clock_settime",
        "delete_module",
        "fanotify_init",
        "finit_module",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "init_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "lookup_dcookie",
        "mknod",
        "mknodat",
        "modify_ldt",
        "mount",
        "mount_setattr",
        "move_mount",
        "move_pages",
        "name_to_handle_at",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "pidfd_getfd",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "quotactl",
        "reboot",
        "request_key",
        "setdomainname",
        "sethostname",
        "setns",
        "settimeofday",
        "socketcall",
        "swapoff",
        "swapon",
        "syslog",
        "umount2",
        "unshare",
        "userfaultfd",
        "vmsplice",
    ] {
        assert!(!names.contains(&denied), "{denied}");
    }
    // These two are allowed for some arguments alone.
    for rule in rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW") {
        let conditional = ["clone", "socket", "socketpair", "personality", "ioctl"];
        let here = rule["names"].as_array().expect("a list").iter().filter_map(Value::as_str);
        for name in here.filter(|name| conditional.contains(name)) {
            assert!(rule["args"].is_array(), "{name} without a condition");
        }
    }
}

#[test]
fn a_process_has_its_own_environment_and_the_workspace_in_its_arguments() {
    let spec = ExecSpec {
        server: ServerName::new("files"),
        command: vec!["serve".into(), "--root={workspace}".into()],
        env: BTreeMap::from([
            ("TOKEN".to_owned(), "secret".to_owned().into()),
            ("ROOT".to_owned(), "{workspace}/data".to_owned().into()),
        ]),
    };
    let identity = Identity { group: 100_000, number: 7 };
    let config = exec(&spec, identity, Dialect::Docker);
    assert_eq!(config.user.as_deref(), Some("100007:100007"));
    let env = ["HOME=/home/7", "LANG=C.UTF-8", "ROOT=/workspace/data", "TMPDIR=/home/7/tmp", "TOKEN=secret"];
    assert_eq!(config.env.expect("set"), env);
    let command = ["--home", "/home/7", "--group", "100000", "--", "serve", "--root=/workspace"];
    assert_eq!(config.cmd.expect("set")[5..], command);
    assert_eq!(exec(&spec, identity, Dialect::Podman).user.as_deref(), Some("100007:100000"));
}

#[test]
fn an_image_can_be_given_more_room() {
    let config = Config { writable_paths: vec!["/home/node".into()], executable_workspace: true, ..Config::default() };
    let tmpfs = host_config(&config, Dialect::Docker, 7).tmpfs.expect("set");
    assert_eq!(tmpfs["/home/node"], "rw,nosuid,nodev,exec,size=67108864,nr_inodes=4096,mode=2770,uid=65532,gid=7");
    assert!(tmpfs["/tmp"].contains(",exec,") && tmpfs["/dev/shm"].contains(",noexec,"));
}

/// What Podman refuses is left out, and nothing else.
#[test]
fn podman_is_asked_for_all_that_it_takes() {
    let config = Config { seccomp_file: "/etc/lockkeeper/seccomp.json".into(), ..Config::default() };
    let of = |dialect| serde_json::to_value(host_config(&config, dialect, 7)).expect("JSON");
    let (mut docker, mut podman) = (of(Dialect::Docker), of(Dialect::Podman));
    assert_eq!(podman["SecurityOpt"][1], "seccomp=/etc/lockkeeper/seccomp.json");
    assert_eq!(podman["Tmpfs"]["/workspace"], "rw,nosuid,nodev,noexec,size=134217728,mode=0777,notmpcopyup");
    assert_eq!(podman["Ulimits"].as_array().map(Vec::len), Some(4));
    for host in [&mut docker, &mut podman] {
        for name in ["SecurityOpt", "Tmpfs", "Ulimits"] {
            host[name].take();
        }
    }
    assert_eq!(docker, podman);
}
