//! Keys of users, and clients who are known by them.

use super::*;

fn serve(more: &str, expected: &[&str]) {
    let text = format!("store.kind = 'embedded'\nsandbox.runtime = 'local'\nllm.provider = 'claude'\n{more}");
    check(Mode::Serve, &file(&text), expected);
}

#[test]
fn where_users_pay_the_server_needs_no_key() {
    serve("", &["missing llm.claude.api_key @ not set"]);
    serve("llm.allow_own_keys = false", &["missing llm.claude.api_key @ not set"]);
    serve("llm.allow_own_keys = true", &[]);
    serve("auth.mode = 'provider-key'", &[]);
}

#[test]
fn what_contradicts_keys_as_names_is_told() {
    let conflict = "conflict llm.allow_own_keys @ lockkeeper.toml:5:5";
    serve("auth.mode = 'provider-key'\nllm.allow_own_keys = false", &[conflict]);
    check(Mode::Dev, &file("auth.mode = 'provider-key'"), &["conflict auth.mode @ lockkeeper.toml:1:6"]);
    let short = "unsafe auth.identity_secret @ lockkeeper.toml:5:6";
    serve("auth.mode = 'provider-key'\nauth.identity_secret = 'short'", &[short]);
    let long = "x".repeat(32);
    serve(&format!("auth.mode = 'provider-key'\nauth.identity_secret = '{long}'"), &[]);
}

#[test]
fn the_secret_of_names_is_one() {
    let loaded = file("auth.identity_secret = 'canary-0123456789'").load();
    assert!(!super::show(&loaded, true).contains("canary"));
    assert!(!format!("{:?}", loaded.config.auth).contains("canary"));
    assert!(loaded.config.auth.verify_keys && loaded.config.llm.allow_own_keys.is_none());
}

#[test]
fn limits_of_the_lists_of_models_are_checked() {
    let bad = "bad_value llm.catalog.timeout_ms @ lockkeeper.toml:1:13";
    check(Mode::Dev, &file("llm.catalog.timeout_ms = 0"), &[bad]);
}
