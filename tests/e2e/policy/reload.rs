//! Rules that change while the server runs.

use super::{each, gate};
use crate::{
    case::Ground,
    models::get,
    script::{calls, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Server};
use serde_json::{Value, json};
use std::{fs, rc::Rc, time::Duration};
use tokio::time::{interval, timeout};

const DENIES: &str = "[[rules]]\ntool = 'list_files'\ndecision = 'deny'\n";
const ALLOWS: &str = "version = 1\n[[rules]]\ntool = 'list_files'\ndecision = 'allow'\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// What `/readyz` says.
async fn readiness(server: &Server) -> Result<Value> {
    Ok(get(server, "/readyz", &[]).await?.1)
}

/// Waits until the rules that cannot be used are told, or are not any more.
async fn until_warned(server: &Server, warned: bool) -> Result<Value> {
    let mut look = interval(Duration::from_millis(50));
    let waited = timeout(PATIENCE, async {
        loop {
            look.tick().await;
            let said = readiness(server).await?;
            if said["warnings"].as_array().is_some_and(|warnings| warnings.is_empty() != warned) {
                return anyhow::Ok(said);
            }
        }
    });
    waited.await.context("the warning did not come, or stayed")?
}

/// Asks for the listing until it comes to this.
async fn until_it_does(client: &mut Client, did: &str) -> Result<()> {
    let waited = timeout(PATIENCE, async {
        loop {
            if gate(client, "list_files", json!({})).await?.did == did {
                return anyhow::Ok(());
            }
        }
    });
    waited.await.with_context(|| format!("it never came to {did}"))?
}

pub(super) async fn s12_rules_change_by_their_file_and_a_bad_one_changes_nothing(ground: Rc<Ground>) -> Result<()> {
    let file = ground.folder().join("rules.toml");
    fs::write(&file, ALLOWS)?;
    let config =
        "policy.file = 'rules.toml'\npolicy.reload_secs = 1\n[[policy.rules]]\ntool = 'read_file'\ndecision = 'deny'";
    let server = ground.setup().config(config).start().await?;
    let mut client = server.connect().open().await?;
    let outcome = gate(&mut client, "list_files", json!({})).await?;
    ensure!(outcome.did == "run" && outcome.why.contains("rule 1 of rules.toml"), "{outcome:?}");
    each(&mut client, &[("read_file", json!({ "path": "a" }), "denied")]).await?;

    fs::write(&file, "[[rules]]\ntool = 'list_files'\ndecision = 'perhaps'\n")?;
    let said = until_warned(&server, true).await?;
    ensure!(said["ready"] == true && said["warnings"][0]["code"] == "policy_invalid", "{said}");
    let log = server.setup().log();
    ensure!(log.contains("rules.toml:3") && log.contains("perhaps"), "the log does not say what is wrong: {log}");
    each(&mut client, &[("list_files", json!({}), "run"), ("read_file", json!({ "path": "a" }), "denied")]).await?;

    fs::write(&file, DENIES)?;
    until_warned(&server, false).await?;
    each(&mut client, &[("list_files", json!({}), "denied")]).await?;
    fs::remove_file(&file)?;
    until_warned(&server, true).await?;
    each(&mut client, &[("list_files", json!({}), "denied")]).await
}

pub(super) async fn a_sighup_reads_the_rules_of_the_configuration_too(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config("policy.reload_secs = 0");
    let server = setup.start().await?;
    let mut client = server.connect().open().await?;
    each(&mut client, &[("list_files", json!({}), "ask")]).await?;
    setup.config("[[policy.rules]]\ntool = 'list_files'\ndecision = 'allow'").write()?;
    each(&mut client, &[("list_files", json!({}), "ask")]).await?;
    server.hang_up()?;
    until_it_does(&mut client, "run").await
}

pub(super) async fn a_rule_that_comes_while_a_call_waits_refuses_it(ground: Rc<Ground>) -> Result<()> {
    let file = ground.folder().join("rules.toml");
    fs::write(&file, "")?;
    let server = ground.setup().config("policy.file = 'rules.toml'\npolicy.reload_secs = 1").start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[calls(&[("list_files", json!({}))]), json!({ "text": "over" })])).await?;
    let asked = client.until("tool:approval_required").await?;
    fs::write(&file, DENIES)?;
    let resolved = client.until("tool:approval_resolved").await?;
    ensure!(resolved.payload["decision"] == "denied" && resolved.payload["by"].is_null(), "{resolved:?}");
    let error = client.until("tool:error").await?;
    ensure!(
        error.payload["code"] == "denied"
            && error.payload["message"].as_str().is_some_and(|said| said.contains("rules.toml")),
        "{error:?}"
    );
    client.until("turn:completed").await?;
    let late = client.call("tool:approval", json!({ "callId": asked.call(), "approved": true })).await?;
    ensure!(late["code"] == "already_resolved", "{late}");
    Ok(())
}
