//! The ceilings of a turn, over the real server.

use crate::{
    case::Ground,
    conversation::named,
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::rc::Rc;

const ALLOW: &str = "[[policy.rules]]\ndecision = 'allow'";

pub(super) async fn a_turn_has_so_many_calls_and_so_much_output(ground: Rc<Ground>) -> Result<()> {
    let limits = format!("session.max_calls_per_turn = 3\nsession.max_turn_output_bytes = 2000\n{ALLOW}");
    let server = ground.setup().config(&limits).start().await?;
    let mut client = server.connect().open().await?;
    let list = || ("list_files", json!({}));
    client.say(&script(&[calls(&[list(), list()]), calls(&[list(), list()]), json!({ "text": "enough" })])).await?;
    let events = client.approve_all().await?;
    let refused: Vec<_> = named(&events, "tool:error").collect();
    ensure!(refused.len() == 1 && refused[0].payload["code"] == "turn_limit", "{refused:?}");
    let said = refused[0].payload["message"].as_str().context("no message")?;
    ensure!(said.contains("max_calls_per_turn"), "{said}");

    client.say(&script(&[run("seq 1000"), run("echo more"), json!({ "text": "enough" })])).await?;
    let events = client.approve_all().await?;
    let refused = named(&events, "tool:error").next().context("nothing was refused")?;
    let said = refused.payload["message"].as_str().context("no message")?;
    ensure!(refused.payload["code"] == "turn_limit" && said.contains("max_turn_output_bytes"), "{refused:?}");
    ensure!(named(&events, "agent:response").next().is_some_and(|answer| answer.text() == "enough"));
    Ok(())
}

pub(super) async fn a_turn_that_takes_too_long_ends_and_says_so(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config(&format!("session.max_turn_secs = 1\n{ALLOW}")).start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("sleep 600"), json!({ "text": "never said" })])).await?;
    let error = client.until("tool:error").await?;
    ensure!(error.payload["code"] == "turn_limit", "{error:?}");
    let failed = client.until("agent:error").await?;
    let said = failed.payload["message"].as_str().unwrap_or_default();
    ensure!(failed.payload["code"] == "turn_limit" && said.contains("max_turn_secs"), "{failed:?}");
    ensure!(client.until("turn:completed").await?.payload["stopReason"] == "turn_limit");
    client.say(&script(&[json!({ "text": "the next turn" })])).await?;
    ensure!(client.until("agent:response").await?.text() == "the next turn");
    Ok(())
}
