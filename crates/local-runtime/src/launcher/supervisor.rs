use super::{While, bubblewrap, inner_arguments, namespaces, tree};
use crate::wire::{self, Launch, Report, Variant};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::Errno,
    process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, set_child_subreaper, setsid, waitpid},
};
use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Command, Stdio},
};

/// Runs one command to its end.
pub(super) fn run(control: &UnixStream) -> Result<(), String> {
    let (launch, streams) = wire::receive_launch(control).when("receiving the launch")?;
    let last = match Supervised::start(&launch, streams) {
        Ok(supervised) => supervised.watch(control),
        Err(error) => Report::Failed(error),
    };
    // The server may be gone, and then nobody needs to know.
    drop(wire::send_report(control, &last));
    Ok(())
}

struct Supervised {
    variant: Variant,
    fence: OwnedFd,
    inner: UnixStream,
    child: Pid,
    child_ended: OwnedFd,
    status: Option<WaitStatus>,
}

impl Supervised {
    fn start(launch: &Launch, streams: [OwnedFd; 3]) -> Result<Self, String> {
        // Opened first of all: whoever stops the sandbox finds either this process at the fence or no fence to open.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fence = rustix::fs::open(&launch.fence, flags, Mode::empty()).on("opening", &launch.fence)?;
        setsid().when("starting a session")?;
        // The server's may keep the sandbox's user out of the directories that are made for it.
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        for procs in &launch.cgroups {
            std::fs::write(procs, "0").on("joining the cgroup", procs)?;
        }
        let mut command = match launch.variant {
            Variant::Bubblewrap => {
                reap_orphans()?;
                bubblewrap::command(launch)?
            }
            Variant::Namespaces => {
                namespaces::enter(launch.privileged)?;
                this_executable()
            }
            Variant::Landlock | Variant::Plain => {
                reap_orphans()?;
                this_executable()
            }
        };
        let (inner, theirs) = UnixStream::pair().when("making a socket pair")?;
        let errors = streams[2].try_clone().when("duplicating standard error")?;
        command.env_clear().stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().when("starting the sandbox's first process")?;
        let child = Pid::from_child(&child);
        let child_ended = pidfd_open(child, PidfdFlags::empty()).when("watching the sandbox's first process")?;
        let supervised = Self { variant: launch.variant, fence, inner, child, child_ended, status: None };
        // When the child is gone already, its end tells more than this error.
        drop(wire::send_launch(&supervised.inner, launch, &streams));
        // They are to end when the command ends.
        drop(streams);
        Ok(supervised)
    }

    /// Passes on what the inner stage reports, until the command or the wish for it ends. Nothing of it runs afterwards.
    fn watch(mut self, control: &UnixStream) -> Report {
        let mut started = false;
        let mut inner_open = true;
        let last = loop {
            let Ok(ready) = self.wait_for_news(control, inner_open) else { break Report::Failed("poll failed".into()) };
            if ready.ordered {
                break Report::Signalled(rustix::process::Signal::KILL.as_raw());
            }
            if ready.inner {
                match wire::receive_report(&self.inner) {
                    Ok(Some(Report::Started)) => started = Self::tell_started(control, started),
                    Ok(Some(last)) => break last,
                    Ok(None) | Err(_) => {
                        inner_open = false;
                        // Without namespaces, the socket closes when the inner stage becomes the command.
                        if !self.variant.has_root() {
                            started = Self::tell_started(control, started);
                        }
                    }
                }
            } else if ready.child {
                self.reap(WaitOptions::empty());
                break self.report(started);
            } else {
                self.reap(WaitOptions::NOHANG);
            }
        };
        self.end();
        last
    }

    fn tell_started(control: &UnixStream, before: bool) -> bool {
        if !before {
            drop(wire::send_report(control, &Report::Started));
        }
        true
    }

    fn wait_for_news(&self, control: &UnixStream, inner_open: bool) -> Result<News, Errno> {
        let mut fds = vec![
            PollFd::new(control, PollFlags::IN),
            PollFd::new(&self.fence, PollFlags::IN),
            PollFd::new(&self.child_ended, PollFlags::IN),
        ];
        if inner_open {
            fds.push(PollFd::from_borrowed_fd(self.inner.as_fd(), PollFlags::IN));
        }
        // Orphans that came to this process must be reaped now and then, where it is their reaper.
        let tick = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut fds, (!self.variant.has_root()).then_some(&tick)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok(News { ordered: ready(0) || ready(1), child: ready(2), inner: ready(3) })
    }

    /// How the command ended, from how the first process did.
    fn report(&self, started: bool) -> Report {
        let Some(status) = self.status else { return Report::Failed("the status of the sandbox is lost".into()) };
        match (started, self.variant.has_root(), status.exit_status(), status.terminating_signal()) {
            (true, false, Some(code), _) => Report::Exited(code),
            (true, _, _, Some(signal)) => Report::Signalled(signal),
            // The init process reports how the command ended before it ends itself, unless it is killed.
            (true, true, _, _) => Report::Signalled(rustix::process::Signal::KILL.as_raw()),
            (false, _, Some(code), _) => Report::Failed(format!("the sandbox's first process exited with {code}")),
            (_, _, _, signal) => {
                Report::Failed(format!("the sandbox's first process was ended by signal {}", signal.unwrap_or(0)))
            }
        }
    }

    /// Ends whatever still runs, and returns when it has ended.
    fn end(&mut self) {
        if self.variant != Variant::Namespaces {
            // Of bwrap's death, the namespaces' init may not hear: it has another user then.
            tree::end_descendants();
        } else if self.status.is_none() {
            // The namespaces' init takes all the others with it.
            let _ = rustix::process::pidfd_send_signal(&self.child_ended, rustix::process::Signal::KILL);
            self.reap(WaitOptions::empty());
        }
    }

    fn reap(&mut self, options: WaitOptions) {
        if options.contains(WaitOptions::NOHANG) {
            while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
                if pid == self.child {
                    self.status = Some(status);
                }
            }
        } else {
            while self.status.is_none() {
                match waitpid(Some(self.child), options) {
                    Ok(Some((_, status))) => self.status = Some(status),
                    Ok(None) | Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

struct News {
    ordered: bool,
    child: bool,
    inner: bool,
}

fn reap_orphans() -> Result<(), String> {
    set_child_subreaper(Some(rustix::process::getpid())).when("becoming the reaper of orphans")
}

fn this_executable() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(inner_arguments());
    command
}
