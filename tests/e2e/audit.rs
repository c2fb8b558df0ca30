use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, Server};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    rc::Rc,
};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        an_exported_audit_is_verified_offline_and_any_change_of_it_is_found;
        the_audit_goes_on_after_a_crash_and_its_beginning_may_be_trimmed;
    ]
}

/// Runs `lockkeeper audit ..` over the store that lies in the folder.
fn audit(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(&Binaries::find()?.server);
    command.args(["--set", "store.kind=embedded", "audit"]).args(arguments);
    Ok(command.current_dir(folder).env_clear().stdin(Stdio::null()).output()?)
}

/// Ends the server, so that its store can be read.
async fn ends(mut server: Server) -> Result<()> {
    server.terminate()?;
    let status = server.ended().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn exported(folder: &Path) -> Result<Vec<Value>> {
    let output = audit(folder, &["export", "audited"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    fs::write(folder.join("exported"), &text)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn verified(folder: &Path, file: &str) -> Result<(bool, String)> {
    let output = audit(folder, &["verify", file])?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

async fn an_exported_audit_is_verified_offline_and_any_change_of_it_is_found(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().session("audited").open().await?;
    client.say(&script(&[run("echo one"), run("echo two"), json!({ "text": "over" })])).await?;
    for approved in [true, false] {
        let asked = client.until("tool:approval_required").await?;
        client.approve(asked.call().context("no call")?, approved).await?;
    }
    client.until("turn:completed").await?;
    ends(server).await?;
    let lines = exported(ground.folder())?;
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["record"]["kind"].as_str()).collect();
    let each = ["judged", "asked", "decided"];
    ensure!(kinds == [&each[..], &["started", "settled"], &each, &["settled"]].concat(), "{kinds:?}");
    let decided: Vec<_> = lines.iter().filter(|line| line["record"]["kind"] == "decided").collect();
    ensure!(decided[0]["record"]["decision"] == "approved" && decided[1]["record"]["decision"] == "denied");
    ensure!(decided.iter().all(|line| line["record"]["by"].is_string() && line["record"]["digest"].is_string()));
    ensure!(!fs::read_to_string(ground.folder().join("exported"))?.contains("echo one"), "arguments are in an audit");
    let (whole, said) = verified(ground.folder(), "exported")?;
    ensure!(whole && said.contains("written under this key"), "{said}");
    let text = fs::read_to_string(ground.folder().join("exported"))?;
    let all: Vec<_> = text.split_inclusive('\n').collect();
    let without_a_line = |at: usize| [&all[..at], &all[at + 1..]].concat().concat();
    let changes = [
        text.replacen("\"approved\"", "\"denied\"", 1),
        text.replacen("\"decision\":\"denied\"", "\"decision\":\"approved\"", 1),
        without_a_line(2),
        without_a_line(all.len() - 2),
        without_a_line(all.len() - 1),
        text.replacen("\"at\":1", "\"at\":2", 1),
    ];
    for (at, changed) in changes.iter().enumerate() {
        ensure!(*changed != text, "change {at} changes nothing");
        fs::write(ground.folder().join("changed"), changed)?;
        let (whole, said) = verified(ground.folder(), "changed")?;
        ensure!(!whole, "change {at} was not found: {said}");
    }
    Ok(())
}

async fn the_audit_goes_on_after_a_crash_and_its_beginning_may_be_trimmed(ground: Rc<Ground>) -> Result<()> {
    let settings = "session.max_log_events = 100\npolicy.rules = [{ decision = 'allow' }]";
    let setup = ground.setup().config(settings);
    let server = setup.start().await?;
    let mut client = server.connect().session("audited").open().await?;
    for _ in 0..2 {
        client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
        client.until("turn:completed").await?;
    }
    server.crash().await?;
    let server = setup.start().await?;
    let mut client = server.connect().session("audited").open().await?;
    for _ in 0..38 {
        client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
        client.until("turn:completed").await?;
    }
    ends(server).await?;
    let lines = exported(ground.folder())?;
    let (trimmed, head) = (&lines[0]["anchor"]["number"], &lines[lines.len() - 1]["head"]["number"]);
    ensure!(trimmed.as_u64().is_some_and(|number| number > 0), "nothing was trimmed: {}", lines[0]);
    // Judged, started, settled: forty times.
    ensure!(*head == 120, "the chain has a gap: {head}");
    let (whole, said) = verified(ground.folder(), "exported")?;
    ensure!(whole && said.contains("does not keep any more"), "{said}");
    Ok(())
}
