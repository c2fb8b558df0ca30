//! Rules, over the real workspace server: what runs, what asks, what does not run; and what comes out of it.

mod always;
mod documented;
mod limits;
mod output;
mod reload;
mod simulate;

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{calls, run, script},
};
use always::{
    a_rule_for_always_is_shown_stored_listed_and_revoked, always_is_not_offered_for_what_may_do_harm_or_was_denied,
};
use anyhow::{Context, Result, ensure};
use documented::{documented_paths_hold_against_links, every_example_of_the_documentation_is_a_configuration};
use limits::{a_turn_has_so_many_calls_and_so_much_output, a_turn_that_takes_too_long_ends_and_says_so};
use lockkeeper_tests::Client;
use output::{
    a_secret_in_arguments_asks_whatever_a_rule_allows, output_is_cleaned_for_clients_and_history,
    secrets_of_the_configuration_do_not_come_back,
};
use reload::{
    a_rule_that_comes_while_a_call_waits_refuses_it, a_sighup_reads_the_rules_of_the_configuration_too,
    s12_rules_change_by_their_file_and_a_bad_one_changes_nothing,
};
use serde_json::{Value, json};
use simulate::{a_file_of_rules_is_checked_whole, rules_are_played_against_what_was_decided};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        what_lies_within_a_path_runs_and_what_climbs_out_asks;
        documented_paths_hold_against_links;
        a_rule_for_one_user_is_nobody_elses;
        hints_deny_what_a_server_calls_destructive;
        deny_comes_before_ask_and_ask_before_allow;
        a_rule_denies_an_edit_that_a_human_made;
        a_problem_of_a_rule_is_named_with_78;
        a_secret_in_arguments_asks_whatever_a_rule_allows;
        output_is_cleaned_for_clients_and_history;
        secrets_of_the_configuration_do_not_come_back;
        every_example_of_the_documentation_is_a_configuration;
        s12_rules_change_by_their_file_and_a_bad_one_changes_nothing;
        a_sighup_reads_the_rules_of_the_configuration_too;
        a_rule_that_comes_while_a_call_waits_refuses_it;
        a_rule_for_always_is_shown_stored_listed_and_revoked;
        always_is_not_offered_for_what_may_do_harm_or_was_denied;
        a_turn_has_so_many_calls_and_so_much_output;
        a_turn_that_takes_too_long_ends_and_says_so;
        rules_are_played_against_what_was_decided;
        a_file_of_rules_is_checked_whole;
    ]
}

/// What the gate did with a call: `run`, `ask`, or the code of its refusal; and why, where it says so.
#[derive(Debug, PartialEq)]
struct Outcome {
    did: String,
    why: String,
}

/// Plays one call, which is denied where it asks.
async fn gate(client: &mut Client, tool: &str, args: Value) -> Result<Outcome> {
    client.say(&script(&[calls(&[(tool, args)]), json!({ "text": "over" })])).await?;
    let listed = client.until("tool:calls").await?;
    let call = listed.payload[0]["callId"].as_str().context("no call")?.to_owned();
    let first = client
        .until_matching("what becomes of it", |event| {
            matches!(event.name.as_str(), "tool:approval_required" | "tool:started" | "tool:error")
        })
        .await?;
    let why = |event: &lockkeeper_tests::Event| event.payload["why"].as_str().unwrap_or_default().to_owned();
    let outcome = match first.name.as_str() {
        "tool:approval_required" => {
            client.approve(&call, false).await?;
            Outcome { did: "ask".to_owned(), why: why(&first) }
        }
        "tool:started" => {
            Outcome { did: "run".to_owned(), why: listed.payload[0]["why"].as_str().unwrap_or_default().to_owned() }
        }
        _ => {
            let text = |key: &str| first.payload[key].as_str().unwrap_or_default().to_owned();
            Outcome { did: text("code"), why: text("message") }
        }
    };
    client.until("turn:completed").await?;
    Ok(outcome)
}

