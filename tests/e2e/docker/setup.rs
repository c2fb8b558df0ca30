//! Which sandboxes a server takes, and what it says where it cannot have them.

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{PATIENCE, Setup, docker};
use serde_json::json;
use std::{rc::Rc, time::Duration};
use tokio::time::{interval, timeout};

pub(crate) fn on_docker() -> Vec<Case> {
    cases![
        dev_takes_containers_where_they_are_ready;
        a_missing_image_is_told_with_the_command_that_makes_it;
        the_containers_of_a_killed_server_end_by_themselves;
        a_container_that_somebody_removed_is_told_and_replaced;
        an_end_of_the_server_and_of_its_sessions_leaves_no_container;
        sandboxes_that_wait_for_sessions_are_taken_and_end_with_their_server;
    ]
}

pub(crate) fn without_an_engine() -> Vec<Case> {
    cases![
        serve_waits_for_an_engine_and_then_says_why_with_69;
        dev_takes_the_local_runtime_and_says_why;
    ]
}

async fn dev_takes_containers_where_they_are_ready(ground: Rc<Ground>) -> Result<()> {
    let settings = ground.docker_settings().replace("sandbox.runtime = 'docker'", "");
    let setup = Setup::dev(ground.folder()).config(&settings);
    let server = setup.start().await?;
    let said = setup.log();
    let sandbox = said.lines().find(|line| line.trim_start().starts_with("sandbox")).context("no such row")?;
    ensure!(sandbox.contains("docker"), "{said}");
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("id -u")])).await?;
    let events = client.approve_all().await?;
    let output = events.iter().find(|event| event.name == "tool:output").context("no output")?;
    let user: u32 = stdout(output).lines().find_map(|line| line.trim().parse().ok()).context("no number")?;
    ensure!(user >= 100_000, "a user of the host's: {user}");
    ensure!(ground.sandboxes()? == 1, "one session, one container");
    Ok(())
}

async fn a_missing_image_is_told_with_the_command_that_makes_it(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config("sandbox.docker.image = 'lockkeeper/nobody-built-this:0'");
    let (code, said) = setup.fail().await?;
    ensure!(code == Some(69), "exit code {code:?}: {said}");
    for named in ["lockkeeper/nobody-built-this:0", "lockkeeper image build"] {
        ensure!(said.contains(named), "{named} is not named: {said}");
    }
    Ok(())
}

/// No janitor comes: the server is dead, and no other one starts.
async fn the_containers_of_a_killed_server_end_by_themselves(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("sandbox.docker.idle_secs = 5").start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("true")])).await?;
    client.approve_all().await?;
    ensure!(ground.sandboxes()? == 1, "{} containers", ground.sandboxes()?);
    server.crash().await?;
    until_sandboxes(&ground, 0).await
}

async fn a_container_that_somebody_removed_is_told_and_replaced(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo first > mark")])).await?;
    client.approve_all().await?;
    for container in docker::containers(&ground.deployment())? {
        docker::remove(&container)?;
    }
    // Whether the server has heard of it or hears of it by the call: the session goes on, in the same turn or in the next.
    timeout(PATIENCE, async {
        loop {
            client.say(&script(&[run("echo again; ls -A")])).await?;
            let events = client.approve_all().await?;
            let output = events.iter().find(|event| event.name == "tool:output");
            if let Some(output) = output.filter(|output| stdout(output).contains("again")) {
                ensure!(!stdout(output).contains("mark"), "the sandbox is not a new one: {output:?}");
                return Ok(());
            }
        }
    })
    .await
    .context("the session got no new sandbox")?
}

async fn an_end_of_the_server_and_of_its_sessions_leaves_no_container(ground: Rc<Ground>) -> Result<()> {
    let mut server = ground.server().await?;
    let mut ended = server.connect().open().await?;
    ended.say(&script(&[run("sleep 600 & echo started")])).await?;
    ended.approve_all().await?;
    ensure!(ended.call_bare("session:end").await?["ok"] == true);
    until_sandboxes(&ground, 0).await?;
    server.terminate()?;
    server.ended().await?;
    ensure!(ground.sandboxes()? == 0, "{} containers are left", ground.sandboxes()?);
    Ok(())
}

async fn sandboxes_that_wait_for_sessions_are_taken_and_end_with_their_server(ground: Rc<Ground>) -> Result<()> {
    let mut server = ground.setup().config("session.warm_sandboxes = 1").start().await?;
    until_sandboxes(&ground, 1).await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo from a warm one")])).await?;
    let events = client.approve_all().await?;
    ensure!(events.iter().any(|event| event.name == "tool:output" && stdout(event).contains("from a warm one")));
    // Another one takes its place.
    until_sandboxes(&ground, 2).await?;
    ensure!(client.call_bare("session:end").await?["ok"] == true);
    until_sandboxes(&ground, 1).await?;
    server.terminate()?;
    server.ended().await?;
    until_sandboxes(&ground, 0).await
}

async fn serve_waits_for_an_engine_and_then_says_why_with_69(ground: Rc<Ground>) -> Result<()> {
    let socket = ground.folder().join("nobody.sock");
    let setup = ground.setup().config(&format!(
        "sandbox.runtime = 'docker'
         sandbox.start_deadline_secs = 2
         sandbox.docker.host = 'unix://{}'",
        socket.display()
    ));
    let (code, said) = setup.fail().await?;
    ensure!(code == Some(69), "exit code {code:?}: {said}");
    for named in ["nobody.sock", "waited for 2 s", "waiting for the Docker engine"] {
        ensure!(said.contains(named), "{named:?} is not said: {said}");
    }
    Ok(())
}

async fn dev_takes_the_local_runtime_and_says_why(ground: Rc<Ground>) -> Result<()> {
    let socket = ground.folder().join("nobody.sock");
    let host = format!("sandbox.docker.host = 'unix://{}'", socket.display());
    let setup = Setup::dev(ground.folder()).config(&host);
    let server = setup.start().await?;
    let said = setup.log();
    let sandbox = said.lines().find(|line| line.trim_start().starts_with("sandbox")).context("no such row")?;
    for named in ["local", "nobody.sock", "lockkeeper doctor docker"] {
        ensure!(sandbox.contains(named), "{named:?} is not said: {said}");
    }
    let mut client = server.connect().open().await?;
    client.say(&script(&[json!({ "text": "all the same" })])).await?;
    ensure!(client.until("agent:response").await?.text() == "all the same");
    Ok(())
}

/// Waits until the engine has this many containers of the case.
pub(super) async fn until_sandboxes(ground: &Ground, wanted: usize) -> Result<()> {
    let mut look = interval(Duration::from_millis(100));
    let reached = timeout(PATIENCE * 2, async {
        loop {
            look.tick().await;
            if ground.sandboxes()? == wanted {
                return anyhow::Ok(());
            }
        }
    });
    reached.await.with_context(|| format!("{:?} containers, and not {wanted}", ground.sandboxes()))?
}
