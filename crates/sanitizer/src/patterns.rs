//! What secrets look like that nobody told us of.

use regex::Regex;
use std::sync::LazyLock;

/// A kind of secret.
pub(crate) struct Pattern {
    pub(crate) kind: &'static str,
    pub(crate) regex: Regex,
}

/// The formats are those that the issuers publish; the more particular come first. None looks at what stands around it: a
/// part of a text without secrets has none either, wherever it is cut.
const PATTERNS: &[(&str, &str)] = &[
    ("private_key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[A-Za-z0-9+/=\s:,]*-----END [A-Z0-9 ]*PRIVATE KEY-----"),
    ("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{20,}"),
    ("openai_key", r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9]{20}[A-Za-z0-9_-]*"),
    ("google_key", r"AIza[0-9A-Za-z_-]{35}"),
    ("github_token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}"),
    ("gitlab_token", r"glpat-[A-Za-z0-9_-]{20,}"),
    ("aws_key", r"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    ("slack_token", r"xox[abeprs]-[A-Za-z0-9-]{10,}"),
    ("npm_token", r"npm_[A-Za-z0-9]{36}"),
    ("jwt", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
];

/// All patterns, compiled once.
pub(crate) fn all() -> &'static [Pattern] {
    static COMPILED: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
        let compile = |(kind, regex): &(&'static str, &str)| Pattern {
            kind,
            regex: Regex::new(regex).expect("a test compiles each of them"),
        };
        PATTERNS.iter().map(compile).collect()
    });
    &COMPILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_and_plain_words_are_not() {
        let long = "a1B2".repeat(12);
        let samples = [
            ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA==\n-----END RSA PRIVATE KEY-----".to_owned()),
            ("anthropic_key", format!("sk-ant-api03-{long}")),
            ("openai_key", format!("sk-proj-{long}")),
            ("google_key", format!("AIza{}", &long[..35])),
            ("github_token", format!("ghp_{}", &long[..36])),
            ("gitlab_token", format!("glpat-{}", &long[..20])),
            ("aws_key", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("slack_token", "xoxb-123456789012-abcdef".to_owned()),
            ("npm_token", format!("npm_{}", &long[..36])),
            ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLWhlcmU".to_owned()),
        ];
        let patterns = all();
        for (kind, sample) in &samples {
            let found = patterns.iter().find(|pattern| pattern.regex.is_match(sample)).map(|pattern| pattern.kind);
            assert_eq!(found, Some(*kind), "{sample}");
        }
        assert_eq!(samples.len(), patterns.len(), "each pattern has a sample");
        for plain in ["risk-free-and-a-very-long-compound-word", "the task-list", "eyJ is a prefix", "commit 3f2a9c"] {
            assert!(patterns.iter().all(|pattern| !pattern.regex.is_match(plain)), "{plain}");
        }
    }
}
