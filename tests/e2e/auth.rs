use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context as _, Result, ensure};
use lockkeeper_tests::{Server, Setup};
use serde_json::json;
use std::{fs, rc::Rc, time::Duration};
use tokio::time::{interval, timeout};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_bad_token_is_refused_before_anything_is_created;
        a_good_token_opens_a_session_and_another_principal_learns_nothing_of_it;
        tokens_stay_out_of_the_log;
        token_removed_from_the_file_ends_its_connections;
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

/// Waits until the server has logged this so many times.
async fn logged(server: &Server, what: &str, times: usize) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let mut look = interval(Duration::from_millis(50));
    let waited = timeout(PATIENCE, async {
        while server.setup().log().matches(what).count() < times {
            look.tick().await;
        }
    });
    waited.await.with_context(|| format!("the log does not hold {what:?}: {}", server.setup().log()))
}

/// Covers: S3-revocation
async fn token_removed_from_the_file_ends_its_connections(ground: Rc<Ground>) -> Result<()> {
    let setup = with_tokens(&ground).config("auth.reload_secs = 1");
    let server = setup.start().await?;
    let connect = |token: &str| server.connect().auth("token", token);
    let mut alice = connect(ALICE).session("alices").open().await?;
    let mut bob = connect(BOB).session("bobs").open().await?;
    // What cannot be read changes nothing, and the log says what is wrong.
    let file = setup.write()?;
    let good = fs::read_to_string(&file)?;
    fs::write(&file, good.replace(ALICE, "short"))?;
    server.hang_up()?;
    logged(&server, "can be guessed", 1).await?;
    ensure!(alice.call_ok("history:get", json!({})).await?["ok"] == true);
    // Without a signal: the file is looked at.
    let line = good.lines().find(|line| line.contains(ALICE)).context("no line of hers")?;
    fs::write(&file, good.replace(line, ""))?;
    ensure!(alice.until("error").await?.meta["code"] == "unauthenticated");
    alice.until_closed().await?;
    ensure!(bob.call_ok("history:get", json!({})).await?["ok"] == true, "another user was disturbed");
    let mut again = connect(ALICE).session("alices").open_raw().await?;
    ensure!(again.until("error").await?.meta["code"] == "unauthenticated");
    // She comes back with a token of the new configuration, to the same session.
    let fresh = "a-fresh-token-of-alice-77d1";
    fs::write(&file, good.replace(ALICE, fresh))?;
    server.hang_up()?;
    logged(&server, "the logins have changed", 2).await?;
    let alice = connect(fresh).session("alices").open().await?;
    ensure!(alice.ready["resumed"] == true, "{}", alice.ready);
    Ok(())
}
