use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{calls, quote, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Event, EventId};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        two_tabs_see_the_same_events_in_the_same_order;
        one_answer_closes_both_cards_and_the_second_answer_is_told;
        of_conflicting_answers_from_two_tabs_one_wins;
        two_sessions_do_not_see_each_others_results;
        an_observer_sees_everything_and_changes_nothing;
    ]
}

async fn two_tabs_see_the_same_events_in_the_same_order(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut one = server.connect().open().await?;
    let mut two = server.connect().session(one.session()).open().await?;
    let both = calls(&[
        ("execute_command", json!({ "command": "echo left" })),
        ("execute_command", json!({ "command": "echo right" })),
    ]);
    one.say(&script(&[json!({ "text": "Some words first." , "calls": both["calls"] }), quote()])).await?;
    two.say(&script(&[json!({ "text": "the second tab's" })])).await?;
    one.approve_all().await?;
    for client in [&mut one, &mut two] {
        client.until_matching("the last answer", |event| event.text() == "the second tab's").await?;
        client.until("turn:completed").await?;
    }
    ensure!(logged(one.journal()) == logged(two.journal()), "{:?}\n{:?}", one.journal(), two.journal());
    ensure!(two.journal().iter().filter(|event| event.name == "user:message").count() == 2, "tabs show all messages");
    Ok(())
}

async fn one_answer_closes_both_cards_and_the_second_answer_is_told(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut one = server.connect().open().await?;
    let mut two = server.connect().session(one.session()).open().await?;
    one.say(&script(&[run("echo once")])).await?;
    let asked = two.until("tool:approval_required").await?;
    let call = asked.call().context("no call")?.to_owned();
    two.approve(&call, true).await?;
    for client in [&mut one, &mut two] {
        let resolved = client.until("tool:approval_resolved").await?;
        ensure!(resolved.call() == Some(&call) && resolved.payload["decision"] == "approved", "{resolved:?}");
    }
    let late = one.call("tool:approval", json!({ "callId": call, "approved": false })).await?;
    ensure!(late["ok"] == false && late["code"] == "already_resolved", "{late}");
    ensure!(stdout(&one.until("tool:output").await?).contains("once"));
    Ok(())
}

async fn of_conflicting_answers_from_two_tabs_one_wins(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut one = server.connect().open().await?;
    let mut two = server.connect().session(one.session()).open().await?;
    for _ in 0..20 {
        one.say(&script(&[run("true"), json!({ "text": "over" })])).await?;
        let call = one.until("tool:approval_required").await?.call().context("no call")?.to_owned();
        let yes = one.call("tool:approval", json!({ "callId": call, "approved": true }));
        let no = two.call("tool:approval", json!({ "callId": call, "approved": false }));
        let (yes, no) = tokio::try_join!(yes, no)?;
        ensure!((yes["ok"] == true) != (no["ok"] == true), "both or neither won: {yes} {no}");
        let resolved = one.until("tool:approval_resolved").await?;
        let wanted = if yes["ok"] == true { "approved" } else { "denied" };
        ensure!(resolved.payload["decision"] == wanted, "{wanted} was acknowledged: {resolved:?}");
        one.until("turn:completed").await?;
    }
    Ok(())
}

async fn two_sessions_do_not_see_each_others_results(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let (mut one, mut two) = (server.connect().open().await?, server.connect().open().await?);
    one.say(&script(&[run("echo secret-of-one > f; cat f"), quote()])).await?;
    two.say(&script(&[run("ls -A; echo two"), quote()])).await?;
    let (first, second) = tokio::try_join!(one.approve_all(), two.approve_all())?;
    ensure!(format!("{first:?}").contains("secret-of-one"));
    ensure!(!format!("{second:?}").contains("secret-of-one"), "one session's bytes are in the other");
    Ok(())
}

async fn an_observer_sees_everything_and_changes_nothing(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut driver = server.connect().open().await?;
    let mut observer = server.connect().session(driver.session()).auth("role", "observer").open().await?;
    driver.say(&script(&[run("echo seen"), quote()])).await?;
    let asked = observer.until("tool:approval_required").await?;
    for (event, payload) in [
        ("message", json!("hello")),
        ("tool:approval", json!({ "callId": asked.call(), "approved": true })),
        ("turn:cancel", json!(null)),
        ("history:reset", json!(null)),
        ("session:end", json!(null)),
    ] {
        let ack = observer.call(event, payload).await?;
        ensure!(ack["ok"] == false && ack["code"] == "forbidden", "{event}: {ack}");
    }
    driver.approve_all().await?;
    observer.until("turn:completed").await?;
    ensure!(logged(driver.journal()) == logged(observer.journal()), "the observer saw something else");
    Ok(())
}

/// What of a journal is in the log.
fn logged(journal: &[Event]) -> Vec<(EventId, &str)> {
    journal.iter().filter_map(|event| Some((event.id()?, event.name.as_str()))).collect()
}