/// Plays these calls, each of which must come to what stands beside it.
async fn each(client: &mut Client, expected: &[(&str, Value, &str)]) -> Result<()> {
    for (tool, args, did) in expected {
        let outcome = gate(client, tool, args.clone()).await?;
        ensure!(outcome.did == *did, "{tool} {args} must {did}: {outcome:?}");
    }
    Ok(())
}

async fn what_lies_within_a_path_runs_and_what_climbs_out_asks(ground: Rc<Ground>) -> Result<()> {
    let rules = "
        [[policy.rules]]
        tool = 'write_file'
        args.path.within = 'notes'
        decision = 'allow'";
    let server = ground.setup().config(rules).start().await?;
    let mut client = server.connect().open().await?;
    let file = |path: &str| json!({ "path": path, "content": "x" });
    each(
        &mut client,
        &[
            ("write_file", file("notes/a.txt"), "run"),
            ("write_file", file("./notes//deep/a.txt"), "run"),
            ("write_file", file("notes/./b"), "run"),
            ("write_file", file("notes/../secret"), "ask"),
            ("write_file", file("notes/x/../../secret"), "ask"),
            ("write_file", file("notes-of-others/a"), "ask"),
            ("write_file", file("/notes/a"), "ask"),
            ("write_file", file("notes\\..\\secret"), "ask"),
            ("write_file", file("NOTES/a"), "ask"),
            ("write_file", file(""), "ask"),
            ("write_file", json!({ "path": ["notes/a"], "content": "x" }), "invalid_arguments"),
            ("read_file", json!({ "path": "notes/a.txt" }), "ask"),
        ],
    )
    .await?;
    client.say(&script(&[run("find . -type f | sort"), json!({ "text": "over" })])).await?;
    client.approve_all().await?;
    let output = client.journal().iter().rfind(|event| event.name == "tool:output").context("no output")?;
    let found = stdout(output);
    ensure!(found.contains("notes/deep/a.txt") && !found.contains("secret") && !found.contains("others"), "{found}");
    Ok(())
}

async fn a_rule_for_one_user_is_nobody_elses(ground: Rc<Ground>) -> Result<()> {
    let rules = "
        [auth]
        mode = 'static'
        tokens.alice = 'alice-token-5f1c9a2e7b6d4f30'
        tokens.alicia = 'alicia-token-a07d11b58c2e93f4'
        tokens.bob = 'bob-token-91e0c4d8a3b27f65'
        [[policy.rules]]
        user = 'alice'
        tool = 'list_files'
        decision = 'allow'
        [[policy.rules]]
        user = 'b*'
        tool = 'list_files'
        decision = 'deny'";
    let server = ground.setup().config(rules).start().await?;
    for (token, did) in [
        ("alice-token-5f1c9a2e7b6d4f30", "run"),
        ("alicia-token-a07d11b58c2e93f4", "ask"),
        ("bob-token-91e0c4d8a3b27f65", "denied"),
    ] {
        let mut client = server.connect().auth("token", token).open().await?;
        each(&mut client, &[("list_files", json!({}), did)]).await?;
    }
    Ok(())
}

async fn hints_deny_what_a_server_calls_destructive(ground: Rc<Ground>) -> Result<()> {
    let rules = "
        [[policy.rules]]
        decision = 'allow'
        [[policy.rules]]
        hints.destructive = true
        hints.open_world = true
        decision = 'deny'
        [[policy.rules]]
        hints.read_only = false
        decision = 'ask'";
    let server = ground.setup().config(rules).start().await?;
    let mut client = server.connect().open().await?;
    each(
        &mut client,
        &[
            ("list_files", json!({}), "run"),
            ("write_file", json!({ "path": "a", "content": "x" }), "ask"),
            ("execute_command", json!({ "command": "touch mark" }), "denied"),
            ("list_files", json!({ "path": "." }), "run"),
        ],
    )
    .await?;
    let listed = client.journal().iter().rfind(|event| event.name == "tool:output").context("no output")?;
    ensure!(!stdout(listed).contains("mark"), "a denied call ran: {listed:?}");
    Ok(())
}

