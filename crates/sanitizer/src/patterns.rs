//! What secrets look like that nobody told us of.

use regex::Regex;
use std::sync::LazyLock;

/// A kind of secret.
pub(crate) struct Pattern {
    pub(crate) kind: &'static str,
    pub(crate) regex: Regex,
}

/// The formats are those that the issuers publish; the more particular come first. Prefixes and lengths of those after
/// `slack_token` follow the rules of gitleaks 8. No pattern looks at what stands around it, so a part of a text without secrets
/// has none either, wherever it is cut.
const PATTERNS: &[(&str, &str)] = &[
    ("private_key", PRIVATE_KEY),
    ("private_key", PRIVATE_KEY_END),
    ("private_key", PRIVATE_KEY_BODY),
    ("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{20,}"),
    ("openai_key", r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9]{20}[A-Za-z0-9_-]*"),
    ("openai_key", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}"),
    ("google_key", r"AIza[0-9A-Za-z_-]{35}"),
    ("github_token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}"),
    ("gitlab_token", r"gl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|oas|soat)-[A-Za-z0-9_=.-]{20,}"),
    ("aws_key", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    ("slack_token", r"xox[abceprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    ("slack_token", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{30,}"),
    ("npm_token", r"npm_[A-Za-z0-9]{36}"),
    ("pypi_token", r"pypi-AgE[A-Za-z0-9_-]{40,}"),
    ("stripe_key", r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{24,}"),
    ("huggingface_token", r"hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{30,}"),
    ("google_oauth", r"ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{30,}"),
    ("sendgrid_key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}"),
    (
        "azure_key",
        r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/%]{30,}={0,2}|[A-Za-z0-9]{3}[0-9]Q~[A-Za-z0-9_.~-]{31,34}",
    ),
    ("azure_sas", r"[?&;]sig=[A-Za-z0-9+/%]{30,}={0,2}"),
    ("digitalocean_token", r"do[opr]_v1_[a-f0-9]{64}"),
    ("age_key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("vault_token", r"hv[sb]\.[A-Za-z0-9_-]{24,}"),
    ("jwt", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("url_password", r#"://[^\s/:@"'<>\[\]]{0,64}:[^\s/:@"'<>\[\]]{3,256}@"#),
];

/// A whole private key, or its beginning with the lines that follow. Line breaks may be written as `\n`.
const PRIVATE_KEY: &str = concat!(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:",
    r"(?:[^-]|-[^-])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
    r#"|(?:(?:\\[nr]|[\s"',|>+:])*[A-Za-z0-9+/]{16,}={0,2})*)"#
);
/// The lines at the end of a private key.
const PRIVATE_KEY_END: &str = concat!(
    r#"(?:[A-Za-z0-9+/]{16,}={0,2}(?:\\[nr]|[\s"',|>+:])+)*(?:=?[A-Za-z0-9+/]{1,80}={0,2}(?:\\[nr]|[\s"',|>+:])+)?"#,
    r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
);
/// The first line of a private key without its heading: OpenSSH, PKCS #1, PKCS #8, and EC, with the lines that follow.
const PRIVATE_KEY_BODY: &str = concat!(
    r"(?:b3BlbnNzaC1rZXktdjE|MII[A-Za-z0-9+/]{2}[AQgw]IBAAK[BC]|MII[A-Za-z0-9+/]{1,8}ADANBgkqhkiG9w0BAQEFAASC",
    r"|MHcCAQEEI|MIGkAgEBBD|MIGHAgEAMBMGByqGSM49|MIG2AgEAMBAGByqGSM49|MC4CAQAwBQYDK2VwBCIEI)[A-Za-z0-9+/]*={0,2}",
    r#"(?:(?:\\[nr]|[\s"',|>+:])+[A-Za-z0-9+/]{40,}={0,2})*"#
);

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

    /// Covers: S2-4
    #[test]
    fn samples_of_each_kind_are_found_and_plain_words_are_not() {
        let long = "a1B2".repeat(20);
        let key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        let samples = [
            ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA==\n-----END RSA PRIVATE KEY-----".to_owned()),
            ("private_key", format!("-----BEGIN PRIVATE KEY-----\\n{key}\\nAAAA\\n-----END PRIVATE KEY-----\\n")),
            ("private_key", format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{long}\n{long}")),
            ("private_key", format!("{long}\n{long}\nAAAA=\n-----END EC PRIVATE KEY-----")),
            (
                "private_key",
                format!(
                    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{long}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"
                ),
            ),
            ("private_key", format!("{key}\n{long}")),
            ("anthropic_key", format!("sk-ant-api03-{long}")),
            ("openai_key", format!("sk-proj-{long}")),
            ("google_key", format!("AIza{}", &long[..35])),
            ("github_token", format!("ghp_{}", &long[..36])),
            ("gitlab_token", format!("glpat-{}", &long[..20])),
            ("aws_key", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("slack_token", "xoxb-123456789012-abcdef".to_owned()),
            ("slack_token", "xapp-1-A0123456789-0123456789".to_owned()),
            ("npm_token", format!("npm_{}", &long[..36])),
            ("pypi_token", format!("pypi-AgEIcHlwaS5vcmc{long}")),
            ("stripe_key", format!("sk_live_{}", &long[..24])),
            ("huggingface_token", format!("hf_{}", &long[..34])),
            ("google_oauth", format!("ya29.{long}")),
            ("google_oauth", format!("GOCSPX-{}", &long[..28])),
            ("sendgrid_key", format!("SG.{}.{}", &long[..22], &long[..43])),
            ("azure_key", format!("AccountKey={long}==")),
            ("azure_sas", format!("?sv=2022&sig={}%3D", &long[..43])),
            ("digitalocean_token", format!("dop_v1_{}", "ab12".repeat(16))),
            ("age_key", format!("AGE-SECRET-KEY-1{}", "Q9".repeat(29))),
            ("vault_token", format!("hvs.{long}")),
            ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLWhlcmU".to_owned()),
            ("url_password", "postgres://app:s3cr3t-pw@db.internal/x".to_owned()),
        ];
        let patterns = all();
        for (kind, sample) in &samples {
            let found = patterns.iter().find(|pattern| pattern.regex.is_match(sample)).map(|pattern| pattern.kind);
            assert_eq!(found, Some(*kind), "{sample}");
        }
        for pattern in patterns {
            assert!(samples.iter().any(|(kind, _)| *kind == pattern.kind), "{} has no sample", pattern.kind);
        }
        let plain = [
            "risk-free-and-a-very-long-compound-word",
            "the task-list",
            "eyJ is a prefix",
            "commit 3f2a9c",
            "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa\n-----END CERTIFICATE-----",
            "http://localhost:8080/a@b",
            "https://user@example.com:443/",
        ];
        for plain in plain {
            let found = patterns.iter().find(|pattern| pattern.regex.is_match(plain)).map(|pattern| pattern.kind);
            assert_eq!(found, None, "{plain}");
        }
    }
}
