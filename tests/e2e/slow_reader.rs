use crate::{
    case::{Case, Ground, cases},
    script::script,
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::Oracle;
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![a_client_that_stops_reading_costs_bounded_memory_and_loses_nothing;]
}

async fn a_client_that_stops_reading_costs_bounded_memory_and_loses_nothing(ground: Rc<Ground>) -> Result<()> {
    const MEBIBYTE: usize = 1 << 20;
    let server = ground.server().await?;
    let mut driver = server.connect().open().await?;
    let mut stuck = server.connect().session(driver.session()).open().await?;
    let before = server.resident_bytes()?;
    // Some forty mebibytes of answers, none of which `stuck` takes from its socket.
    let text = "0123456789abcde ".repeat(2_000);
    let message = script(&[json!({ "text": text })]);
    for _ in 0..100 {
        driver.say(&message).await?;
        driver.until("turn:completed").await?;
    }
    let grown = server.resident_bytes()?.saturating_sub(before);
    ensure!(grown < 160 * MEBIBYTE as u64, "the server grew by {} MiB", grown / MEBIBYTE as u64);
    // It reads on, as far as it was sent, and asks for the rest.
    let mut oracle = Oracle::default();
    oracle.saw(None, driver.journal());
    let end = driver.last_id().context("nothing was logged")?;
    let mut last = None;
    while last < Some(end) {
        while stuck.last_id() < Some(end) {
            if stuck.next().await.is_err() {
                break;
            }
        }
        oracle.saw(last, stuck.journal());
        last = stuck.last_id().max(last);
        if last < Some(end) {
            let again = server.connect().session(driver.session());
            stuck = match last {
                Some(last) => again.resume_after(last).open().await?,
                None => again.open().await?,
            };
        }
    }
    ensure!(oracle.verdict().is_empty(), "{:?}", oracle.verdict());
    Ok(())
}
