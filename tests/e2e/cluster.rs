//! A Redis Cluster of three nodes in place of the file, for the most important cases of other suites.

use crate::{
    case::{Case, Ground, cases},
    conversation, crash, gate, replicas, resume, sessions, sharing,
};
use anyhow::{Result, ensure};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    let again = [conversation::cases(), gate::cases(), resume::cases(), sessions::cases(), sharing::cases()];
    let again = again.into_iter().flatten().filter(Case::has_no_tools);
    let own = cases![
        every_node_holds_sessions;
        kill_9_of_the_server_5_rounds;
    ];
    again.chain(replicas::cases()).chain(own).map(Case::on_cluster).collect()
}

async fn every_node_holds_sessions(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    for number in 0..12 {
        let mut client = server.connect().session(&format!("spread-{number}")).open().await?;
        client.say("hello").await?;
        client.until("turn:completed").await?;
    }
    let sizes = ground.cluster().sizes()?;
    ensure!(sizes.len() == 3 && sizes.iter().all(|size| *size > 0), "a node holds nothing: {sizes:?}");
    Ok(())
}

async fn kill_9_of_the_server_5_rounds(ground: Rc<Ground>) -> Result<()> {
    crash::with_seed(&ground, 5).await
}
