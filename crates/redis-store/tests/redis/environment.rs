//! What the tests want to know of their environment.

/// Whether this is a run in which nothing may be left out: `CI=true`.
pub(crate) fn is_ci() -> bool {
    read("CI").is_some_and(|value| value == "true" || value == "1")
}

/// Why a program cannot be used, if it cannot.
pub(crate) fn missing(program: &str, get: &str) -> Option<String> {
    let path = read("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    (!is_there).then(|| format!("there is no {program} on the PATH: {get}"))
}

/// A number that whoever runs the tests may set.
pub(crate) fn number(name: &str) -> Option<u64> {
    read(name)?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the tests' one look at their environment")]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
