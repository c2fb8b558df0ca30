//! Environment variables and `.env` as layers.

use super::{
    layer::Layer,
    problem::{Kind, Origin, Problem},
    suggest,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The prefix of the variables that name a setting by its path, `LOCKKEEPER_SECTION__KEY`.
const PREFIX: &str = "LOCKKEEPER_";

/// The longest secret file, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The names that users of this protocol family have already, and the settings behind them.
pub(crate) const KNOWN: &[(&str, &str)] = &[
    ("LLM_PROVIDER", "llm.provider"),
    ("GEMINI_API_KEY", "llm.gemini.api_key"),
    ("ANTHROPIC_API_KEY", "llm.claude.api_key"),
    ("OPENAI_API_KEY", "llm.openai.api_key"),
    ("REDIS_URL", "store.url"),
    ("SANDBOX_RUNTIME", "sandbox.runtime"),
    ("SANDBOX_IMAGE", "sandbox.docker.image"),
    ("DOCKER_HOST", "sandbox.docker.host"),
    ("PORT", "server.port"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.endpoint"),
    ("MAX_OUTPUT_TOKENS", "session.max_output_tokens"),
    ("MAX_HISTORY_TOKENS", "session.max_history_tokens"),
];

/// The sections of the configuration.
pub(crate) const SECTIONS: &[&str] = &[
    "server",
    "http",
    "auth",
    "store",
    "sandbox",
    "mcp",
    "mcp_servers",
    "session",
    "audit",
    "policy",
    "llm",
    "gateway",
    "telemetry",
    "log",
];

/// Whether the setting at `path` is a secret, which is never shown.
pub(crate) fn is_secret(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    matches!(
        parts.as_slice(),
        ["llm", _, "api_key"]
            | ["store", "url" | "audit_key"]
            | ["mcp_servers", _, "env", ..]
            | ["auth", "tokens", ..]
            | ["auth", "identity_secret"]
            | ["http", "metrics_token" | "admin_token"]
            | ["telemetry", "headers", ..]
            | ["auth", "jwt", "secret"]
    )
}

/// What a set of variables comes to.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) problems: Vec<Problem>,
    /// What is odd and no error, for people.
    pub(crate) notices: Vec<String>,
    /// The files of secrets that variables name.
    pub(crate) files: Vec<PathBuf>,
}

/// Fills `layer` from `variables`; `origin` tells where a variable was set. Secret files are read relative to `dir`.
pub(crate) fn fill(
    layer: &mut Layer,
    variables: &BTreeMap<String, String>,
    dir: &Path,
    origin: impl Fn(&str) -> Origin,
) -> Found {
    let mut found = Found::default();
    // The general names come first, so that the exact ones win.
    for (name, path) in KNOWN {
        if let Some(value) = variables.get(*name).filter(|value| !value.is_empty()) {
            layer.set_text(path, value, origin(name));
        }
        secret_file(layer, variables, name, path, dir, &origin, &mut found);
    }
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if rest == "CONFIG" {
            continue;
        }
        if !rest.contains("__") {
            found.notices.extend(overlooked(name, rest));
            continue;
        }
        let path = rest.to_lowercase().replace("__", ".");
        match path.strip_suffix("_file").filter(|path| is_secret(path)) {
            Some(path) => {
                let name = name.trim_end_matches("_FILE");
                secret_file(layer, variables, name, path, dir, &origin, &mut found);
            }
            None => layer.set_text(&path, value, origin(name)),
        }
    }
    found
}

/// A variable that looks as if it was meant for a setting. No error: container platforms set variables of this kind by
/// themselves, as in `LOCKKEEPER_SERVICE_HOST`.
fn overlooked(name: &str, rest: &str) -> Option<String> {
    let (section, key) = rest.split_once('_')?;
    let section = suggest::nearest(section, SECTIONS.iter().copied())?;
    (!key.is_empty()).then(|| format!("{name} sets nothing; did you mean {PREFIX}{}__{key}?", section.to_uppercase()))
}

fn secret_file(
    layer: &mut Layer,
    variables: &BTreeMap<String, String>,
    name: &str,
    path: &str,
    dir: &Path,
    origin: &impl Fn(&str) -> Origin,
    found: &mut Found,
) {
    let variable = format!("{name}_FILE");
    let Some(file) = variables.get(&variable).filter(|file| !file.is_empty() && is_secret(path)) else { return };
    found.files.push(dir.join(file));
    let mut problem = |kind, what, fix| {
        let origin = origin(&variable);
        found.problems.push(Problem { kind, key: path.to_owned(), origin, what, fix });
    };
    if variables.get(name).is_some_and(|value| !value.is_empty()) {
        let what = format!("{name} and {variable} are both set");
        return problem(Kind::Conflict, what, format!("unset {name} or {variable}"));
    }
    match read_secret(&dir.join(file)) {
        Ok(secret) => layer.set_text(path, &secret, origin(&variable)),
        Err(error) => {
            let what = format!("the secret's file {file} cannot be used: {error}");
            problem(Kind::Unreadable, what, format!("make {file} a readable file that holds the secret"));
        }
    }
}

fn read_secret(path: &Path) -> anyhow::Result<String> {
    let length = std::fs::metadata(path)?.len();
    anyhow::ensure!(length <= MAX_SECRET_BYTES, "it is larger than {MAX_SECRET_BYTES} bytes");
    let secret = std::fs::read_to_string(path)?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!secret.is_empty(), "it is empty");
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(variables: &[(&str, &str)]) -> (Layer, Found) {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut layer = Layer::new("environment");
        let found = fill(&mut layer, &variables, Path::new("."), |name| Origin::Variable(name.to_owned()));
        (layer, found)
    }

    #[test]
    fn an_exact_name_wins_over_a_general_one() {
        let (layer, found) = filled(&[("PORT", "1"), ("LOCKKEEPER_SERVER__PORT", "2")]);
        assert!(found.problems.is_empty());
        assert_eq!(layer.origin("server.port"), Some(Origin::Variable("LOCKKEEPER_SERVER__PORT".to_owned())));
    }

    #[test]
    fn an_empty_general_name_counts_as_unset() {
        assert_eq!(filled(&[("PORT", "")]).0.origin("server.port"), None);
    }

    #[test]
    fn a_variable_with_one_underscore_is_noticed_and_a_platforms_own_is_not() {
        let (_, found) = filled(&[("LOCKKEEPER_SERVER_PORT", "1"), ("LOCKKEEPER_PORT_3000_TCP_ADDR", "x")]);
        assert_eq!(found.notices, ["LOCKKEEPER_SERVER_PORT sets nothing; did you mean LOCKKEEPER_SERVER__PORT?"]);
    }

    #[test]
    fn a_secret_and_its_file_contradict_each_other() {
        let (_, found) = filled(&[("OPENAI_API_KEY", "k"), ("OPENAI_API_KEY_FILE", "/nowhere")]);
        assert_eq!(found.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(), [Kind::Conflict]);
        let (_, found) = filled(&[("LOCKKEEPER_LLM__OPENAI__API_KEY_FILE", "/nowhere")]);
        assert_eq!(found.problems[0].key, "llm.openai.api_key");
        assert_eq!(found.problems[0].kind, Kind::Unreadable);
    }

    #[test]
    fn a_secret_file_is_read_without_its_last_line_break() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "12345\n").expect("written");
        let (layer, found) = filled(&[("GEMINI_API_KEY_FILE", file.path().to_str().expect("UTF-8"))]);
        assert!(found.problems.is_empty());
        assert_eq!(layer.text("llm.gemini.api_key"), Some("12345"));
    }
}
