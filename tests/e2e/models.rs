//! Keys that users bring, models that they choose, and the lists of models, against a vendor of the test's own.

mod vendor;

use crate::{
    case::{Case, Ground, cases},
    identity::tokens,
    script::script,
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Server, Setup};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, rc::Rc};
use vendor::{MODEL, Vendor};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_users_key_pays_for_the_turn_and_is_nowhere_to_be_found;
        no_secret_of_any_kind_is_in_the_log_at_trace_level;
        a_turn_that_lost_its_key_ends_and_the_session_goes_on_with_the_key;
        whoever_has_the_provider_key_is_the_principal_across_restarts;
        keys_of_users_are_refused_where_tokens_say_who_is_who;
        a_model_is_chosen_kept_and_changed_and_an_unknown_one_is_told;
        the_lists_of_models_are_there_for_whoever_may_connect;
        the_demo_lists_its_one_model;
        bad_settings_of_keys_are_named_with_78;
    ]
}

const ANN: &str = "sk-canary-of-ann-5f1c9a2e7b6d4f30";
const BOB: &str = "sk-canary-of-bob-91e0c4d8a3b27f65";

fn with(ground: &Ground, vendor: &Vendor, more: &str) -> Setup {
    let url = vendor.url();
    ground.setup().config(&format!(
        "llm.provider = 'openai'
         llm.openai.base_url = '{url}'
         llm.openai.default_model = '{MODEL}'
         {more}"
    ))
}

/// The status and the body of what is at `path`.
pub(crate) async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Result<(u16, Value)> {
    let (status, body) = server.get(path, headers).await?;
    Ok((status, serde_json::from_str(&body).context(body)?))
}

/// The file under `folder` that holds `needle`, if one does.
fn found(folder: &Path, needle: &[u8]) -> Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            if let Some(found) = found(&path, needle)? {
                return Ok(Some(found));
            }
        } else if kind.is_file() && fs::read(&path)?.windows(needle.len()).any(|part| part == needle) {
            return Ok(Some(path.display().to_string()));
        }
    }
    Ok(None)
}

async fn a_users_key_pays_for_the_turn_and_is_nowhere_to_be_found(ground: Rc<Ground>) -> Result<()> {
    let vendor = Vendor::start(&[ANN]).await?;
    let setup = with(&ground, &vendor, "log.level = 'trace'\nsession.warm_sandboxes = 0").env("RUST_LOG", "trace");
    let mut server = setup.start().await?;
    let mut ann = server.connect().session("s").auth("apiKey", ANN).open().await?;
    ann.say("hello").await?;
    ensure!(ann.until("agent:response").await?.text() == "hello from the vendor");
    ann.until("turn:completed").await?;
    // One that the vendor does not know, and repeats in its error.
    let mut bob = server.connect().session("b").auth("apiKey", BOB).open().await?;
    bob.say("hello").await?;
    let error = bob.until("agent:error").await?;
    ensure!(error.payload["code"] == "provider_authentication", "{error:?}");
    bob.until("turn:completed").await?;
    for (key, expected) in [(ANN, 200), (BOB, 401)] {
        let (status, body) = get(&server, "/api/models", &[("x-provider-key", key)]).await?;
        ensure!(status == expected && !body.to_string().contains(key), "{status} {body}");
    }
    // As a token it says nothing here, and must not be logged either.
    let mut token = server.connect().session("s").auth("token", ANN).auth("apiKey", "two words").open_raw().await?;
    token.until("error").await?;
    let shown = [ann.journal(), bob.journal(), token.journal()].map(|journal| format!("{journal:?}")).join("");
    let keys = vendor.keys();
    ensure!(keys.iter().all(|key| [ANN, BOB].contains(&key.as_str())) && keys.len() >= 4, "{keys:?}");
    server.terminate()?;
    ensure!(server.ended().await?.code() == Some(0));
    let log = setup.log();
    ensure!(log.contains("TRACE"), "the log is not as loud as it should be");
    for key in [ANN, BOB] {
        ensure!(!shown.contains(key), "an event holds a key");
        ensure!(!log.contains(key), "the log holds a key");
        let found = found(ground.folder(), key.as_bytes())?;
        ensure!(found.is_none(), "{found:?} holds a key");
    }
    ensure!(found(ground.folder(), b"hello from the vendor")?.is_some(), "the search finds what is there");
    Ok(())
}

