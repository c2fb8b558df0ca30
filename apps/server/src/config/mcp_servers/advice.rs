//! What a configuration shows of servers that cannot work in a sandbox, with what can be done. It is told at the import, at
//! the start, by `mcp list`, and to clients when the server does not come up.

use super::launchers::{Unworkable, unworkable};
use crate::config::{Loaded, RuntimeKind};
use lockkeeper_ports::McpServer;
use std::path::{Path, PathBuf};

/// What is known against a server, in sentences for people.
pub(super) fn of(server: &McpServer, loaded: &Loaded, runtime: RuntimeKind) -> Option<String> {
    if let Some(Unworkable { what, fix }) = unworkable(&server.command) {
        return Some(format!("It {what}. Fix: {fix}"));
    }
    if let Some(missing) = server.command.iter().find(|word| runtime == RuntimeKind::Local && is_missing(word)) {
        let fix = "put the server there, or name the place where it is";
        return Some(format!("It needs {missing}, which is not there. Fix: {fix}"));
    }
    let hidden = server.command.iter().find_map(|word| hidden(word, loaded, runtime))?;
    let path = hidden.display();
    let fix = match runtime {
        RuntimeKind::Local => {
            let folder = hidden.parent().filter(|folder| folder.parent().is_some()).unwrap_or(&hidden);
            let read_only = &loaded.config.sandbox.local.read_only;
            let all = read_only.iter().map(PathBuf::as_path).chain([folder]);
            let all: Vec<_> = all.map(|path| format!("\"{}\"", path.display())).collect();
            format!("set `sandbox.local.read_only = [{}]`", all.join(", "))
        }
        RuntimeKind::Docker => {
            let name = hidden.file_name().unwrap_or_default().to_string_lossy();
            format!(
                "put it into the image with `lockkeeper image build --add {path}:/opt/mcp/{name}`, and write `/opt/mcp/{name}`"
            )
        }
    };
    Some(format!("It needs {path} of this machine, which its sandbox cannot see. Fix: {fix}"))
}

/// Whether a word of a command is a program that is not on this machine.
fn is_missing(word: &str) -> bool {
    const PROGRAMS: &[&str] = &["js", "mjs", "cjs", "ts", "py", "rb", "sh", "jar"];
    let path = Path::new(word);
    let is_program =
        path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| PROGRAMS.contains(&ending));
    path.is_absolute() && is_program && !path.exists()
}

/// The path in a word of a command that is there on this machine, and that sandboxes do not see.
fn hidden(word: &str, loaded: &Loaded, runtime: RuntimeKind) -> Option<PathBuf> {
    // `--config=/etc/x` is as good as `/etc/x`.
    let text = word.split_once('=').map_or(word, |(_, value)| value);
    let path = Path::new(text);
    if !path.is_absolute() || !path.exists() {
        return None;
    }
    let local = &loaded.config.sandbox.local;
    let shown: Vec<&Path> = match runtime {
        RuntimeKind::Local => {
            let all = local.system_paths.iter().chain(&local.read_only).chain(&local.programs);
            all.map(PathBuf::as_path)
                .chain([Path::new("/etc"), Path::new("/dev"), Path::new("/proc"), Path::new("/tmp")])
                .collect()
        }
        // What else an image has is not known.
        RuntimeKind::Docker if ["/home", "/root", "/Users"].iter().any(|home| path.starts_with(home)) => Vec::new(),
        RuntimeKind::Docker => return None,
    };
    let is_shown = path.parent().is_none() || shown.iter().any(|folder| path.starts_with(folder));
    (!is_shown).then(|| path.to_owned())
}
