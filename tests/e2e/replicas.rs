//! Two servers on one Redis: a client of either uses any session, and one of them goes on when the other cannot.

use crate::{
    case::{Case, Ground, cases},
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Server};
use serde_json::json;
use std::{
    fs,
    rc::Rc,
    time::{Duration, Instant},
};

pub(crate) fn cases() -> Vec<Case> {
    let cases = cases![
        commands_through_either_server_reach_one_session;
        s1_a_killed_owner_is_followed_by_the_other_server;
        s2_sigterm_hands_a_session_over;
        s3_a_second_signal_ends_at_once_and_the_other_server_goes_on;
        s4_of_two_servers_that_race_for_a_session_one_drives_it;
        s5_an_owner_that_stood_still_beyond_its_lease_is_fenced;
        c4_of_a_thousand_contradictory_answers_from_two_servers_one_holds;
    ];
    cases.into_iter().map(Case::on_redis).collect()
}

/// A hand-over takes two seconds at most where the machine has nothing else to do. These machines have.
const HAND_OVER: Duration = Duration::from_secs(30);

async fn server(ground: &Ground, name: &str) -> Result<Server> {
    let folder = ground.folder().join(name);
    fs::create_dir_all(&folder)?;
    let setup = ground.setup().in_folder(&folder).config("session.lease_secs = 2\nsession.warm_sandboxes = 0");
    setup.start().await.with_context(|| format!("server {name}"))
}

/// Two servers, and a client at each, in the session that the first one drives.
async fn two(ground: &Ground) -> Result<(Server, Server, Client, Client)> {
    let (one, other) = tokio::try_join!(server(ground, "one"), server(ground, "other"))?;
    let here = one.connect().open().await?;
    let there = other.connect().session(here.session()).open().await?;
    ensure!(here.ready["containerId"] == there.ready["containerId"], "each has a sandbox: {}", there.ready);
    Ok((one, other, here, there))
}

/// The numbers of the events that the client was shown: dense, and no epoch after a later one.
fn exact(client: &Client) -> Result<Vec<u64>> {
    let ids: Vec<_> = client.journal().iter().filter_map(lockkeeper_tests::Event::id).collect();
    for pair in ids.windows(2) {
        ensure!(pair[1].seq == pair[0].seq + 1, "{} follows {}", pair[1], pair[0]);
        ensure!(pair[1].epoch >= pair[0].epoch, "an owner wrote {} after its successor's {}", pair[1], pair[0]);
    }
    Ok(ids.into_iter().map(|id| id.seq).collect())
}

fn slow_words() -> String {
    let words: Vec<_> = (0..150).map(|n| format!("word-{n}")).collect();
    script(&[json!({ "text": words.join(" "), "delay_ms": 20 })])
}

async fn commands_through_either_server_reach_one_session(ground: Rc<Ground>) -> Result<()> {
    let (_one, _other, mut here, mut there) = two(&ground).await?;
    there.say(&script(&[run("echo hello"), json!({ "text": "done" })])).await?;
    let call = here.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    there.approve(&call, true).await?;
    for client in [&mut here, &mut there] {
        client.until_matching("the answer", |event| event.text() == "done").await?;
        client.until("turn:completed").await?;
    }
    there.say(&slow_words()).await?;
    there.until("agent:delta").await?;
    there.call_ok("turn:cancel", json!({})).await?;
    ensure!(here.until("turn:completed").await?.payload["stopReason"] == "cancelled");
    there.call_ok("history:reset", json!({})).await?;
    here.until("system:message").await?;
    there.call_ok("session:end", json!({})).await?;
    here.until("system:message").await?;
    // What the log holds is what both saw.
    let mut late = there.journal().len();
    while exact(&there)?.last() < exact(&here)?.last() {
        there.next().await?;
        late += 1;
        ensure!(late < 10_000);
    }
    exact(&here).map(drop)
}

async fn s1_a_killed_owner_is_followed_by_the_other_server(ground: Rc<Ground>) -> Result<()> {
    let (one, _other, mut here, mut there) = two(&ground).await?;
    there.say(&slow_words()).await?;
    here.until("agent:delta").await?;
    there.until("agent:delta").await?;
    let died = Instant::now();
    one.crash().await?;
    there.until("system:message").await?;
    eprintln!("after SIGKILL the turn went on elsewhere in {:?}, with a lease of 2 s", died.elapsed());
    let answer = there.until("agent:response").await?;
    ensure!(answer.text().ends_with("word-149"), "{answer:?}");
    there.until("turn:completed").await?;
    there.say(&script(&[json!({ "text": "still here" })])).await?;
    there.until("turn:completed").await?;
    exact(&there).map(drop)
}

async fn s2_sigterm_hands_a_session_over(ground: Rc<Ground>) -> Result<()> {
    let (mut one, _other, mut here, mut there) = two(&ground).await?;
    there.say(&script(&[run("echo over"), json!({ "text": "done" })])).await?;
    let call = here.until("tool:approval_required").await?.call().context("no call")?.to_owned();
    there.until("tool:approval_required").await?;
    let asked = Instant::now();
    one.terminate()?;
    there.until("system:message").await?;
    let taken = asked.elapsed();
    eprintln!("after SIGTERM the session was taken over in {taken:?}");
    ensure!(taken < HAND_OVER, "it took {taken:?}");
    // The workspace went with its server, so the call is asked about anew.
    there.until("tool:approval_required").await?;
    there.approve(&call, true).await?;
    there.until_matching("the answer", |event| event.text() == "done").await?;
    here.until_closed().await?;
    let status = one.ended().await?;
    ensure!(status.code() == Some(0), "{status}");
    exact(&there).map(drop)
}

