//! What an approval covers, what it is bound to, and that what is shown is what runs.

use crate::{
    case::Ground,
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::rc::Rc;

/// An operator's `ask` is asked each time, and an approval for the session covers no other command.
/// Covers: S2-3
pub(super) async fn session_grant_covers_no_other_command(ground: Rc<Ground>) -> Result<()> {
    let rule = "[[policy.rules]]\ntool = 'execute_command'\ndecision = 'ask'";
    for (settings, by_rule) in [(rule, true), ("", false)] {
        let server = ground.setup().config(settings).start().await?;
        let mut client = server.connect().open().await?;
        let commands = ["echo one", "echo one", "rm -rf /workspace/* ; echo two"];
        let mut steps: Vec<_> = commands.into_iter().map(run).collect();
        steps.push(json!({ "text": "over" }));
        client.say(&script(&steps)).await?;
        let asked = client.until("tool:approval_required").await?;
        let call = asked.call().context("no call")?.to_owned();
        let whole = json!({ "callId": call, "approved": true, "scope": "session" });
        let ack = client.call("tool:approval", whole).await?;
        ensure!(ack["code"] == "scope_unavailable", "{ack}");
        let exact = json!({ "callId": call, "approved": true, "scope": "session", "grant": { "kind": "exact" } });
        let ack = client.call("tool:approval", exact).await?;
        if by_rule {
            ensure!(ack["code"] == "scope_unavailable" && asked.payload["sessionScopes"].is_null(), "{ack} {asked:?}");
            client.approve(&call, true).await?;
        } else {
            ensure!(ack["ok"] == true, "{ack} {asked:?}");
        }
        let next = client.until("tool:approval_required").await?;
        let expected = if by_rule { commands[1] } else { commands[2] };
        ensure!(next.payload["args"]["command"] == expected, "{next:?}");
        client.approve(next.call().context("no call")?, false).await?;
        // The next one uses the same store and sandboxes.
        server.crash().await?;
    }
    Ok(())
}

/// `serve` takes an answer without a digest from a connection that was shown one open question, and to that one alone.
/// Covers: S2-11
pub(super) async fn answer_without_digest_is_to_the_shown_question(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().session("shown").open().await?;
    let both = calls(&[("list_files", json!({})), ("execute_command", json!({ "command": "echo second" }))]);
    client.say(&script(&[both, json!({ "text": "over" })])).await?;
    let asked = client.until("tool:approval_required").await?;
    let ids: Vec<_> = client.journal().iter().rfind(|event| event.name == "tool:calls").into_iter().collect();
    let second = ids[0].payload[1]["callId"].as_str().context("no second call")?.to_owned();
    let listed = ids[0].payload[1]["digest"].as_str().context("a waiting call has no digest")?.to_owned();
    let unbound = |call: &str| json!({ "callId": call, "approved": true, "digest": null });
    let ack = client.call("tool:approval", unbound(&second)).await?;
    ensure!(ack["code"] == "approval_mismatch", "the second call was not shown as a question: {ack}");
    let bound = json!({ "callId": second, "approved": true, "digest": listed });
    client.call_ok("tool:approval", bound).await?;
    client.call_ok("tool:approval", unbound(asked.call().context("no call")?)).await?;
    client.until("turn:completed").await?;
    Ok(())
}

/// Large integers are shown to the letter, and an edit keeps each digit or is refused.
/// Covers: S3 numbers
pub(super) async fn numbers_run_as_they_are_shown(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    let read = |limit: u64| calls(&[("read_file", json!({ "path": "a", "limit": limit }))]);
    client.say(&script(&[run("echo hi > a"), read(9_007_199_254_740_993), json!({ "text": "over" })])).await?;
    let made = client.until("tool:approval_required").await?;
    client.approve(made.call().context("no call")?, true).await?;
    let asked = client.until("tool:approval_required").await?;
    let text = asked.payload["argsText"].as_str().context("no text")?;
    ensure!(text.contains("9007199254740993"), "{asked:?}");
    let call = asked.call().context("no call")?.to_owned();
    for inexact in ["9007199254740993.0", "1e400", "0.12345678901234567890", "18446744073709551617"] {
        let edited =
            json!({ "callId": call, "approved": true, "argsText": format!("{{\"path\":\"a\",\"limit\":{inexact}}}") });
        let ack = client.call("tool:approval", edited).await?;
        ensure!(ack["code"] == "invalid_arguments", "{inexact}: {ack}");
    }
    let edited = json!({ "callId": call, "approved": true, "argsText": "{\"path\":\"a\",\"limit\":9007199254740995}" });
    client.call_ok("tool:approval", edited).await?;
    let resolved = client.until("tool:approval_resolved").await?;
    let ran = resolved.payload["argsText"].as_str().context("no text")?;
    ensure!(ran.contains("9007199254740995"), "{resolved:?}");
    client.until("turn:completed").await?;
    Ok(())
}
