use super::dice::Dice;
use crate::{
    conversation::stdout,
    script::{calls, run},
};
use anyhow::{Result, ensure};
use lockkeeper_tests::{Client, Connect, Event, EventId, Oracle};
use serde_json::json;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tokio::{
    sync::watch,
    time::{error::Elapsed, timeout},
};

/// What the drivers are told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    /// Where servers are now. Any of them will do.
    pub(crate) urls: Vec<String>,
    /// Whether the message that is under way is the last one.
    pub(crate) last: bool,
}

/// A user who talks in one session, message by message, whatever happens to the servers.
pub(crate) struct Driver {
    /// What tells this user's messages from those of others in the session.
    name: String,
    session: String,
    /// Where traces are left besides the sandbox, which goes with its server.
    witness: Option<PathBuf>,
    dice: Dice,
    seen: watch::Sender<u64>,
    pub(crate) oracle: Oracle,
    last: EventId,
    /// Calls that were asked for and not resolved, as far as this client knows.
    open: BTreeSet<String>,
    message: Message,
    acknowledged: usize,
    connections: usize,
    silences: usize,
}

/// The message that is under way.
#[derive(Debug)]
struct Message {
    number: usize,
    acknowledged: bool,
    turn: Option<u64>,
    done: bool,
}

impl Driver {
    pub(crate) fn new(name: String, session: String, dice: Dice, seen: watch::Sender<u64>) -> Self {
        let message = Message { number: 0, acknowledged: false, turn: None, done: false };
        let last = EventId { epoch: 0, seq: 0 };
        Self {
            name,
            session,
            witness: None,
            dice,
            seen,
            oracle: Oracle::default(),
            last,
            open: BTreeSet::new(),
            message,
            acknowledged: 0,
            connections: 0,
            silences: 0,
        }
    }

    /// With traces that are also written to this pipe.
    pub(crate) fn witnessed_by(self, pipe: PathBuf) -> Self {
        Self { witness: Some(pipe), ..self }
    }

    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// How many connections were given up since nothing came for too long, though nothing had closed them.
    pub(crate) fn silences(&self) -> usize {
        self.silences
    }

    /// Talks until it is told that a message is the last one, and that one's turn has ended.
    pub(crate) async fn run(mut self, mut orders: watch::Receiver<Orders>) -> Result<Self> {
        loop {
            let now = orders.borrow_and_update().clone();
            if now.last && self.message.done {
                return Ok(self);
            }
            if let Some(url) = self.one_of(&now.urls) {
                let connect = Connect::to(&url).session(&self.session).resume_after(self.last);
                // Whatever goes wrong is the server's death, or its refusal to serve a session before its old lease has run
                // out; the oracle judges what was said before.
                if let Ok(mut client) = connect.open().await {
                    self.connections += 1;
                    let talked = self.talk(&mut client, &orders).await;
                    self.oracle.saw(Some(self.last), client.journal());
                    self.last = client.last_id().unwrap_or(self.last);
                    no_trace_is_there_twice(client.journal())?;
                    let Err(error) = talked else { return Ok(self) };
                    self.silences += usize::from(error.chain().any(<dyn std::error::Error>::is::<Elapsed>));
                    // What came in while an answer was waited for is not sent again.
                    for event in client.take_unread() {
                        self.note(&event);
                    }
                }
            }
            // The next server, or another attempt at this one.
            let _ = timeout(Duration::from_millis(50), orders.changed()).await;
        }
    }

    fn one_of(&mut self, urls: &[String]) -> Option<String> {
        let which = if urls.len() > 1 { self.dice.index(urls.len()) } else { 0 };
        urls.get(which).cloned()
    }

    /// Goes on where the last connection ended. Fails when the connection does.
    async fn talk(&mut self, client: &mut Client, orders: &watch::Receiver<Orders>) -> Result<()> {
        for call in self.open.clone() {
            self.answer(client, &call).await?;
        }
        loop {
            if self.message.done {
                if orders.borrow().last {
                    return Ok(());
                }
                self.message =
                    Message { number: self.message.number + 1, acknowledged: false, turn: None, done: false };
            }
            if !self.message.acknowledged {
                self.submit(client).await?;
            }
            let event = client.next().await?;
            self.note(&event);
            if event.name == "tool:approval_required" {
                self.answer(client, event.call().unwrap_or_default()).await?;
            }
        }
    }

    async fn submit(&mut self, client: &mut Client) -> Result<()> {
        let id = self.message_id();
        let text = self.text();
        let ack = client.call("message", json!({ "text": text, "clientMessageId": id })).await?;
        ensure!(ack["ok"] == true, "the message was refused: {ack}");
        self.oracle.message_acknowledged(&id);
        self.message.acknowledged = true;
        self.acknowledged += 1;
        Ok(())
    }

    /// Two calls at once that leave a trace, then one that looks for traces which are there twice, then words.
    fn text(&self) -> String {
        let trace = |n: usize| {
            let name = format!("{}-{n}", self.message_id());
            let tell = self.witness.as_ref().map(|pipe| format!("echo {name} > {}; ", pipe.display()));
            let command = format!("{}echo {name} >> traces", tell.unwrap_or_default());
            ("execute_command", json!({ "command": command }))
        };
        let words = (0..30).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        let mut both = calls(&[trace(0), trace(1)]);
        both["text"] = json!("I leave traces.");
        let look = run("touch traces; sort traces | uniq -d | sed 's/^/TWICE /'");
        format!("script: {}", json!([both, look, { "text": words }]))
    }

    /// What an event changes in what this client knows.
    fn note(&mut self, event: &Event) {
        self.seen.send_modify(|seen| *seen += 1);
        let call = event.call().unwrap_or_default();
        match event.name.as_str() {
            "user:message" if event.payload["clientMessageId"] == self.message_id() => self.message.turn = event.turn(),
            "tool:approval_required" => drop(self.open.insert(call.to_owned())),
            "tool:approval_resolved" => drop(self.open.remove(call)),
            "turn:completed" if event.turn() == self.message.turn => self.message.done = true,
            _ => {}
        }
    }

    fn message_id(&self) -> String {
        format!("{}-m{}", self.name, self.message.number)
    }

    async fn answer(&mut self, client: &mut Client, call: &str) -> Result<()> {
        let approved = self.dice.below(4) > 0;
        let ack = client.call("tool:approval", json!({ "callId": call, "approved": approved })).await?;
        if ack["ok"] == true {
            self.oracle.answer_acknowledged(call, approved);
        } else {
            // An answer that was not acknowledged may have counted; a turn that was cut off asks no more.
            let settled = ["already_resolved", "unknown_call"].iter().any(|code| ack["code"] == *code);
            ensure!(settled, "the answer was refused: {ack}");
        }
        self.open.remove(call);
        Ok(())
    }
}

/// A trace that is there twice is a call that ran twice.
fn no_trace_is_there_twice(events: &[Event]) -> Result<()> {
    let twice = events.iter().find(|event| event.name == "tool:output" && stdout(event).contains("TWICE"));
    ensure!(twice.is_none(), "a call ran twice: {twice:?}");
    Ok(())
}