async fn s3_a_second_signal_ends_at_once_and_the_other_server_goes_on(ground: Rc<Ground>) -> Result<()> {
    let (mut one, _other, mut here, mut there) = two(&ground).await?;
    // What runs holds the session at its owner, so that the first signal alone does not hand it over.
    there.say(&slow_words()).await?;
    here.until("agent:delta").await?;
    one.terminate()?;
    until_draining(&mut here).await?;
    let asked = Instant::now();
    one.terminate()?;
    one.ended().await?;
    let ended = asked.elapsed();
    ensure!(ended < HAND_OVER, "it took {ended:?}");
    there.until("system:message").await?;
    eprintln!("the second signal ended it in {ended:?}, and the turn went on elsewhere in {:?}", asked.elapsed());
    let answer = there.until("agent:response").await?;
    ensure!(answer.text().ends_with("word-149"), "{answer:?}");
    there.until("turn:completed").await?;
    exact(&there).map(drop)
}

/// A signal is known to be handled when new work is refused.
async fn until_draining(client: &mut Client) -> Result<()> {
    loop {
        let ack = client.call("message", json!("more")).await?;
        match ack["code"].as_str() {
            Some("server_draining") => return Ok(()),
            None | Some("busy") => {}
            Some(_) => anyhow::bail!("{ack}"),
        }
    }
}

async fn s4_of_two_servers_that_race_for_a_session_one_drives_it(ground: Rc<Ground>) -> Result<()> {
    let (one, other) = tokio::try_join!(server(&ground, "one"), server(&ground, "other"))?;
    for round in 0..10 {
        let session = format!("race-{round}");
        let (here, there) = (one.connect().session(&session), other.connect().session(&session));
        let (mut here, mut there) = tokio::try_join!(here.open(), there.open())?;
        ensure!(here.ready["containerId"] == there.ready["containerId"], "{}\n{}", here.ready, there.ready);
        // The same message through both is one message.
        let message = json!({ "text": script(&[json!({ "text": "once" })]), "clientMessageId": "m1" });
        let (first, second) =
            tokio::try_join!(here.call_ok("message", message.clone()), there.call_ok("message", message.clone()))?;
        ensure!(first["turn"] == second["turn"] && first["duplicate"] != second["duplicate"], "{first} {second}");
        here.until("turn:completed").await?;
        there.call_ok("session:end", json!({})).await?;
    }
    Ok(())
}

async fn s5_an_owner_that_stood_still_beyond_its_lease_is_fenced(ground: Rc<Ground>) -> Result<()> {
    let (one, _other, mut here, mut there) = two(&ground).await?;
    there.say(&slow_words()).await?;
    here.until("agent:delta").await?;
    one.stop()?;
    there.until("system:message").await?;
    let answer = there.until("agent:response").await?;
    ensure!(answer.text().ends_with("word-149"), "{answer:?}");
    there.until("turn:completed").await?;
    one.go_on()?;
    // Its clients have missed nothing, and what they say reaches the new owner.
    here.until("agent:response").await?;
    here.until("turn:completed").await?;
    let again = json!({ "text": script(&[json!({ "text": "back" })]), "clientMessageId": "m2" });
    here.call_ok("message", again).await?;
    for client in [&mut here, &mut there] {
        client.until_matching("the answer", |event| event.text() == "back").await?;
        client.until("turn:completed").await?;
    }
    let (seen, elsewhere) = (exact(&here)?, exact(&there)?);
    ensure!(seen.last() == elsewhere.last(), "{seen:?}\n{elsewhere:?}");
    Ok(())
}

async fn c4_of_a_thousand_contradictory_answers_from_two_servers_one_holds(ground: Rc<Ground>) -> Result<()> {
    const TURNS: usize = 125;
    const CALLS: usize = 8;
    let (_one, _other, mut here, mut there) = two(&ground).await?;
    let looks: Vec<_> = (0..CALLS).map(|_| ("list_files", json!({}))).collect();
    let (mut held_here, began) = (0, Instant::now());
    for round in 0..TURNS * CALLS {
        if round % CALLS == 0 {
            here.say(&script(&[calls(&looks), json!({ "text": "over" })])).await?;
        }
        let call = here.until("tool:approval_required").await?.call().context("no call")?.to_owned();
        ensure!(there.until("tool:approval_required").await?.call() == Some(call.as_str()));
        // Each server says yes as often as no. The way over the other one is longer, so it gets a start of up to 2 ms.
        let yes_here = round % 2 == 0;
        let start = Duration::from_micros(250 * u64::try_from(round % 9)?);
        let (its, mine) =
            tokio::try_join!(there.call("tool:approval", json!({ "callId": call, "approved": !yes_here })), async {
                tokio::time::sleep(start).await;
                here.call("tool:approval", json!({ "callId": call, "approved": yes_here })).await
            },)?;
        let won = mine["ok"] == true;
        ensure!(won != (its["ok"] == true), "both or neither holds in round {round}: {mine} {its}");
        ensure!((if won { &its } else { &mine })["code"] == "already_resolved", "{mine} {its}");
        held_here += usize::from(won);
        let wanted = if won == yes_here { "approved" } else { "denied" };
        for client in [&mut here, &mut there] {
            let resolved = client.until("tool:approval_resolved").await?;
            ensure!(
                resolved.call() == Some(call.as_str()) && resolved.payload["decision"] == wanted,
                "{wanted}: {resolved:?}"
            );
        }
        if round % CALLS == CALLS - 1 {
            here.until("turn:completed").await?;
            there.until("turn:completed").await?;
        }
    }
    ensure!(exact(&here)? == exact(&there)?, "both clients were shown the same");
    let (rounds, took) = (TURNS * CALLS, began.elapsed());
    eprintln!(
        "of {rounds} answers {held_here} held through the owner, the others through the other server, in {took:?}"
    );
    Ok(())
}
