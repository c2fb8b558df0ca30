use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Result, ensure};
use lockkeeper_tests::Setup;
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_bad_token_is_refused_before_anything_is_created;
        a_good_token_opens_a_session_and_another_principal_learns_nothing_of_it;
        tokens_stay_out_of_the_log;
    ]
}

const ALICE: &str = "alice-token-5f1c9a2e7b6d4f30";
const BOB: &str = "bob-token-91e0c4d8a3b27f65";

fn with_tokens(ground: &Ground) -> Setup {
    let tokens = format!(
        "auth.mode = 'static'
auth.tokens.alice = '{ALICE}'
auth.tokens.bob = '{BOB}'"
    );
    ground.setup().config(&tokens)
}

async fn a_bad_token_is_refused_before_anything_is_created(ground: Rc<Ground>) -> Result<()> {
    let server = with_tokens(&ground).start().await?;
    let sandboxes = ground.sandboxes()?;
    let bad = [
        json!(null),
        json!(""),
        json!("nonsense"),
        json!(7),
        json!({ "a": 1 }),
        json!(&ALICE[..27]),
        json!(format!("{ALICE} ")),
    ];
    for token in bad {
        let mut client = server.connect().session("wanted").auth("token", token.clone()).open_raw().await?;
        let first = client.next().await?;
        ensure!(first.name == "error" && !first.text().is_empty(), "{token}: {first:?}");
        client.until_closed().await?;
    }
    ensure!(ground.sandboxes()? == sandboxes, "a refused connection got a sandbox");
    let mut rightful = server.connect().session("wanted").auth("token", ALICE).open().await?;
    ensure!(rightful.ready["resumed"] == false, "a refused connection created the session: {}", rightful.ready);
    ensure!(rightful.call_ok("history:get", json!({})).await?["ok"] == true);
    Ok(())
}

async fn a_good_token_opens_a_session_and_another_principal_learns_nothing_of_it(ground: Rc<Ground>) -> Result<()> {
    let server = with_tokens(&ground).start().await?;
    let mut alice = server.connect().session("alices").auth("token", ALICE).open().await?;
    alice.say(&script(&[run("echo private")])).await?;
    alice.until("tool:approval_required").await?;
    let refusal = |session: &'static str| async {
        let mut bob = server.connect().session(session).auth("token", BOB).open_raw().await?;
        let error = bob.until("error").await?;
        bob.until_closed().await?;
        anyhow::Ok((error.text().to_owned(), bob.journal().len()))
    };
    let (reason, events) = refusal("alices").await?;
    ensure!(!reason.contains("alice\"") && events == 1, "{reason}: {events} events");
    let mut own = server.connect().auth("token", BOB).open().await?;
    ensure!(own.session() != "alices");
    ensure!(own.call_ok("history:get", json!({})).await?.to_string().find("private").is_none());
    Ok(())
}

async fn tokens_stay_out_of_the_log(ground: Rc<Ground>) -> Result<()> {
    let server = with_tokens(&ground).env("RUST_LOG", "trace").start().await?;
    let mut client = server.connect().auth("token", ALICE).open().await?;
    client.say(&script(&[run("echo a-canary-of-arguments")])).await?;
    client.approve_all().await?;
    let log = server.setup().log();
    for canary in [ALICE, BOB, "a-canary-of-arguments"] {
        ensure!(!log.contains(canary), "{canary} is in the log");
    }
    Ok(())
}