/// The server's own key, the secret of tokens, tokens, and the secret of an MCP server: over the whole loop, with every line there is.
async fn no_secret_of_any_kind_is_in_the_log_at_trace_level(ground: Rc<Ground>) -> Result<()> {
    const KEY: &str = "sk-canary-of-the-server-0a6d3b18c9e54f72";
    const MCP: &str = "canary-of-an-mcp-server-7d21f0b4";
    let vendor = Vendor::start(&[KEY]).await?;
    let more = format!(
        "llm.openai.api_key = '{KEY}'
         log.level = 'trace'
         session.warm_sandboxes = 0
         mcp_servers.extra = {{ command = '/no/such/program', env = {{ TOKEN = '{MCP}' }} }}"
    );
    let setup = with(&ground, &vendor, &more).config(tokens::SYMMETRIC).env("RUST_LOG", "trace");
    let mut server = setup.start().await?;
    let token = |secs| tokens::create(ground.folder(), "ann", secs);
    let (first, second) = (token(600)?, token(900)?);
    let mut ann = server.connect().auth("token", first.as_str()).open().await?;
    ann.say("hello").await?;
    ann.until("turn:completed").await?;
    ann.call_ok("auth:refresh", json!({ "token": second })).await?;
    let forged = format!("{second}x");
    ensure!(ann.call("auth:refresh", json!({ "token": forged })).await?["code"] == "unauthenticated");
    ann.call_bare("usage:get").await?;
    ann.call_bare("session:end").await?;
    let mut refused = server.connect().auth("token", forged.as_str()).open_raw().await?;
    refused.until("error").await?;
    ensure!(vendor.keys().iter().any(|key| key == KEY), "the vendor was not paid");
    let shown = format!("{:?}{:?}", ann.journal(), refused.journal());
    server.terminate()?;
    ensure!(server.ended().await?.code() == Some(0));
    let log = setup.log();
    ensure!(log.contains("TRACE"), "the log is not as loud as it should be");
    let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    let canaries = [KEY, MCP, tokens::SECRET, &first, &second, &forged, &signature(&first), &signature(&second)];
    for canary in canaries {
        ensure!(!canary.is_empty() && !log.contains(canary), "{canary} is in the log");
        ensure!(!shown.contains(canary), "{canary} is in an event");
    }
    Ok(())
}

async fn a_turn_that_lost_its_key_ends_and_the_session_goes_on_with_the_key(ground: Rc<Ground>) -> Result<()> {
    let vendor = Vendor::start(&[ANN]).await?;
    let server = with(&ground, &vendor, "").start().await?;
    let mut ann = server.connect().session("s").auth("apiKey", ANN).open().await?;
    ann.say("hang, please").await?;
    ann.until("agent:delta").await?;
    let last = ann.last_id().context("a logged event")?;
    let server = server.crash().await?.start().await?;
    let mut back = server.connect().session("s").resume_after(last).open().await?;
    let error = back.until("agent:error").await?;
    ensure!(error.payload["code"] == "missing_api_key", "{error:?}");
    ensure!(error.payload["hint"].as_str().is_some_and(|hint| hint.contains("auth.apiKey")), "{error:?}");
    back.until("turn:completed").await?;
    let refused = back.call("message", "again").await?;
    ensure!(refused["ok"] == false && refused["code"] == "missing_api_key", "{refused}");
    let asked = vendor.keys();
    ensure!(asked.iter().all(|key| key == ANN), "{asked:?}");
    let mut ann = server.connect().session("s").auth("apiKey", ANN).open().await?;
    ann.say("hello").await?;
    ensure!(ann.until("agent:response").await?.text() == "hello from the vendor");
    // And for the tab that has none of its own.
    back.say("hello").await?;
    back.until("agent:response").await?;
    Ok(())
}

