//! A Redis in place of the file, for all suites whose cases keep something in it.

use crate::{
    case::{Case, Ground, cases},
    conversation, crash, edge, gate, hostile, identity, output, policy, resume, servers, sessions, sharing,
    slow_reader, storage, vendors,
};
use anyhow::{Result, ensure};
use lockkeeper_tests::{Redis, Setup};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    let again = [
        conversation::cases(),
        edge::cases(),
        gate::cases(),
        hostile::cases(),
        identity::cases(),
        output::cases(),
        policy::cases(),
        resume::cases(),
        servers::cases(),
        sessions::cases(),
        sharing::cases(),
        slow_reader::cases(),
        storage::cases(),
        // What vendors say is the same over every store; what is kept of it is not.
        vendors::replay::cases(),
    ];
    let again = again.into_iter().flatten().filter(Case::has_no_tools);
    let own = cases![
        serve_without_its_redis_ends_with_69 needs Redis;
        dev_without_its_redis_says_why_and_keeps_a_file needs Redis;
        dev_takes_a_redis_that_answers needs Redis;
        kill_9_of_the_server_10_rounds needs Redis;
    ];
    again.map(Case::on_redis).chain(own.into_iter().map(Case::on_redis)).collect()
}

async fn serve_without_its_redis_ends_with_69(ground: Rc<Ground>) -> Result<()> {
    let url = format!("redis+unix://:very-secret@{}/none.sock", ground.folder().display());
    let setup = ground.setup().config("store.redis.start_timeout_ms = 500").env("REDIS_URL", &url);
    let (code, said) = setup.fail().await?;
    ensure!(code == Some(69), "{code:?}: {said}");
    ensure!(said.contains("none.sock") && said.contains("cannot be reached"), "{said}");
    ensure!(!said.contains("very-secret"), "{said}");
    Ok(())
}

async fn dev_without_its_redis_says_why_and_keeps_a_file(ground: Rc<Ground>) -> Result<()> {
    let url = format!("redis+unix://{}/none.sock", ground.folder().display());
    let server = Setup::dev(ground.folder()).env("REDIS_URL", &url).start().await?;
    let mut client = server.connect().open().await?;
    client.say("hello").await?;
    client.until("turn:completed").await?;
    let said = server.setup().log();
    ensure!(said.contains("! embedded") && said.contains("none.sock cannot be reached"), "{said}");
    ensure!(ground.folder().join(".lockkeeper/store.redb").exists(), "there is no file");
    Ok(())
}

async fn dev_takes_a_redis_that_answers(ground: Rc<Ground>) -> Result<()> {
    let redis = Redis::start(&ground.folder().join("another"))?;
    let server = Setup::dev(ground.folder()).env("REDIS_URL", &redis.url()).start().await?;
    let mut client = server.connect().open().await?;
    client.say("a word to be kept").await?;
    client.until("turn:completed").await?;
    let said = server.setup().log();
    ensure!(said.contains("+ redis") && said.contains(&redis.url()), "{said}");
    ensure!(!ground.folder().join(".lockkeeper/store.redb").exists(), "there is a file all the same");
    // The session outlives the server.
    let session = client.session().to_owned();
    drop(client);
    let server = server.crash().await?.start().await?;
    let mut client = server.connect().session(&session).open().await?;
    let history = client.call_ok("history:get", json!({})).await?;
    ensure!(history.to_string().contains("a word to be kept"), "{history}");
    Ok(())
}

async fn kill_9_of_the_server_10_rounds(ground: Rc<Ground>) -> Result<()> {
    crash::with_seed(&ground, 10).await
}
