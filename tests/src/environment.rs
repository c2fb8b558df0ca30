/// Whether this is a run in which nothing may be left out: `CI=true`.
pub fn is_ci() -> bool {
    read("CI").is_some_and(|value| value == "true" || value == "1")
}

/// The seed of the random choices: `E2E_SEED`, to replay a run, or a new one.
pub fn seed() -> u64 {
    let fresh = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    read("E2E_SEED").and_then(|text| text.parse().ok()).unwrap_or_else(fresh)
}

/// Where a Docker engine listens, as its own tools take it: `DOCKER_HOST`.
pub(crate) fn docker_host() -> Option<String> {
    read("DOCKER_HOST")
}

/// How many rounds a case plays that plays the same again and again: `E2E_ROUNDS`, or `by_default`.
pub fn rounds(by_default: usize) -> usize {
    read("E2E_ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(by_default)
}

/// How many turns the hostile MCP server suite measures when its figures are held to their limits:
/// `LOCKKEEPER_HOSTILE_ROUNDS`. `None` where it only compares.
pub fn hostile_rounds() -> Option<usize> {
    read("LOCKKEEPER_HOSTILE_ROUNDS").and_then(|text| text.parse().ok())
}

/// How many times each kind of process is killed by the case that kills all of them: `LOCKKEEPER_CHAOS_ROUNDS`, or
/// `by_default`.
pub fn chaos_rounds(by_default: usize) -> usize {
    read("LOCKKEEPER_CHAOS_ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(by_default)
}

/// The directories in which programs are looked for.
pub(crate) fn search_path() -> Vec<std::path::PathBuf> {
    std::env::split_paths(&path()).collect()
}

/// The same, as it stands in the environment.
pub(crate) fn path() -> String {
    read("PATH").unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the tests' one look at their environment")]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
