//! Clients that are known by JSON Web Tokens, and what they see of each other.

pub(crate) mod tokens;
mod two_users;

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Connect, Server};
use serde_json::json;
use std::{path::Path, rc::Rc};
use tokens::Issuer;
use two_users::two_users_at_random_see_nothing_of_each_other;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_token_lets_its_user_in_and_owns_its_sessions;
        another_users_token_sees_nothing_of_a_session;
        two_users_at_random_see_nothing_of_each_other;
        forty_bad_tokens_connect_to_nothing_and_create_nothing;
        refresh_without_observe_ends_the_view;
        subject_that_reads_as_another_is_refused;
        a_token_of_an_issuer_is_checked_with_its_published_key;
        tokens_and_their_secret_stay_out_of_the_log;
    ]
}

/// Where the claim `scope` says what a token's bearer may do.
const SCOPED: &str =
    "auth.mode = 'jwt'\nauth.jwt.secret = 'a-secret-of-these-tests-alone-5b1e'\nauth.jwt.powers_claim = 'scope'
session.others = 'observe'";

/// Covers: S2-2
async fn refresh_without_observe_ends_the_view(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(SCOPED).start().await?;
    let connect = |token: String| server.connect().auth("token", token).session("anns");
    let mut ann = connect(tokens::scoped("ann", "drive decide")?).open().await?;
    let mut eve = connect(tokens::scoped("eve", "observe")?).open().await?;
    ann.say(&script(&[json!({ "text": "a canary before" })])).await?;
    ann.until("turn:completed").await?;
    eve.until("turn:completed").await?;
    ensure!(format!("{:?}", eve.journal()).contains("a canary before"));
    let fresh = tokens::scoped("eve", "drive decide")?;
    ensure!(eve.call("auth:refresh", json!({ "token": fresh.as_str() })).await?["ok"] == true);
    ann.say(&script(&[json!({ "text": "a canary after" })])).await?;
    ann.until("turn:completed").await?;
    ensure!(eve.until("error").await?.meta["code"] == "forbidden");
    eve.until_closed().await?;
    ensure!(!format!("{:?}", eve.journal()).contains("a canary after"), "the observer saw more");
    refused(connect(fresh)).await.map(drop)
}

/// Covers: S3-sub
async fn subject_that_reads_as_another_is_refused(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(tokens::SYMMETRIC).start().await?;
    for subject in ["ann\u{200b}", "ann ", "a\u{202e}nn", "ann\u{2800}", "Zoe\u{308}", "ann\n"] {
        let reason = refused(server.connect().auth("token", tokens::scoped(subject, "")?)).await?;
        ensure!(reason.contains("subject"), "{subject:?}: {reason}");
        ensure!(tokens::create(ground.folder(), subject, 60).is_err(), "a token was made for {subject:?}");
    }
    Ok(())
}

/// A connection of this user's, with a token as the command line makes it.
pub(crate) fn connect_as(server: &Server, folder: &Path, user: &str) -> Result<Connect> {
    Ok(server.connect().auth("token", tokens::create(folder, user, 600)?))
}

/// That a connection is refused, and nothing else is said.
async fn refused(connect: Connect) -> Result<String> {
    let mut client = connect.open_raw().await?;
    let error = client.next().await?;
    client.until_closed().await?;
    ensure!(error.name == "error" && client.journal().len() == 1, "{:?}", client.journal());
    Ok(error.text().to_owned())
}

async fn a_token_lets_its_user_in_and_owns_its_sessions(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(tokens::SYMMETRIC).start().await?;
    let mut ann = connect_as(&server, ground.folder(), "ann")?.session("anns").open().await?;
    ann.say(&script(&[run("echo kept for ann"), json!({ "text": "over" })])).await?;
    ann.until("tool:approval_required").await?;
    ann.approve("call_1_0_0", true).await?;
    let resolved = ann.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["by"] == "ann", "the log must say who it was: {resolved:?}");
    ensure!(stdout(&ann.until("tool:output").await?).contains("kept for ann"));
    ann.until("turn:completed").await?;
    // Another token of the same subject, after a restart, is the same user.
    drop(ann);
    server.terminate()?;
    let mut server = server;
    server.ended().await?;
    let server = server.setup().start().await?;
    let mut again = connect_as(&server, ground.folder(), "ann")?.session("anns").open().await?;
    ensure!(again.ready["resumed"] == true, "{}", again.ready);
    ensure!(again.call_ok("history:get", json!({})).await?.to_string().contains("kept for ann"));
    Ok(())
}