async fn whoever_has_the_provider_key_is_the_principal_across_restarts(ground: Rc<Ground>) -> Result<()> {
    let vendor = Vendor::start(&[ANN, BOB]).await?;
    let setup = with(&ground, &vendor, "auth.mode = 'provider-key'");
    let server = setup.start().await?;
    let refusal = |server: &Server, key: Value| {
        let connect = server.connect().session("s").auth("apiKey", key);
        async move {
            let mut client = connect.open_raw().await?;
            let error = client.until("error").await?;
            client.until_closed().await?;
            ensure!(client.journal().len() == 1, "{:?}", client.journal());
            anyhow::Ok(error)
        }
    };
    for nobody in [json!(null), json!(""), json!("sk-that-the-vendor-does-not-know")] {
        let error = refusal(&server, nobody).await?;
        ensure!(error.meta["code"] == "unauthenticated", "{error:?}");
    }
    ensure!(ground.sandboxes()? == 0, "a stranger got a sandbox");
    let mut ann = server.connect().session("s").auth("apiKey", ANN).open().await?;
    ann.say("hello").await?;
    ann.until("turn:completed").await?;
    let error = refusal(&server, json!(BOB)).await?;
    ensure!(error.meta["code"] == "forbidden", "{error:?}");
    let (status, _) = get(&server, "/api/models", &[]).await?;
    ensure!(status == 401, "{status}");
    let (status, body) = get(&server, "/api/models", &[("Authorization", &format!("Bearer {ANN}"))]).await?;
    ensure!(status == 200 && body["models"][0]["id"] == MODEL, "{status} {body}");
    let server = server.crash().await?.start().await?;
    // As the token, as older frontends send it: the same principal, by the secret that was kept.
    let mut ann = server.connect().session("s").auth("token", ANN).open().await?;
    ensure!(ann.ready["resumed"] == true, "{}", ann.ready);
    ann.say("hello").await?;
    ann.until("turn:completed").await?;
    ensure!(refusal(&server, json!(BOB)).await?.meta["code"] == "forbidden");
    let secret = fs::metadata(ground.folder().join(".lockkeeper/identity.secret"))?;
    ensure!(secret.permissions().mode() & 0o777 == 0o600, "others can read the secret");
    Ok(())
}

async fn keys_of_users_are_refused_where_tokens_say_who_is_who(ground: Rc<Ground>) -> Result<()> {
    let vendor = Vendor::start(&[ANN, "sk-of-the-server"]).await?;
    let tokens = "auth.tokens.ann = 'a-long-token-of-ann-93c1'\nllm.openai.api_key = 'sk-of-the-server'";
    let setup = with(&ground, &vendor, tokens);
    let mut server = setup.start().await?;
    let connect = server.connect().session("s").auth("token", "a-long-token-of-ann-93c1");
    let mut refused = connect.clone().auth("apiKey", ANN).open_raw().await?;
    let error = refused.until("error").await?;
    ensure!(error.meta["code"] == "forbidden" && error.text().contains("keys"), "{error:?}");
    let mut ann = connect.open().await?;
    ann.say("hello").await?;
    ann.until("turn:completed").await?;
    ensure!(vendor.keys() == ["sk-of-the-server"], "{:?}", vendor.keys());
    server.terminate()?;
    server.ended().await?;
    let server = setup.config("llm.allow_own_keys = true").start().await?;
    let connect = server.connect().session("t").auth("token", "a-long-token-of-ann-93c1");
    let mut ann = connect.auth("apiKey", ANN).open().await?;
    ann.say("hello").await?;
    ann.until("turn:completed").await?;
    ensure!(vendor.keys() == ["sk-of-the-server", ANN], "{:?}", vendor.keys());
    Ok(())
}

