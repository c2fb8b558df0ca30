//! Two users who do at random what clients can do, to the same names, with words that are each one's alone.

use super::{connect_as, tokens};
use crate::{
    case::Ground,
    script::{quote, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Connect, rounds, seed};
use serde_json::{Value, json};
use std::rc::Rc;

/// The sessions that both of them want.
const SESSIONS: u64 = 4;

struct User {
    /// What every message, file and argument of this user's holds.
    canary: String,
    /// The same of the other one's.
    foreign: String,
    connect: Connect,
    token: String,
    foreign_token: String,
    client: Option<Client>,
    /// How often this user saw a word of its own.
    seen: usize,
}

pub(super) async fn two_users_at_random_see_nothing_of_each_other(ground: Rc<Ground>) -> Result<()> {
    let seed = seed();
    let played = play(&ground, seed).await;
    played.with_context(|| format!("again with E2E_SEED={seed}"))
}

async fn play(ground: &Ground, seed: u64) -> Result<()> {
    let server = ground.setup().config(tokens::SYMMETRIC).start().await?;
    let canaries = ["a1-canary-7f3e", "b2-canary-c84d"];
    let token = |name: &str| tokens::create(ground.folder(), name, 600);
    let all = [token("ann")?, token("bob")?];
    let user = |name: &str, own: usize| -> Result<User> {
        let connect = connect_as(&server, ground.folder(), name)?;
        let (token, foreign_token) = (all[own].clone(), all[1 - own].clone());
        let (canary, foreign) = (canaries[own].to_owned(), canaries[1 - own].to_owned());
        Ok(User { canary, foreign, connect, token, foreign_token, client: None, seen: 0 })
    };
    let mut users = [user("ann", 0)?, user("bob", 1)?];
    // Each has one for sure, and who comes first gets the others.
    for (which, user) in (0..).zip(&mut users) {
        user.come(which, "driver").await?;
    }
    let mut state = seed | 0x1;
    // Marsaglia's xorshift, which is random enough to choose between a dozen things.
    let mut random = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % bound
    };
    for _ in 0..rounds(150) {
        let who = random(2) == 0;
        let (what, which) = (random(18), random(SESSIONS));
        users[usize::from(who)].act(what, which).await?;
    }
    for user in &mut users {
        // What was said to them all the time and nobody looked at.
        user.leave().await?;
        ensure!(user.seen > 0, "{} did nothing", user.canary);
    }
    Ok(())
}

impl User {
    async fn act(&mut self, what: u64, which: u64) -> Result<()> {
        match what {
            0..3 => return self.come(which, "driver").await,
            3 => return self.come(which, ["observer", "approver"][usize::from(which.is_multiple_of(2))]).await,
            4 => return self.leave().await,
            _ => {}
        }
        let Some(client) = &mut self.client else { return self.come(which, "driver").await };
        let call = format!("call_{}_0_0", which + 1);
        let canary = &self.canary;
        let ack = match what {
            5 => client.call("history:get", json!({})).await?,
            6 => {
                let work = run(&format!("ls -A; cat notes; echo {canary} >> notes; cat notes"));
                client.call("message", script(&[work, quote()])).await?
            }
            7 => client.call("message", script(&[json!({ "text": format!("an answer for {canary}") })])).await?,
            8 | 9 => client.call("tool:approval", json!({ "callId": call, "approved": true })).await?,
            10 => {
                let answer = json!({ "callId": call, "approved": false, "reason": canary });
                client.call("tool:approval", answer).await?
            }
            11 => client.call_bare("usage:get").await?,
            12 => client.call("budget:answer", json!({ "goOn": true })).await?,
            // The other one's token makes nobody of this connection.
            13 => {
                let ack = client.call("auth:refresh", json!({ "token": self.foreign_token })).await?;
                ensure!(ack["code"] == "forbidden", "{ack}");
                ack
            }
            14 => client.call("auth:refresh", json!({ "token": self.token })).await?,
            15 => client.call("session:list", json!({})).await?,
            // Of a session that may be the other one's.
            16 => {
                let name = json!({ "sessionId": format!("shared-{which}"), "title": canary });
                client.call("session:rename", name).await?
            }
            _ if which == 0 => client.call_bare("history:reset").await?,
            _ => client.call_bare("turn:cancel").await?,
        };
        self.look(&ack)
    }

    /// Leaves where it is, and tries to come into this session: it is its own, or it is told nothing but no.
    async fn come(&mut self, which: u64, role: &str) -> Result<()> {
        self.leave().await?;
        let connect = self.connect.clone().session(&format!("shared-{which}")).auth("role", role);
        let mut client = connect.resume_after("0-0".parse()?).open_raw().await?;
        let first = client.until_matching("an answer", |e| matches!(e.name.as_str(), "system:ready" | "error")).await?;
        if first.name == "error" {
            client.until_closed().await?;
            ensure!(client.journal().len() == 1, "a refusal says more than no: {:?}", client.journal());
            return self.look(&first.payload);
        }
        self.look(&first.payload)?;
        self.client = Some(client);
        Ok(())
    }

    /// Looks at all that came in on the connection, and ends it.
    async fn leave(&mut self) -> Result<()> {
        let Some(mut client) = self.client.take() else { return Ok(()) };
        // What was sent before this answer came in with it.
        let page = client.call("history:get", json!({})).await?;
        self.look(&page)?;
        self.look(&json!(format!("{:?}", client.journal())))
    }

    fn look(&mut self, said: &Value) -> Result<()> {
        let said = said.to_string();
        ensure!(!said.contains(&self.foreign), "{} saw {}: {said}", self.canary, self.foreign);
        self.seen += usize::from(said.contains(&self.canary));
        Ok(())
    }
}
