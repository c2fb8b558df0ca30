use super::{While, landlock, limits, loopback, rootfs, seccomp};
use crate::wire::{self, Launch, Report, Variant};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{
        DumpableBehavior, Pid, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal, wait,
    },
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};
use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, exit},
};

/// What a shell makes of a process that was killed.
const KILLED: i32 = 137;

/// Confines itself and becomes the command, or becomes the init process that runs it.
pub(super) fn run(control: &UnixStream) -> Result<(), String> {
    // Whoever kills the supervisor kills the sandbox with it.
    set_parent_process_death_signal(Some(Signal::KILL)).when("tying its life to the supervisor's")?;
    let (launch, streams) = wire::receive_launch(control).when("receiving the launch")?;
    let last = match confine(&launch).and_then(|()| take_streams(&streams)) {
        Ok(()) => {
            drop(streams);
            if launch.variant.has_root() { run_as_init(&launch, control) } else { become_command(&launch) }
        }
        Err(error) => Report::Failed(error),
    };
    wire::send_report(control, &last).when("reporting")
}

fn confine(launch: &Launch) -> Result<(), String> {
    if launch.variant == Variant::Namespaces {
        rootfs::replace(launch)?;
        loopback::bring_up()?;
        rustix::system::sethostname(b"sandbox").when("naming the host")?;
    }
    if launch.variant == Variant::Bubblewrap {
        rootfs::restrict_memory(&launch.tree)?;
    }
    // A session of its own, away from the supervisor's; it fails only where `bwrap` has made one.
    let _ = rustix::process::setsid();
    // Better one of these than the server, when memory runs out. Not every container lets it.
    drop(std::fs::write("/proc/self/oom_score_adj", "500"));
    let ruleset = (launch.variant == Variant::Landlock).then(|| landlock::prepare(&launch.tree)).transpose()?;
    limits::become_user(launch.uid)?;
    limits::drop_capabilities()?;
    limits::apply(launch.limits)?;
    // A change of user forgets it.
    set_parent_process_death_signal(Some(Signal::KILL)).when("tying its life to the supervisor's")?;
    rustix::process::chdir(&launch.directory).on("entering", &launch.directory)?;
    rustix::thread::set_no_new_privs(true).when("renouncing privileges")?;
    if let Some(ruleset) = ruleset {
        landlock::restrict(ruleset)?;
    }
    if launch.variant != Variant::Plain {
        seccomp::apply(launch.variant)?;
    }
    Ok(())
}

fn take_streams([stdin, stdout, stderr]: &[OwnedFd; 3]) -> Result<(), String> {
    dup2_stdin(stdin).and_then(|()| dup2_stdout(stdout)).and_then(|()| dup2_stderr(stderr)).when("taking the streams")
}

fn command(launch: &Launch) -> Command {
    let (program, arguments) = launch.command.split_first().map_or(("", &[][..]), |(one, rest)| (one.as_str(), rest));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&launch.env);
    command
}

/// Returns only when it fails. When it succeeds, the report socket closes.
fn become_command(launch: &Launch) -> Report {
    Report::CannotExec(command(launch).exec().to_string())
}

fn run_as_init(launch: &Launch, control: &UnixStream) -> Report {
    // What has this process's user may otherwise look into it, and it holds the command's secrets.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        return Report::Failed(format!("closing the init process to others: {error}"));
    }
    if let Err(error) = end_with_the_supervisor(control) {
        return Report::Failed(format!("watching the supervisor: {error}"));
    }
    let child = match command(launch).spawn() {
        Ok(child) => Pid::from_child(&child),
        Err(error) => return Report::CannotExec(error.to_string()),
    };
    // The streams must end when the command ends, and not when this process does.
    if let Err(error) = close_streams().and_then(|()| wire::send_report(control, &Report::Started)) {
        return Report::Failed(format!("starting the command: {error}"));
    }
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                let last =
                    status.exit_status().map(Report::Exited).or(status.terminating_signal().map(Report::Signalled));
                if let Some(last) = last {
                    // Leaving takes everything else in the namespace along.
                    drop(wire::send_report(control, &last));
                    exit(0);
                }
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Report::Failed(format!("waiting for the command: {error}")),
        }
    }
}

/// The signal at a parent's death needs the parent's right to send it, which `bwrap` may lack. The end of the socket does not.
fn end_with_the_supervisor(control: &UnixStream) -> io::Result<()> {
    let mut control = control.try_clone()?;
    let watch = move || {
        // The supervisor says nothing more: whatever this returns, it is the end.
        drop(control.read(&mut [0]));
        exit(KILLED)
    };
    std::thread::Builder::new().stack_size(64 << 10).spawn(watch).map(drop)
}

fn close_streams() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(null.as_fd())?;
    dup2_stdout(null.as_fd())?;
    Ok(dup2_stderr(null.as_fd())?)
}
