//! Files with secrets that more users of the machine can read than the server needs.

use super::{Loaded, expand, mcp_servers, problem::Origin, show::settings, variables::is_secret};
use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What people should know about the files that secrets of this configuration lie in.
pub(super) fn notices(loaded: &Loaded) -> Vec<String> {
    files(loaded).iter().filter_map(|file| notice(&loaded.dir.join(file), file)).collect()
}

/// The files that hold a secret, as people know them.
fn files(loaded: &Loaded) -> BTreeSet<PathBuf> {
    let in_files = settings(loaded).into_iter().filter(|(key, _)| is_secret(key)).filter_map(|(key, _)| {
        let is_reference = key.starts_with("mcp_servers.") && loaded.text(&key).is_some_and(expand::is_reference);
        match loaded.origin(&key) {
            Origin::File { path, .. } | Origin::DotEnv { path, .. } if !is_reference => Some(path),
            _ => None,
        }
    });
    let mut files: BTreeSet<PathBuf> = in_files.chain(loaded.secret_files.iter().cloned()).collect();
    if let Some(file) = &loaded.config.mcp.config_file
        && mcp_servers::holds_secrets(&loaded.dir.join(file))
    {
        files.insert(file.clone());
    }
    files
}

fn notice(path: &Path, shown: &Path) -> Option<String> {
    // A file that cannot be looked at is another problem, which is reported where it is read.
    let file = std::fs::metadata(path).ok()?;
    let who = readers(file.mode(), Some(file.uid()) == own_user())?;
    let shown = shown.display();
    Some(format!("{shown} holds secrets, and {who} can read it: run `chmod go= {shown}`"))
}

/// The user that this process acts as.
fn own_user() -> Option<u32> {
    Some(std::fs::metadata("/proc/self").ok()?.uid())
}

/// Who can read a file besides its owner, and should not. A file of another owner, root above all, is often meant for the
/// server's group.
fn readers(mode: u32, is_own: bool) -> Option<&'static str> {
    match (mode & 0o004 != 0, mode & 0o040 != 0) {
        (true, _) => Some("every user of this machine"),
        (false, true) if is_own => Some("its group"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};
    use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    fn loaded(dir: &Path, variables: &[(&str, &str)]) -> Vec<String> {
        let environment: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Inputs { environment, dir: dir.to_owned(), ..Inputs::default() }).notices
    }

    /// Covers: S3-readable
    #[test]
    fn secret_in_a_readable_file_is_noticed_with_its_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        write(&path("lockkeeper.toml"), "auth.tokens.ann = '0123456789abcdef0123'", 0o644);
        write(&path(".env"), "OPENAI_API_KEY=0123456789abcdef\n", 0o640);
        write(&path("key"), "0123456789abcdef", 0o604);
        write(&path("mcp.json"), r#"{"mcpServers":{"a":{"command":"a","env":{"TOKEN":"x"}}}}"#, 0o644);
        let variables = [("GEMINI_API_KEY_FILE", "key"), ("LOCKKEEPER_MCP__CONFIG_FILE", "mcp.json")];
        let told = loaded(dir.path(), &variables);
        for name in ["lockkeeper.toml", ".env", "key", "mcp.json"] {
            let of_file = |notice: &&String| {
                notice.contains(&format!("chmod go= {name}")) || notice.contains(&format!("/{name} holds"))
            };
            assert_eq!(told.iter().filter(of_file).count(), 1, "{name}: {told:?}");
        }
        for name in ["lockkeeper.toml", ".env", "key", "mcp.json"] {
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).expect("set");
        }
        assert_eq!(loaded(dir.path(), &variables), Vec::<String>::new());
    }

    /// Covers: S3-readable
    #[test]
    fn readable_file_without_secrets_is_not_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        write(
            &dir.path().join("lockkeeper.toml"),
            "server.port = 1\n[mcp_servers.a]\ncommand = 'a'\nenv.TOKEN = '${TOKEN}'\n",
            0o644,
        );
        write(&dir.path().join(".env"), "PORT=2\n", 0o644);
        write(
            &dir.path().join("mcp.json"),
            r#"{"mcpServers":{"a":{"command":"a","env":{"TOKEN":"${TOKEN}"}}}}"#,
            0o644,
        );
        assert_eq!(loaded(dir.path(), &[("LOCKKEEPER_MCP__CONFIG_FILE", "mcp.json")]), Vec::<String>::new());
    }

    #[test]
    fn group_that_a_file_of_another_owner_is_for_may_read_it() {
        assert_eq!(readers(0o640, false), None);
        assert_eq!(readers(0o640, true), Some("its group"));
        assert_eq!(readers(0o644, false), Some("every user of this machine"));
        assert_eq!(readers(0o600, true), None);
    }
}
