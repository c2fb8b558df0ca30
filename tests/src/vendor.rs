//! A vendor of language models on loopback: it answers as a case wrote down, in any of the vendors' formats, and notes
//! what it was asked.

mod claude;
mod gemini;
mod http;
mod openai;
mod speech;
mod wire;

pub use http::{Answer, Asked};
pub use speech::{End, Speech};
pub use wire::{Wire, vendor_settings};

use crate::PATIENCE;
use anyhow::{Context, Result};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

/// The vendor. It ends with its last handle, and outlives any server that asks it.
pub struct Vendor {
    url: String,
    desk: Arc<Desk>,
    _tasks: JoinSet<()>,
}

/// What the vendor is to say, and what happened so far.
struct Desk {
    answers: Mutex<VecDeque<Answer>>,
    asked: watch::Sender<Vec<Asked>>,
    /// How many clients have closed the connection of an answer that hangs.
    left: watch::Sender<usize>,
}

impl Vendor {
    /// A vendor that gives these answers, one to each question, and then says that it has no more. Its list of models
    /// is empty.
    pub async fn scripted(answers: impl IntoIterator<Item = Answer>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk = Arc::new(Desk {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: watch::Sender::default(),
            left: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&desk)));
        Ok(Self { url, desk, _tasks: tasks })
    }

    /// Where it is, as in `http://127.0.0.1:3000`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Adds answers to those that it has left.
    pub fn also(&self, answers: impl IntoIterator<Item = Answer>) {
        self.desk.answers().extend(answers);
    }

    /// Drops the answers that it has left.
    pub fn forget(&self) {
        self.desk.answers().clear();
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.desk.asked.borrow().clone()
    }

    /// Waits for this many questions, and gives them all.
    pub async fn until_asked(&self, count: usize) -> Result<Vec<Asked>> {
        let mut asked = self.desk.asked.subscribe();
        let waited = timeout(PATIENCE, asked.wait_for(|asked| asked.len() >= count)).await;
        let found = waited.with_context(|| format!("the vendor was not asked {count} times"))??;
        Ok(found.clone())
    }

    /// Waits until this many clients have closed the connection of an answer that hangs.
    pub async fn until_left(&self, count: usize) -> Result<()> {
        let mut left = self.desk.left.subscribe();
        let waited = timeout(PATIENCE, left.wait_for(|left| *left >= count)).await;
        waited.context("nobody closed the connection of an answer that hangs")??;
        Ok(())
    }
}

impl Desk {
    fn answers(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, asked: Asked) -> Answer {
        if asked.line.starts_with("GET ") {
            return Answer::json(200, &json!({ "data": [], "models": [] }));
        }
        self.asked.send_modify(|all| all.push(asked));
        let next = self.answers().pop_front();
        next.unwrap_or_else(|| Answer::json(418, &json!({ "error": { "message": "the script is over" } })))
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(socket, Arc::clone(&desk)));
    }
}

/// One question and its answer; then the connection is closed.
async fn serve(mut socket: TcpStream, desk: Arc<Desk>) {
    let Some(asked) = http::read(&mut socket).await else { return };
    let answer = desk.answer(asked);
    if http::write(&mut socket, &answer).await.is_ok_and(|left| left) {
        desk.left.send_modify(|left| *left += 1);
    }
}
