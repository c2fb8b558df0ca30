//! A way to a server that can be turned to another one, and that can lose answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    to: AtomicU16,
    /// How many answers to commands with the word in them are to be lost, each with its connection.
    losses: AtomicUsize,
    word: &'static [u8],
    lost: AtomicUsize,
}

impl Proxy {
    /// A way to the server on `port`. The answers that it loses are those to commands with `word` in them.
    pub(crate) async fn to(port: u16, word: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, losses, lost) = (AtomicU16::new(port), AtomicUsize::new(0), AtomicUsize::new(0));
        let state = Arc::new(State { to, losses, word, lost });
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, Arc::clone(&shared)));
            }
        });
        Self { address, state, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Sends new connections to another server.
    pub(crate) fn turn_to(&self, port: u16) {
        self.state.to.store(port, Ordering::SeqCst);
    }

    /// Loses the next `count` answers.
    pub(crate) fn lose(&self, count: usize) {
        self.state.losses.store(count, Ordering::SeqCst);
    }

    /// How many answers it has lost.
    pub(crate) fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, state: Arc<State>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", state.to.load(Ordering::SeqCst))).await else { return };
    let (mut question, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut is_lost = false;
    loop {
        tokio::select! {
            read = client.read(&mut question) => match read {
                Ok(length @ 1..) => {
                    let words = &question[..length];
                    if words.windows(state.word.len()).any(|window| window == state.word) {
                        let left = state.losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                        is_lost |= left.is_ok();
                    }
                    if server.write_all(words).await.is_err() { return }
                }
                _ => return,
            },
            read = server.read(&mut answer) => match read {
                // The server has done it, and nobody hears of it.
                Ok(1..) if is_lost => {
                    state.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Ok(length @ 1..) => if client.write_all(&answer[..length]).await.is_err() { return },
                _ => return,
            },
        }
    }
}
