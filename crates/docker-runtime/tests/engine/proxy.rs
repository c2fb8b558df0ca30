//! Stands between the runtime and its engine, and cuts connections when it is told to.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    directory: TempDir,
    rules: Arc<Mutex<Rules>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Rules {
    /// The answer to the next request that contains this is lost, with its connection.
    lose: Option<String>,
    /// How many answers were.
    lost: u32,
    /// Connections by what was asked over them last.
    open: Vec<(String, CancellationToken)>,
}

impl Proxy {
    pub(crate) fn before(socket: &str) -> Self {
        let directory = TempDir::with_prefix_in("lkp", "/tmp").expect("a directory");
        let listener = UnixListener::bind(directory.path().join("p.sock")).expect("bind");
        let rules = Arc::new(Mutex::new(Rules::default()));
        let (target, shared) = (PathBuf::from(socket.trim_start_matches("unix://")), rules.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, target.clone(), shared.clone()));
            }
        });
        Self { directory, rules, _tasks: tasks }
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("p.sock").display())
    }

    pub(crate) fn lose_the_answer_to(&self, request: &str) {
        lock(&self.rules).lose = Some(request.into());
    }

    pub(crate) fn lost(&self) -> u32 {
        lock(&self.rules).lost
    }

    /// Whether this was asked over a connection that was not cut.
    pub(crate) fn asked(&self, request: &str) -> bool {
        lock(&self.rules).open.iter().any(|(asked, _)| asked.contains(request))
    }

    /// Cuts the connections over which this was asked; says how many.
    pub(crate) fn cut(&self, request: &str) -> usize {
        let mut rules = lock(&self.rules);
        let cut: Vec<_> = rules.open.extract_if(.., |(asked, _)| asked.contains(request)).collect();
        for (_, token) in &cut {
            token.cancel();
        }
        cut.len()
    }
}

async fn pass(client: UnixStream, target: PathBuf, rules: Arc<Mutex<Rules>>) {
    let Ok(engine) = connect(&target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let cut = CancellationToken::new();
    let asked = Mutex::new(String::new());
    let there = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text.contains(" HTTP/1.1\r\n") {
                let line = text.lines().next().unwrap_or_default().to_owned();
                lock(&rules).open.push((line.clone(), cut.clone()));
                *asked.lock().unwrap_or_else(PoisonError::into_inner) = line;
            }
            if to_engine.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        drop(to_engine.shutdown().await);
        std::future::pending::<()>().await;
    };
    let back = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from_engine.read(&mut buffer).await {
            let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let is_lost = {
                let mut rules = lock(&rules);
                let hit = rules.lose.take_if(|lose| asked.contains(lose.as_str())).is_some();
                rules.lost += u32::from(hit);
                hit
            };
            if is_lost || to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
        () = cut.cancelled() => {}
    }
}

async fn connect(target: &Path) -> std::io::Result<UnixStream> {
    UnixStream::connect(target).await
}

fn lock(rules: &Mutex<Rules>) -> std::sync::MutexGuard<'_, Rules> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}