async fn a_model_is_chosen_kept_and_changed_and_an_unknown_one_is_told(ground: Rc<Ground>) -> Result<()> {
    let vendor = Vendor::start(&[]).await?;
    let server = with(&ground, &vendor, "").start().await?;
    let mut ann = server.connect().session("s").auth("model", "nonsense/of:mine").open().await?;
    ensure!(ann.ready["model"] == "nonsense/of:mine", "{}", ann.ready);
    ann.say("hello").await?;
    let error = ann.until("agent:error").await?;
    ensure!(error.payload["code"] == "provider_bad_request", "{error:?}");
    ensure!(error.payload["hint"].as_str().is_some_and(|hint| hint.contains("/api/models")), "{error:?}");
    ann.until("turn:completed").await?;
    let mut again = server.connect().session("s").auth("model", MODEL).open().await?;
    ensure!(again.ready["model"] == MODEL, "{}", again.ready);
    ensure!(ann.until("system:message").await?.text().contains(MODEL));
    again.say("hello").await?;
    ensure!(ann.until("agent:response").await?.text() == "hello from the vendor");
    let server = server.crash().await?.start().await?;
    let back = server.connect().session("s").open().await?;
    ensure!(back.ready["model"] == MODEL, "{}", back.ready);
    let mut bad = server.connect().auth("model", "../../etc").open_raw().await?;
    ensure!(bad.until("error").await?.meta["code"] == "invalid_payload");
    Ok(())
}

async fn the_lists_of_models_are_there_for_whoever_may_connect(ground: Rc<Ground>) -> Result<()> {
    let vendor = Vendor::start(&[]).await?;
    let server = with(&ground, &vendor, "auth.tokens.ann = 'a-long-token-of-ann-93c1'").start().await?;
    let token = ("Authorization", "Bearer a-long-token-of-ann-93c1");
    for path in ["/api/models", "/api/models/available", "/api/models/check"] {
        let (status, body) = get(&server, path, &[]).await?;
        ensure!(status == 401 && body["code"] == "unauthenticated", "{path}: {status} {body}");
        let evil = [token, ("Origin", "https://evil.example")];
        ensure!(get(&server, path, &evil).await?.0 == 403, "{path}");
    }
    ensure!(vendor.lists() == 0, "a stranger reached the vendor");
    let (status, body) = get(&server, "/api/models", &[token]).await?;
    ensure!(status == 200 && body["provider"] == "openai" && body["default"] == MODEL, "{status} {body}");
    ensure!(body["models"] == json!([{"id": MODEL, "displayName": MODEL}]), "{body}");
    ensure!(body["cachedAt"].is_string() && body["age"].is_u64(), "{body}");
    let (_, body) = get(&server, "/api/models/available", &[token]).await?;
    ensure!(body == json!({"provider": "openai", "models": [{"id": MODEL, "name": MODEL}]}), "{body}");
    let (_, body) = get(&server, "/api/models/check", &[token]).await?;
    ensure!(body == json!({"provider": "openai", "models": {MODEL: "available"}}), "{body}");
    ensure!(vendor.lists() == 1, "the vendor was asked {} times", vendor.lists());
    Ok(())
}

async fn the_demo_lists_its_one_model(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let (status, body) = get(&server, "/api/models", &[("x-provider-key", ANN)]).await?;
    ensure!(status == 200 && body["provider"] == "demo" && body["default"] == "demo-1", "{status} {body}");
    ensure!(body["models"].as_array().is_some_and(|models| models.len() == 1), "{body}");
    // It needs no key, and takes none.
    let mut client = server.connect().auth("apiKey", ANN).auth("model", "demo-1").open().await?;
    client.say(&script(&[json!({ "text": "done" })])).await?;
    client.until("agent:response").await?;
    let mut other = server.connect().auth("model", "demo-2").open().await?;
    other.say("hello").await?;
    let error = other.until("agent:error").await?;
    ensure!(error.payload["hint"].as_str().is_some_and(|hint| hint.contains("/api/models")), "{error:?}");
    Ok(())
}

async fn bad_settings_of_keys_are_named_with_78(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config(
        "auth.mode = 'provider-key'
         auth.identity_secret = 'short-canary'
         llm.allow_own_keys = false
         llm.catalog.timeout_ms = 0",
    );
    let (code, said) = setup.fail().await?;
    ensure!(code == Some(78), "exit code {code:?}: {said}");
    for named in ["auth.mode", "auth.identity_secret", "llm.allow_own_keys", "llm.catalog.timeout_ms"] {
        ensure!(said.contains(named), "{named} is not named: {said}");
    }
    ensure!(!said.contains("short-canary"), "{said}");
    Ok(())
}
