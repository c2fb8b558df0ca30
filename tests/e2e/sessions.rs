//! A user's sessions: listed, renamed and deleted, on whichever server.

use crate::{
    case::{Case, Ground, cases},
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        sessions_are_listed_with_their_titles_and_outlive_a_crash;
        a_deleted_session_is_gone_for_good;
    ]
}

fn titles(listed: &Value) -> Vec<(&str, Option<&str>)> {
    let sessions = listed["sessions"].as_array().into_iter().flatten();
    sessions.map(|one| (one["sessionId"].as_str().unwrap_or_default(), one["title"].as_str())).collect()
}

async fn sessions_are_listed_with_their_titles_and_outlive_a_crash(ground: Rc<Ground>) -> Result<()> {
    // Where servers share a store, what a killed one held is free when its lease is over.
    let server = ground.setup().config("session.lease_secs = 2").start().await?;
    for (session, text) in [("first", "What is in\nthis folder?"), ("second", "And in that one?")] {
        let mut client = server.connect().session(session).open().await?;
        client.say(text).await?;
        client.approve_all().await?;
    }
    let mut client = server.connect().session("third").open().await?;
    client.call_ok("session:rename", json!({ "sessionId": "first", "title": "Folders" })).await?;
    let before = client.call_ok("session:list", json!({})).await?;
    let expected = [("third", None), ("second", Some("And in that one?")), ("first", Some("Folders"))];
    ensure!(titles(&before) == expected, "{before}");
    let one = &before["sessions"][1];
    ensure!(one["busy"] == false && one["hasSandbox"] == true && one["model"].is_string(), "{one}");
    drop(client);
    let server = server.crash().await?.start().await?;
    let mut client = server.connect().session("third").open().await?;
    let after = client.call_ok("session:list", json!({ "limit": 3 })).await?;
    ensure!(titles(&after) == expected, "{after}");
    Ok(())
}

async fn a_deleted_session_is_gone_for_good(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut doomed = server.connect().session("doomed").open().await?;
    doomed.say(&script(&[run("echo never")])).await?;
    doomed.until("tool:approval_required").await?;
    let mut client = server.connect().session("kept").open().await?;
    client.call_ok("session:delete", json!({ "sessionId": "doomed" })).await?;
    let last = doomed.until("error").await?;
    ensure!(last.text() == "The session was deleted.", "{last:?}");
    doomed.until_closed().await?;
    let ended = doomed.journal().iter().find(|event| event.name == "turn:completed").context("the turn did not end")?;
    ensure!(ended.payload["stopReason"] == "cancelled", "{ended:?}");
    let listed = client.call_ok("session:list", json!({})).await?;
    ensure!(titles(&listed) == [("kept", None)], "{listed}");
    // Its name may be taken again, and knows nothing.
    let server = server.crash().await?.start().await?;
    let mut anew = server.connect().session("doomed").open().await?;
    ensure!(anew.ready["resumed"] == false, "{}", anew.ready);
    let history = anew.call_ok("history:get", json!({})).await?;
    ensure!(history["messages"] == json!([]), "{history}");
    Ok(())
}
