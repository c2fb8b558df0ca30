mod dice;
mod driver;

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
pub(crate) use dice::Dice;
pub(crate) use driver::{Driver, Orders};
use lockkeeper_tests::seed;
use std::{rc::Rc, time::Duration};
use tokio::{sync::watch, task::JoinSet, time::timeout};

pub(crate) fn cases() -> Vec<Case> {
    cases![kill_9_of_the_server_50_rounds;]
}

const ROUNDS: usize = 50;
const SESSIONS: usize = 4;
/// How long a round may take that sees fewer events than it waits for.
const ROUND: Duration = Duration::from_secs(4);
/// How long the clients may need to bring what they began to its end.
const REST: Duration = Duration::from_mins(1);

/// The server dies at random moments while clients talk, approve, and come back. Nothing that was acknowledged may be
/// lost, and nothing may happen twice.
async fn kill_9_of_the_server_50_rounds(ground: Rc<Ground>) -> Result<()> {
    with_seed(&ground, ROUNDS).await
}

/// The same with so many rounds.
pub(crate) async fn with_seed(ground: &Ground, crashes: usize) -> Result<()> {
    let seed = seed();
    eprintln!("seed {seed}; E2E_SEED={seed} replays the choices");
    rounds(ground, seed, crashes).await.with_context(|| format!("with E2E_SEED={seed}"))
}

async fn rounds(ground: &Ground, seed: u64, crashes: usize) -> Result<()> {
    let mut dice = Dice::new(seed);
    let setup = ground.setup().config("session.lease_secs = 2\nllm.demo.piece_delay_ms = 1");
    let (orders, _) = watch::channel(Orders::default());
    let (counter, mut events) = watch::channel(0_u64);
    let mut drivers = JoinSet::new();
    for number in 0..SESSIONS {
        let session = format!("crash-{number}");
        let driver = Driver::new(session.clone(), session, Dice::new(dice.next()), counter.clone());
        drivers.spawn(driver.run(orders.subscribe()));
    }
    let mut idle = 0;
    for round in 0..crashes {
        let server = setup.start().await.with_context(|| format!("in round {round}"))?;
        orders.send_modify(|orders| orders.urls = vec![server.url().to_owned()]);
        // A random moment: after so many more events, wherever the server is then.
        let before = *events.borrow_and_update();
        let until = before + dice.below(60);
        let _ = timeout(ROUND, events.wait_for(|seen| *seen >= until)).await;
        idle += usize::from(*events.borrow() == before && until > before);
        server.crash().await?;
        ensure!(drivers.try_join_next().is_none(), "a client gave up in round {round}");
    }
    ensure!(idle < crashes / 2, "in {idle} of {crashes} rounds nothing happened at all");
    let server = setup.start().await?;
    orders.send_modify(|orders| {
        orders.urls = vec![server.url().to_owned()];
        orders.last = true;
    });
    let mut report = (0, 0, 0);
    while let Some(driver) = timeout(REST, drivers.join_next()).await.context("the turns did not come to an end")? {
        let driver = driver??;
        let verdict = driver.oracle.verdict();
        ensure!(verdict.is_empty(), "{}: {verdict:#?}", driver.session());
        report = (report.0 + driver.oracle.len(), report.1 + driver.acknowledged(), report.2 + driver.connections());
    }
    let (events, messages, connections) = report;
    eprintln!(
        "{crashes} crashes, {connections} connections, {messages} messages, {events} events: none lost, none twice"
    );
    ensure!(messages >= crashes / 2, "only {messages} messages: the rounds were idle");
    Ok(())
}
