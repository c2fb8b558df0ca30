//! Secrets of an imported file, moved to where nobody else reads them: variables of `.env`, to which the configuration refers.

use crate::config::{McpServerEntry, is_reference, references};
use anyhow::{Context as _, Result, anyhow};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Only its owner reads and writes it.
const MODE: u32 = 0o600;

/// What the names of variables, and of options, with secrets have in them.
const NAMES: &[&str] = &[
    "token",
    "secret",
    "passw",
    "pwd",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "private",
    "credential",
    "auth",
    "bearer",
    "dsn",
    "connection_string",
    "database_url",
    "_key",
    "-key",
    "cookie",
];
/// How secrets of well-known issuers begin.
const BEGINNINGS: &[&str] = &[
    "sk-",
    "sk_",
    "pk_live",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "Bearer ",
    "Basic ",
    "ntn_",
    "secret_",
    "npm_",
    "hf_",
    "lin_api_",
    "dop_v1_",
    "figd_",
    "-----BEGIN",
];

/// Variables for `.env`, and what each is for.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// The values that were moved.
    moved: BTreeMap<String, String>,
    /// Variables that the configuration refers to and that nobody has set.
    unset: BTreeSet<String>,
}

impl Private {
    /// Replaces the secrets of a server by references. `variables` are those that are set.
    pub(super) fn take(&mut self, server: &str, entry: &mut McpServerEntry, variables: &BTreeMap<String, String>) {
        for (name, value) in &mut entry.env {
            let text = inputs(value.expose_secret());
            let kept = if is_secret(Some(name), &text) { self.moved(&[server, name], &text, variables) } else { text };
            *value = SecretString::from(kept);
        }
        let mut option: Option<String> = None;
        for (at, arg) in entry.args.iter_mut().enumerate() {
            *arg = inputs(arg);
            let before = option.take();
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with('-') => (Some(name.to_owned()), value.to_owned()),
                _ => (before, arg.clone()),
            };
            if is_secret(name.as_deref(), &value) {
                let reference = self.moved(&[server, "arg", &at.to_string()], &value, variables);
                *arg = arg.replace(&value, &reference);
            } else if arg.starts_with('-') {
                option = Some(arg.clone());
            }
        }
        entry.command = inputs(&entry.command);
        // A variable that nobody has set must not keep the server from starting: its reference gets an empty default.
        entry.command = self.optional(&entry.command, variables);
        for arg in &mut entry.args {
            *arg = self.optional(arg, variables);
        }
        for value in entry.env.values_mut() {
            *value = SecretString::from(self.optional(value.expose_secret(), variables));
        }
    }

    fn optional(&mut self, text: &str, variables: &BTreeMap<String, String>) -> String {
        let mut text = text.to_owned();
        for name in references(&text) {
            if !variables.contains_key(&name) && !self.moved.contains_key(&name) {
                for written in [format!("${{{name}}}"), format!("${{env:{name}}}")] {
                    text = text.replace(&written, &format!("${{{name}:-}}"));
                }
                self.unset.insert(name);
            }
        }
        text
    }

    /// A reference to a variable that is to hold `value`.
    fn moved(&mut self, parts: &[&str], value: &str, variables: &BTreeMap<String, String>) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = format!("MCP_{}", parts.join("_")).chars().map(plain).collect();
        let is_free = |name: &String| {
            let known = self.moved.get(name).or_else(|| variables.get(name));
            known.is_none_or(|known| known == value)
        };
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name);
        if variables.get(&name).is_none_or(|known| known != value) {
            self.moved.insert(name.clone(), value.to_owned());
        }
        format!("${{{name}}}")
    }

    /// What is done to `.env`, for people: no value is among it.
    pub(super) fn notices(&self, path: &Path, dry_run: bool) -> Vec<String> {
        let (path, verb) = (path.display(), if dry_run { "would be" } else { "were" });
        let list = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
        let mut notices = Vec::new();
        if !self.moved.is_empty() {
            let names = list(&mut self.moved.keys());
            notices.push(format!("secrets {verb} moved to {path}, which only you can read (mode 0600), as {names}"));
        }
        if !self.unset.is_empty() {
            let names = list(&mut self.unset.iter());
            notices.push(format!(
                "nobody has set these variables, which are empty until somebody does, as in {path}: {names}"
            ));
        }
        notices
    }

    /// Adds the variables to the file.
    pub(super) fn store(&self, path: &Path) -> Result<()> {
        if self.moved.is_empty() {
            return Ok(());
        }
        let before = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(anyhow!("{} cannot be read: {error}", path.display())),
        };
        let mut text = before;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for (name, value) in &self.moved {
            let _ = writeln!(text, "{name}={}", quoted(value)?);
        }
        write(path, &text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Where the variables are read from: beside the configuration.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join(".env")
}

/// Writes a file that only its owner can read, before anything is in it.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

/// A value as `.env` has it.
fn quoted(value: &str) -> Result<String> {
    if value.contains('\0') {
        return Err(anyhow!("a variable cannot hold a NUL character"));
    }
    let mut quoted = String::from('"');
    for c in value.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' | '$' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

/// Inputs that an editor would ask for, as variables: there is nobody to ask here.
fn inputs(text: &str) -> String {
    let mut parts = text.split("${input:");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) => {
                let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
                let name: String = name.chars().map(plain).collect();
                let _ = write!(replaced, "${{MCP_INPUT_{name}}}{rest}");
            }
            None => {
                let _ = write!(replaced, "${{input:{part}");
            }
        }
    }
    replaced
}

