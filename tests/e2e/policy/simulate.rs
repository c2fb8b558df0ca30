//! A file of rules, checked and played against the past before it is put in force.

use super::each;
use crate::case::Ground;
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::Binaries;
use serde_json::json;
use std::{
    fs,
    process::{Command, Stdio},
    rc::Rc,
};

/// The exit code, and what came on standard output and on standard error.
fn policy(ground: &Ground, args: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(&Binaries::find()?.server);
    command.arg("policy").args(args).args(["--config", "lockkeeper.toml"]);
    command.env_clear().envs(ground.redis_url().map(|url| ("REDIS_URL", url)));
    let output = command.current_dir(ground.folder()).stdin(Stdio::null()).output()?;
    let [out, err] = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    Ok((output.status.code(), out, err))
}

pub(super) async fn rules_are_played_against_what_was_decided(ground: Rc<Ground>) -> Result<()> {
    let own = "[[policy.rules]]\ntool = 'write_file'\ndecision = 'deny'";
    let mut server = ground.setup().config(own).start().await?;
    let mut client = server.connect().open().await?;
    let file = json!({ "path": "a", "content": "x" });
    each(&mut client, &[("read_file", json!({ "path": "secret" }), "ask"), ("write_file", file, "denied")]).await?;
    each(&mut client, &[("list_files", json!({}), "ask")]).await?;
    let folder = ground.folder();
    fs::write(folder.join("new.toml"), "[[rules]]\ntool = 'read_*'\ndecision = 'allow'\n")?;
    let (code, _, said) = policy(&ground, &["simulate", "new.toml"])?;
    if ground.redis_url().is_some() {
        ensure!(code == Some(0), "a Redis can be read beside the server: {code:?} {said}");
    } else {
        ensure!(code == Some(69) && said.contains("in use"), "the server has the store: {code:?} {said}");
    }
    server.terminate()?;
    server.ended().await?;

    let (code, played, warned) = policy(&ground, &["simulate", "new.toml", "--save", "logs.jsonl"])?;
    ensure!(code == Some(0), "{code:?} {warned}");
    let alarming = played.lines().find(|line| line.starts_with('!')).context("no alarm")?;
    ensure!(alarming.contains("workspace.read_file") && alarming.contains("rule 1 of new.toml"), "{alarming}");
    ensure!(alarming.contains("denied by local") && alarming.contains("would be: allow"), "{alarming}");
    ensure!(warned.contains("was denied by a human") && warned.matches("warning").count() == 1, "{warned}");
    ensure!(played.contains("3 calls; rules have a say in 3, and would decide 1 otherwise"), "{played}");
    ensure!(played.lines().any(|line| line.contains("write_file") && line.contains("deny (rule 1 for")), "{played}");
    let (_, again, _) = policy(&ground, &["simulate", "new.toml", "--log", "logs.jsonl"])?;
    ensure!(again == played, "the file says something else than the store: {again}");
    let (_, changes, _) = policy(&ground, &["simulate", "new.toml", "--log", "logs.jsonl", "--changes"])?;
    ensure!(changes.lines().filter(|line| line.contains("was: ")).count() == 1, "{changes}");
    Ok(())
}

pub(super) async fn a_file_of_rules_is_checked_whole(ground: Rc<Ground>) -> Result<()> {
    let folder = ground.folder();
    fs::write(folder.join("lockkeeper.toml"), "")?;
    fs::write(folder.join("good.toml"), "version = 1\n[[rules]]\ndecision = 'ask'\n")?;
    let (code, said, _) = policy(&ground, &["check", "good.toml"])?;
    ensure!(code == Some(0) && said.contains("1 rules, no problems"), "{code:?} {said}");
    let bad = "[[rules]]\ntol = 'a'\ndecision = 'maybe'\n\n[[rules]]\ntool = 'b'\n";
    fs::write(folder.join("bad.toml"), bad)?;
    for args in [&["check", "bad.toml"][..], &["simulate", "bad.toml"]] {
        let (code, _, said) = policy(&ground, args)?;
        ensure!(code == Some(78), "{code:?} {said}");
        for named in ["bad.toml:2", "bad.toml:3", "bad.toml:5", "`tol`", "`maybe`", "`decision` is missing"] {
            ensure!(said.contains(named), "{named} is not named: {said}");
        }
    }
    let (code, _, said) = policy(&ground, &["check", "none.toml"])?;
    ensure!(code == Some(78) && said.contains("none.toml"), "{code:?} {said}");
    Ok(())
}
