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
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = cases![
        an_exported_audit_is_verified_offline_and_any_change_of_it_is_found;
        the_audit_goes_on_after_a_crash_and_outlives_what_is_trimmed;
        the_audit_of_a_deleted_session_is_exported;
        the_sink_has_every_record_after_a_crash;
    ];
    cases.extend(cases![the_audit_is_followed_while_servers_run needs Redis;].into_iter().map(Case::on_redis));
    cases
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

async fn the_audit_goes_on_after_a_crash_and_outlives_what_is_trimmed(ground: Rc<Ground>) -> Result<()> {
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
    let (anchor, head) = (&lines[0]["anchor"]["number"], &lines[lines.len() - 1]["head"]["number"]);
    ensure!(*anchor == 0, "the beginning is missing: {}", lines[0]);
    // The log has at most a hundred events, and a tenth of that more.
    let seq = |line: &Value| line["event"].as_str()?.split('-').nth(1)?.parse::<u64>().ok();
    let last = lines.iter().filter_map(seq).max();
    ensure!(last.is_some_and(|seq| seq > 200), "nothing was trimmed: {last:?}");
    // Judged, started, settled: forty times.
    ensure!(*head == 120, "the chain has a gap: {head}");
    let (whole, said) = verified(ground.folder(), "exported")?;
    ensure!(whole && said.contains("from the first one on"), "{said}");
    Ok(())
}

async fn the_audit_of_a_deleted_session_is_exported(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config("policy.rules = [{ decision = 'allow' }]");
    let server = setup.start().await?;
    let mut client = server.connect().session("audited").open().await?;
    client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
    client.until("turn:completed").await?;
    client.call_ok("session:delete", json!({ "sessionId": "audited" })).await?;
    ends(server).await?;
    let lines = exported(ground.folder())?;
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["record"]["kind"].as_str()).collect();
    ensure!(kinds == ["judged", "started", "settled"], "{kinds:?}");
    let (whole, said) = verified(ground.folder(), "exported")?;
    ensure!(whole && said.contains("written under this key"), "{said}");
    // A session that has the id now has an audit of its own.
    let server = setup.start().await?;
    let mut client = server.connect().session("audited").open().await?;
    client.say(&script(&[run("true"), run("true"), json!({ "text": "over" })])).await?;
    client.until("turn:completed").await?;
    ends(server).await?;
    ensure!(exported(ground.folder())?.len() == 8);
    let output = audit(ground.folder(), &["export", "audited"])?;
    let said = String::from_utf8(output.stderr)?;
    let born = said.split("--born ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let born = born.with_context(|| format!("the other audit is not named: {said}"))?;
    let output = audit(ground.folder(), &["export", "audited", "--born", born])?;
    ensure!(output.status.success() && output.stdout.split(|byte| *byte == b'\n').count() == 6, "{said}");
    Ok(())
}

/// The numbers of the records in lines of a stream.
fn numbers(text: &str) -> Result<Vec<u64>> {
    let number = |line: &str| -> Result<u64> {
        let line: Value = serde_json::from_str(line)?;
        ensure!(line["session"] == "audited" && line["cursor"].is_string() && line["owner"].is_string(), "{line}");
        line["link"]["number"].as_u64().context("no number")
    };
    text.lines().map(number).collect()
}

async fn the_sink_has_every_record_after_a_crash(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config("policy.rules = [{ decision = 'allow' }]\naudit.sink = 'audit.jsonl'");
    let server = setup.start().await?;
    let mut client = server.connect().session("audited").open().await?;
    for _ in 0..3 {
        client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
        client.until("turn:completed").await?;
    }
    server.crash().await?;
    let server = setup.start().await?;
    let sink = ground.folder().join("audit.jsonl");
    let all = async {
        loop {
            let text = fs::read_to_string(&sink).unwrap_or_default();
            // A crash may have cut a line off; its record comes again.
            let whole: Vec<_> = text.lines().filter(|line| line.ends_with('}')).collect();
            let found = numbers(&whole.join("\n"))?;
            if found.contains(&9) {
                return anyhow::Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut found = tokio::time::timeout(Duration::from_secs(30), all).await.context("the sink lags")??;
    found.dedup();
    ensure!(found == (1..=9).collect::<Vec<_>>(), "{found:?}");
    ends(server).await
}

/// `lockkeeper audit export --follow` over the Redis of the case.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(ground: &Ground, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(&Binaries::find()?.server);
        let url = ground.redis_url().context("the case has no Redis")?;
        command.args(["--set", "store.kind=redis", "audit", "export", "--follow"]).args(arguments);
        command.current_dir(ground.folder()).env_clear().env("REDIS_URL", url).stdin(Stdio::null());
        let mut child = tokio::process::Command::from(command).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { child, lines })
    }

    /// The next lines, up to the record with this number.
    async fn until(&mut self, number: u64) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let all = async {
            loop {
                let line = self.lines.next_line().await?.context("the command has ended")?;
                let last = numbers(&line)?;
                found.push(line);
                if last == [number] {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.context("the records do not come")??;
        Ok(found)
    }
}

async fn the_audit_is_followed_while_servers_run(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("policy.rules = [{ decision = 'allow' }]").start().await?;
    let mut client = server.connect().session("audited").open().await?;
    let mut turn = async || {
        client.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
        client.until("turn:completed").await
    };
    turn().await?;
    let mut following = Following::start(&ground, &[])?;
    ensure!(numbers(&following.until(3).await?.join("\n"))? == [1, 2, 3]);
    turn().await?;
    let lines = following.until(6).await?;
    ensure!(numbers(&lines.join("\n"))? == [4, 5, 6]);
    let last: Value = serde_json::from_str(&lines[2])?;
    following.child.kill().await?;
    turn().await?;
    let mut following = Following::start(&ground, &["--after", last["cursor"].as_str().context("no cursor")?])?;
    let found = numbers(&following.until(9).await?.join("\n"))?;
    ensure!(found.ends_with(&[7, 8, 9]), "records are left out: {found:?}");
    ends(server).await
}
