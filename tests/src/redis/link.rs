use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// The way of one server to a Redis: a socket of its own, which can be cut and slowed down.
#[derive(Debug)]
pub struct RedisLink {
    socket: PathBuf,
    state: watch::Sender<State>,
    _accepting: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    way: Way,
    /// How often all connections were reset.
    resets: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Open,
    /// Nothing passes, and nobody is told.
    Cut,
    /// Each piece takes so much longer.
    Slow(Duration),
}

impl RedisLink {
    /// Listens on `socket`, and passes everything on to the Redis that listens on `redis`.
    pub fn new(socket: &Path, redis: &Path) -> Result<Self> {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        let (state, now) = watch::channel(State::default());
        let redis = redis.to_owned();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, redis.clone(), now.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { socket: socket.to_owned(), state, _accepting: accepting })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// From now on nothing passes, in either direction.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.way = Way::Cut);
    }

    /// From now on each piece takes so much longer.
    pub fn slow_down(&self, by: Duration) {
        self.state.send_modify(|state| state.way = Way::Slow(by));
    }

    /// Everything passes again, with what was held back.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.way = Way::Open);
    }

    /// Everything passes again over new connections; what was held back is lost.
    pub fn reset(&self) {
        self.state.send_modify(|state| *state = State { way: Way::Open, resets: state.resets + 1 });
    }
}

async fn carry(client: UnixStream, redis: PathBuf, state: watch::Receiver<State>) {
    let resets = state.borrow().resets;
    let Ok(redis) = UnixStream::connect(redis).await else { return };
    let ((from_client, to_client), (from_redis, to_redis)) = (client.into_split(), redis.into_split());
    let mut reset = state.clone();
    tokio::select! {
        _ = pass(from_client, to_redis, state.clone()) => {}
        _ = pass(from_redis, to_client, state) => {}
        _ = reset.wait_for(|state| state.resets != resets) => {}
    }
}

/// Passes on what comes until either side ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) -> Option<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        let way = state.wait_for(|state| state.way != Way::Cut).await.ok()?.way;
        if let Way::Slow(by) = way {
            sleep(by).await;
        }
        to.write_all(&piece[..length]).await.ok()?;
    }
}
