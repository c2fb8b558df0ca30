//! The other side of the runtime: the short-lived processes that stand between the server and a sandboxed command.
//!
//! The *supervisor* is the server's child, one per command. It makes the namespaces or has `bwrap` make them, outlives the
//! command, and ends everything when the server closes its socket, dies, or stops the sandbox. Its own child is the *inner*
//! stage: the init process of the new namespaces, or, where there are none, what becomes the command. Both are this same
//! executable, started anew, so that nothing of the server's memory or environment is in them. Each gets its task over a
//! socket that is its standard input.

mod bubblewrap;
mod inner;
mod landlock;
mod limits;
mod loopback;
mod namespaces;
mod rootfs;
mod seccomp;
mod supervisor;
mod tree;

pub(crate) use landlock::scopes_signals;

use rustix::io::fcntl_dupfd_cloexec;
use std::{ffi::OsString, fmt::Display, io, os::unix::net::UnixStream, path::Path, process::ExitCode};

/// The first argument that makes an executable which embeds this crate a launcher.
pub const LAUNCHER_ARGUMENT: &str = "__sandbox";

const SUPERVISE: &str = "supervise";
const INNER: &str = "inner";

/// What an executable's `main` does, before anything else and in particular before it starts a thread, when its first
/// argument is [`LAUNCHER_ARGUMENT`]; `args` are those after it. Only [`LocalRuntime`](crate::LocalRuntime) starts it so.
pub fn launcher_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stage = args.into_iter().next().unwrap_or_default();
    let outcome =
        take_control().map_err(|error| format!("no socket on standard input: {error}")).and_then(|control| match stage
            .to_str()
        {
            Some(SUPERVISE) => supervisor::run(&control),
            Some(INNER) => inner::run(&control),
            _ => Err("this is an internal command of the sandbox runtime".into()),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It goes to the command's standard error or to nowhere; the report has gone out already.
            write_error(&error);
            ExitCode::from(125)
        }
    }
}

pub(crate) fn supervise_arguments() -> [&'static str; 2] {
    [LAUNCHER_ARGUMENT, SUPERVISE]
}

fn inner_arguments() -> [&'static str; 2] {
    [LAUNCHER_ARGUMENT, INNER]
}

fn take_control() -> io::Result<UnixStream> {
    let control = UnixStream::from(fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    control.peer_addr()?;
    Ok(control)
}

fn write_error(error: &str) {
    use io::Write;
    drop(writeln!(io::stderr(), "sandbox: {error}"));
}

/// What was done when it failed, for people.
trait While<T> {
    fn when(self, what: impl Display) -> Result<T, String>;
    fn on(self, what: &str, path: &Path) -> Result<T, String>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn when(self, what: impl Display) -> Result<T, String> {
        self.map_err(|error| format!("{what}: {}", error.into()))
    }

    fn on(self, what: &str, path: &Path) -> Result<T, String> {
        self.when(format_args!("{what} {}", path.display()))
    }
}