async fn another_users_token_sees_nothing_of_a_session(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(tokens::SYMMETRIC).start().await?;
    let mut ann = connect_as(&server, ground.folder(), "ann")?.session("anns").open().await?;
    ann.say(&script(&[run("echo private"), json!({ "text": "over" })])).await?;
    ann.until("tool:approval_required").await?;
    for role in ["driver", "observer"] {
        for after in ["", "0-0", "1-1"] {
            let bob = connect_as(&server, ground.folder(), "bob")?.session("anns");
            let reason = refused(bob.auth("role", role).auth("lastEventId", after)).await?;
            ensure!(!reason.contains("ann\"") && !reason.contains("private"), "{reason}");
        }
    }
    // A name that is near to hers is another one.
    for near in ["Ann", "an", "anns", "jwt-ann"] {
        refused(connect_as(&server, ground.folder(), near)?.session("anns")).await?;
    }
    ensure!(ann.take_unread().is_empty(), "somebody else's tries are shown to her");
    ann.approve("call_1_0_0", true).await?;
    ann.until("turn:completed").await?;
    Ok(())
}

async fn forty_bad_tokens_connect_to_nothing_and_create_nothing(ground: Rc<Ground>) -> Result<()> {
    let settings =
        "session.warm_sandboxes = 0\nauth.jwt.issuer = 'https://id.example'\nauth.jwt.audience = 'lockkeeper'";
    let server = ground.setup().config(tokens::SYMMETRIC).config(settings).start().await?;
    let bad = tokens::bad()?;
    ensure!(bad.len() >= 40, "{}", bad.len());
    for (n, (what, token)) in bad.iter().enumerate() {
        let connect = server.connect().session(&format!("wanted-{n}")).auth("token", token.clone());
        let reason = refused(connect).await.with_context(|| format!("{what} got in"))?;
        let text = token.as_str().unwrap_or_default();
        ensure!(text.is_empty() || !reason.contains(text), "the token is in the reason: {what}");
    }
    // Where the handshake has no token, none from elsewhere counts.
    let good = tokens::create(ground.folder(), "ann", 600)?;
    refused(server.connect().session("wanted-0").query("token", &good)).await.context("a token in the query")?;
    refused(server.connect().session("wanted-0").auth("apiKey", good.as_str())).await.context("a token as a key")?;
    ensure!(ground.sandboxes()? == 0, "{} sandboxes for nobody", ground.sandboxes()?);
    // Her own sessions are all new: nobody opened them before.
    for (n, (what, _)) in bad.iter().enumerate() {
        let connect =
            server.connect().session(&format!("wanted-{n}")).auth("token", good.as_str()).auth("role", "driver");
        let mut ann = connect.open().await?;
        ensure!(ann.ready["resumed"] == false, "{what}: it created its session");
        ensure!(ann.call_bare("session:end").await?["ok"] == true);
    }
    Ok(())
}

async fn a_token_of_an_issuer_is_checked_with_its_published_key(ground: Rc<Ground>) -> Result<()> {
    let issuer = Issuer::start().await?;
    let settings = format!(
        "auth.mode = 'jwt'\nauth.jwt.jwks_url = '{}'\nauth.jwt.issuer = 'https://id.example'\nauth.jwt.audience = 'lockkeeper'",
        issuer.url()
    );
    let server = ground.setup().config(&settings).start().await?;
    let token = tokens::es256("auth0|ann", "lockkeeper", Some("p256"))?;
    let mut ann = server.connect().session("anns").auth("token", token.as_str()).open().await?;
    ann.say(&script(&[json!({ "text": "hello" })])).await?;
    ann.until("turn:completed").await?;
    for (what, token) in [
        ("another's", tokens::es256("auth0|bob", "lockkeeper", Some("p256"))?),
        ("for another service", tokens::es256("auth0|ann", "others", Some("p256"))?),
        ("of a key of another kind", tokens::es256("auth0|ann", "lockkeeper", Some("rsa"))?),
        ("of a key that nobody has", tokens::es256("auth0|ann", "lockkeeper", Some("p521"))?),
        ("signed with the published key", tokens::confused()?),
    ] {
        refused(server.connect().session("anns").auth("token", token)).await.with_context(|| what.to_owned())?;
    }
    // One key of its kind is found without its name.
    let unnamed = tokens::es256("auth0|ann", "lockkeeper", None)?;
    let again = server.connect().session("anns").auth("token", unnamed).open().await?;
    ensure!(again.ready["resumed"] == true, "{}", again.ready);
    Ok(())
}

async fn tokens_and_their_secret_stay_out_of_the_log(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(tokens::SYMMETRIC).env("RUST_LOG", "trace").start().await?;
    let token = tokens::create(ground.folder(), "ann", 600)?;
    let mut ann = server.connect().auth("token", token.as_str()).open().await?;
    ann.say(&script(&[json!({ "text": "hello" })])).await?;
    ann.until("turn:completed").await?;
    let tampered = format!("{token}x");
    refused(server.connect().auth("token", tampered.as_str())).await?;
    let log = server.setup().log();
    let signature = token.rsplit('.').next().context("no signature")?;
    for canary in [token.as_str(), signature, tokens::SECRET] {
        ensure!(!log.contains(canary), "{canary} is in the log");
    }
    Ok(())
}