/// Whether a value is a secret, by what it is called or by its looks.
fn is_secret(name: Option<&str>, value: &str) -> bool {
    if value.trim().is_empty() || is_reference(value) || value.contains("${") {
        return false;
    }
    let looks_so = BEGINNINGS.iter().any(|beginning| value.starts_with(beginning) && value.len() > beginning.len() + 8);
    let has_password = value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    let header =
        value.split_once(':').is_some_and(|(header, _)| is_secret_name(header) && value.len() > header.len() + 9);
    looks_so
        || has_password
        || header && !value.contains("://")
        || name.is_some_and(|name| is_secret_name(name) && is_opaque(value))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

/// Not a word, a number, a path or an address, which settings about secrets have as well.
fn is_opaque(value: &str) -> bool {
    let is_word = ["true", "false", "none", "basic", "bearer", "oauth", "oauth2", "token", "apikey"];
    let is_place =
        value.starts_with(['/', '.', '~', '{']) || value.starts_with("http://") || value.starts_with("https://");
    !is_word.contains(&value.to_ascii_lowercase().as_str())
        && !is_place
        && value.parse::<i64>().map_or(true, |_| value.len() >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(args: &[&str], env: &[(&str, &str)]) -> McpServerEntry {
        McpServerEntry {
            command: "x".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
            tools: None,
        }
    }

    fn env(entry: &McpServerEntry) -> Vec<String> {
        entry.env.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect()
    }

    #[test]
    fn secrets_become_references_and_settings_stay() {
        let args = [
            "--api-key",
            "0123abcd",
            "--token=abcdef",
            "--port",
            "8080",
            "--header",
            "Authorization: Bearer abcdefghij",
            "postgres://me:pw@db/x",
            "/srv/keys",
            "--auth",
            "none",
            "--key-file=/srv/key",
        ];
        let env_given = [
            ("GITHUB_TOKEN", "ghp_0123456789"),
            ("LOG", "debug"),
            ("URL", "https://x.example/a:b@c"),
            ("API_KEY", "${API_KEY}"),
            ("AUTH_MODE", "oauth"),
            ("TOKEN_FILE", "/run/t"),
            ("PLAIN", "sk-0123456789abc"),
            ("EMPTY_TOKEN", ""),
        ];
        let (mut server, mut private) = (entry(&args, &env_given), Private::default());
        private.take("my server", &mut server, &BTreeMap::new());
        let expected_args = [
            "--api-key",
            "${MCP_MY_SERVER_ARG_1}",
            "--token=${MCP_MY_SERVER_ARG_2}",
            "--port",
            "8080",
            "--header",
            "${MCP_MY_SERVER_ARG_6}",
            "${MCP_MY_SERVER_ARG_7}",
            "/srv/keys",
            "--auth",
            "none",
            "--key-file=/srv/key",
        ];
        assert_eq!(server.args, expected_args);
        let expected_env = [
            "API_KEY=${API_KEY:-}",
            "AUTH_MODE=oauth",
            "EMPTY_TOKEN=",
            "GITHUB_TOKEN=${MCP_MY_SERVER_GITHUB_TOKEN}",
            "LOG=debug",
            "PLAIN=${MCP_MY_SERVER_PLAIN}",
            "TOKEN_FILE=/run/t",
            "URL=https://x.example/a:b@c",
        ];
        assert_eq!(env(&server), expected_env);
        assert_eq!(private.moved["MCP_MY_SERVER_GITHUB_TOKEN"], "ghp_0123456789");
        assert_eq!(private.unset.iter().collect::<Vec<_>>(), ["API_KEY"]);
        let told = private.notices(Path::new(".env"), false).join("\n");
        assert!(told.contains("mode 0600") && told.contains(": API_KEY") && !told.contains("ghp_"), "{told}");
    }

    #[test]
    fn inputs_become_variables_to_fill_in() {
        let (mut server, mut private) =
            (entry(&["--t=${input:git-token}"], &[("K", "${input:key}")]), Private::default());
        private.take("a", &mut server, &BTreeMap::new());
        assert_eq!(
            (server.args[0].as_str(), env(&server)),
            ("--t=${MCP_INPUT_GIT_TOKEN:-}", vec!["K=${MCP_INPUT_KEY:-}".to_owned()])
        );
        assert_eq!(private.unset.len(), 2);
        assert!(private.moved.is_empty());
    }

    #[test]
    fn variables_are_added_to_a_file_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        fs::write(&path, "PORT=1").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        let value = "a\"b\\c$d\ne #";
        let (mut server, mut private) = (entry(&[], &[("TOKEN", value)]), Private::default());
        private.take("a", &mut server, &BTreeMap::new());
        private.store(&path).expect("stored");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, MODE);
        let text = fs::read_to_string(&path).expect("read");
        let (variables, bad) = crate::config::dotenv::parse(&text);
        assert_eq!(
            (variables["PORT"].0.as_str(), variables["MCP_A_TOKEN"].0.as_str(), bad.len()),
            ("1", value, 0),
            "{text}"
        );
        // A second import of the same finds it there.
        let known = BTreeMap::from([("MCP_A_TOKEN".to_owned(), value.to_owned())]);
        let (mut again, mut private) = (entry(&[], &[("TOKEN", value)]), Private::default());
        private.take("a", &mut again, &known);
        assert!(private.moved.is_empty());
        let (mut other, mut private) = (entry(&[], &[("TOKEN", "another-one")]), Private::default());
        private.take("a", &mut other, &known);
        assert_eq!(env(&other), ["TOKEN=${MCP_A_TOKEN_2}"]);
    }
}
