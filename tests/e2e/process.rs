use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::os::unix::process::ExitStatusExt;
use std::{fs, rc::Rc, time::Instant};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        sigterm_lets_running_turns_finish_and_ends_with_zero;
        a_second_sigterm_ends_at_once;
        a_locked_store_is_reported_with_69;
        all_problems_of_a_configuration_are_named_with_78;
        serve_never_takes_the_demo_by_itself;
        dev_says_what_it_chose_and_works_without_anything;
        health_and_readiness_answer;
    ]
}

async fn sigterm_lets_running_turns_finish_and_ends_with_zero(ground: Rc<Ground>) -> Result<()> {
    let mut server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let session = client.session().to_owned();
    let text = (0..60).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
    client.say(&script(&[json!({ "text": text, "delay_ms": 20 })])).await?;
    client.until("agent:delta").await?;
    server.terminate()?;
    let status = server.ended().await?;
    ensure!(status.code() == Some(0), "{status}");
    let server = server.setup().start().await?;
    let mut client = server.connect().session(&session).open().await?;
    let history = client.call_ok("history:get", json!({})).await?;
    ensure!(history.to_string().contains(&text), "the turn was not finished before the end: {history}");
    Ok(())
}

async fn a_second_sigterm_ends_at_once(ground: Rc<Ground>) -> Result<()> {
    let mut server = ground.setup().config("server.drain_secs = 600").start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[json!({ "text": "begun", "error": "hang" })])).await?;
    client.until("agent:delta").await?;
    server.terminate()?;
    // The first one is known to be handled when new work is refused.
    loop {
        match client.call("message", "more").await {
            Ok(ack) if ack["code"] == "server_draining" => break,
            Ok(ack) if ack["ok"] == true || ack["code"] == "busy" => {}
            Ok(ack) => anyhow::bail!("{ack}"),
            Err(_) => break,
        }
    }
    let asked = Instant::now();
    server.terminate()?;
    let status = server.ended().await?;
    ensure!(asked.elapsed().as_secs() < 10, "it took {:?}", asked.elapsed());
    ensure!(status.code().is_some() || status.signal().is_some());
    Ok(())
}

async fn a_locked_store_is_reported_with_69(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let (code, said) = server.setup().fail().await?;
    ensure!(code == Some(69), "exit code {code:?}: {said}");
    ensure!(said.contains("store.redb"), "the file is not named: {said}");
    let mut client = server.connect().open().await.context("the first server must not suffer")?;
    client.say("hello").await?;
    Ok(())
}

async fn all_problems_of_a_configuration_are_named_with_78(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config(
        "server.prot = 1
         session.max_steps = 0
         session.max_history_messages = 51
         sandbox.runtime = 'vmware'
         auth.mode = 'jwt-or-so'",
    );
    let (code, said) = setup.fail().await?;
    ensure!(code == Some(78), "exit code {code:?}: {said}");
    for named in ["server.prot", "max_steps", "max_history_messages", "vmware", "jwt-or-so", "lockkeeper.toml"] {
        ensure!(said.contains(named), "{named} is not named: {said}");
    }
    Ok(())
}

async fn serve_never_takes_the_demo_by_itself(ground: Rc<Ground>) -> Result<()> {
    let unnamed = lockkeeper_tests::Setup::serve_bare(ground.folder());
    let (code, said) = unnamed.fail().await?;
    ensure!(code == Some(78), "exit code {code:?}: {said}");
    for section in ["llm.provider", "store.kind", "sandbox.runtime"] {
        ensure!(said.contains(section), "{section} is not named: {said}");
    }
    Ok(())
}

async fn dev_says_what_it_chose_and_works_without_anything(ground: Rc<Ground>) -> Result<()> {
    let setup = lockkeeper_tests::Setup::dev(ground.folder());
    let server = setup.start().await?;
    let said = setup.log();
    for word in ["model", "demo", "sandbox", "local", "store", "embedded", "approval", server.url()] {
        ensure!(said.contains(word), "{word} is missing: {said}");
    }
    let token = said.split("token=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let connect = token.map_or_else(|| server.connect(), |token| server.connect().auth("token", token));
    let mut client = connect.open().await?;
    client.say(&script(&[run("echo out of the box")])).await?;
    client.approve_all().await?;
    ensure!(fs::metadata(ground.folder().join(".lockkeeper/store.redb"))?.len() > 0);
    Ok(())
}

async fn health_and_readiness_answer(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    for path in ["/healthz", "/readyz"] {
        let answer = crate::hostile::http(&server, &format!("GET {path}"), "").await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    Ok(())
}