async fn deny_comes_before_ask_and_ask_before_allow(ground: Rc<Ground>) -> Result<()> {
    let rules = "
        [[policy.rules]]
        server = 'work*'
        decision = 'allow'
        [[policy.rules]]
        tool = 'read_*'
        decision = 'ask'
        [[policy.rules]]
        tool = '*_file'
        args.path.matches = '*.env'
        decision = 'deny'
        [[policy.rules]]
        tool = 'list_files'
        args.recursive.equals = true
        decision = 'deny'
        [[policy.rules]]
        tool = 'list_files'
        args.path.one_of = ['.', 'src']
        decision = 'ask'";
    let server = ground.setup().config(rules).start().await?;
    let mut client = server.connect().open().await?;
    let outcome = gate(&mut client, "read_file", json!({ "path": "secrets/.env" })).await?;
    ensure!(outcome.did == "denied" && outcome.why.contains("rule 3"), "{outcome:?}");
    let outcome = gate(&mut client, "read_file", json!({ "path": "a" })).await?;
    ensure!(outcome.did == "ask" && outcome.why.contains("rule 2"), "{outcome:?}");
    let outcome = gate(&mut client, "list_files", json!({})).await?;
    ensure!(outcome.did == "run" && outcome.why.contains("rule 1"), "{outcome:?}");
    each(
        &mut client,
        &[
            ("list_files", json!({ "path": "." }), "ask"),
            ("list_files", json!({ "path": "src", "recursive": true }), "denied"),
            ("list_files", json!({ "path": "docs", "recursive": false }), "run"),
            ("write_file", json!({ "path": "a.env", "content": "x" }), "denied"),
            ("write_file", json!({ "path": "a.environment", "content": "x" }), "run"),
        ],
    )
    .await
}

async fn a_rule_denies_an_edit_that_a_human_made(ground: Rc<Ground>) -> Result<()> {
    let rules = "
        [[policy.rules]]
        tool = 'execute_command'
        args.command.matches = '*forbidden*'
        decision = 'deny'";
    let server = ground.setup().config(rules).start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo fine"), json!({ "text": "over" })])).await?;
    let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    let edited = json!({ "callId": call, "approved": true, "args": { "command": "echo forbidden" } });
    let ack = client.call("tool:approval", edited).await?;
    ensure!(ack["ok"] == false && ack["code"] == "denied", "{ack}");
    ensure!(!client.journal().iter().any(|event| event.name == "tool:started"), "a denied edit ran");
    client.approve(&call, true).await.context("the call waits on, as it was")?;
    ensure!(stdout(&client.until("tool:output").await?).contains("fine"));
    Ok(())
}

async fn a_problem_of_a_rule_is_named_with_78(ground: Rc<Ground>) -> Result<()> {
    let rules = "
        [[policy.rules]]
        tool = 'fine'
        decision = 'ask'
        [[policy.rules]]
        hints.read_only = true
        decision = 'allow'
        [[policy.rules]]
        args.path = {}
        decision = 'deny'
        [[policy.rules]]
        args.path.within = 'a/../..'
        decision = 'allow'";
    let (code, said) = ground.setup().config(rules).fail().await?;
    ensure!(code == Some(78), "exit code {code:?}: {said}");
    for named in ["policy.rules.1", "policy.rules.2", "policy.rules.3", "hints", "`path`", "`..`"] {
        ensure!(said.contains(named), "{named} is not named: {said}");
    }
    ensure!(!said.contains("policy.rules.0"), "a good rule is named: {said}");
    for (rule, named) in [
        ("decision = 'maybe'", "maybe"),
        ("tool = 'a'", "decision"),
        ("tol = 'a'\ndecision = 'deny'", "tol"),
        ("args.path.inside = 'a'\ndecision = 'deny'", "inside"),
        ("args.path = 'a'\ndecision = 'deny'", "path"),
    ] {
        let folder = tempfile::tempdir_in(ground.folder())?;
        let setup = ground.setup().in_folder(folder.path()).config(&format!("[[policy.rules]]\n{rule}"));
        let (code, said) = setup.fail().await?;
        ensure!(code == Some(78) && said.contains("policy.rules") && said.contains(named), "{rule}: {code:?} {said}");
    }
    Ok(())
}
