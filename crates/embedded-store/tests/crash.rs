//! A process that is killed with SIGKILL loses nothing that it acknowledged.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lockkeeper_domain::{
    Event, EventBody, EventId, Message, NoticeKind, PrincipalId, Seq, SessionId, SessionRecord, Timestamp, TurnId,
    UserMessage,
};
use lockkeeper_embedded_store::{Config, EmbeddedStore};
use lockkeeper_ports::{
    Commit, ConversationRepository, EventLog, HistoryChange, RecordChange, SessionRepository, SessionStore,
};
use std::{
    collections::HashMap,
    env,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tokio::{runtime::Runtime, task::JoinSet};

const ROUNDS: usize = 20;
const SESSIONS: usize = 4;
const ACKNOWLEDGED: &str = "acknowledged";

fn config(path: PathBuf) -> Config {
    Config { path: Some(path), ..Config::default() }
}

fn session(number: usize) -> SessionId {
    SessionId::parse(format!("s{number}")).unwrap()
}

/// The process that is killed. It is told the file, and tells what was acknowledged: session, epoch, last number.
#[test]
#[ignore = "the test that kills this process starts it"]
fn writes_until_it_is_killed() {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).unwrap();
    assert!(!path.is_empty(), "this test needs the file's path on its standard input");
    let store = Arc::new(EmbeddedStore::open(&config(PathBuf::from(path.trim_end()))).unwrap());
    Runtime::new().unwrap().block_on(async {
        let mut writers = JoinSet::new();
        for number in 0..SESSIONS {
            writers.spawn(write_for_ever(Arc::clone(&store), session(number)));
        }
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
    });
}

async fn write_for_ever(store: Arc<EmbeddedStore>, id: SessionId) {
    let now = Timestamp::default();
    let owner = PrincipalId::parse("ada").unwrap();
    drop(store.create(&SessionRecord::opened(id.clone(), owner, None, now)).await);
    let holder = format!("process {}", std::process::id());
    let claim = store.claim(&id, &holder, now, Duration::from_hours(1)).await.unwrap();
    let (epoch, mut last) = (claim.lease.epoch, claim.last.seq.get());
    loop {
        let count = 1 + last % 3;
        let numbers = last + 1..=last + count;
        let commit = Commit {
            epoch,
            after: Seq::new(last),
            events: numbers.clone().map(|seq| event(EventId { epoch, seq: Seq::new(seq) })).collect(),
            history: Some(HistoryChange::Slide { append: numbers.map(message).collect(), drop_front: 0 }),
            record: RecordChange {
                last_active_at: Some(Timestamp::from_millis(i64::try_from(last + count).unwrap())),
                ..RecordChange::default()
            },
        };
        store.commit(&id, &commit).await.unwrap();
        last += count;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ACKNOWLEDGED} {id} {epoch} {last}").unwrap();
    }
}

fn event(id: EventId) -> Event {
    let body = EventBody::Notice { kind: NoticeKind::TurnResumed, text: format!("event {} of many", id.seq) };
    Event { id, turn: None, at: Timestamp::default(), body, link: None, request: None }
}

fn message(number: u64) -> Message {
    let by = PrincipalId::parse("ada").unwrap();
    let text = format!("message {number} {}", "x".repeat(200));
    let message = UserMessage { text, attachments: Vec::new(), client_message_id: None, by };
    Message::User { turn: TurnId::new(number), at: Timestamp::default(), message }
}

/// What was acknowledged last: the epoch and the number, by session.
type Acknowledged = HashMap<SessionId, (u64, u64)>;

/// Starts the process, kills it when it has acknowledged so many commits and a little time has passed, and keeps account
/// of what it acknowledged.
fn run_and_kill(path: &Path, commits: usize, pause: Duration, acknowledged: &mut Acknowledged) -> usize {
    let mut child = start(path);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    let mut count = 0;
    let mut take = |line: &str| {
        // The last line may have been cut off.
        if let Some(told) = line.strip_prefix(ACKNOWLEDGED).filter(|told| told.split(' ').count() == 4) {
            let mut words = told.split_whitespace();
            let id = SessionId::parse(words.next().unwrap()).unwrap();
            let numbers = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
            acknowledged.insert(id, numbers);
            count += 1;
        }
        count
    };
    while let Ok(line) = told.recv_timeout(Duration::from_secs(30)) {
        if take(&line) >= commits {
            break;
        }
    }
    // The moment within a commit is chance.
    if let Ok(line) = told.recv_timeout(pause) {
        take(&line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    for line in told {
        take(&line);
    }
    count
}

fn start(path: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", path.display()).unwrap();
    child
}

async fn check(path: &Path, acknowledged: &Acknowledged) {
    let store = EmbeddedStore::open(&config(path.to_owned())).unwrap();
    for (id, (epoch, seq)) in acknowledged {
        let log = store.read(id, Seq::new(0), usize::MAX).await.unwrap();
        let numbers: Vec<u64> = log.iter().map(|event| event.id.seq.get()).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "the log of {id} is not dense: {numbers:?}");
        let end = numbers.len() as u64;
        assert!(*seq <= end, "{id}: {seq} was acknowledged, and the log ends at {end}");
        let index = usize::try_from(*seq).unwrap() - 1;
        assert_eq!(log[index].id.epoch.get(), *epoch, "{id}: another owner's event is at {seq}");
        assert_eq!(store.last(id).await.unwrap(), log.last().unwrap().id);
        assert_eq!(store.history(id).await.unwrap().len() as u64, end, "{id}: a step was written in part");
        let record = store.get(id).await.unwrap().unwrap();
        assert_eq!(record.last_active_at.as_millis(), i64::try_from(end).unwrap(), "{id}: a step was written in part");
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let seed = RandomState::new().hash_one("");
    let random = RandomState::new();
    let runtime = Runtime::new().unwrap();
    let mut acknowledged = Acknowledged::new();
    let mut total = 0;
    for round in 0..ROUNDS {
        let chance = random.hash_one((seed, round));
        let commits = usize::try_from(chance % 60).unwrap();
        let pause = Duration::from_micros(chance / 64 % 3_000);
        total += run_and_kill(&path, commits, pause, &mut acknowledged);
        // Not each time, so that a process also finds what two others have left.
        if round % 3 != 0 {
            runtime.block_on(check(&path, &acknowledged));
        }
    }
    runtime.block_on(check(&path, &acknowledged));
    assert!(total >= ROUNDS, "only {total} commits were acknowledged in {ROUNDS} rounds");
    assert_eq!(acknowledged.len(), SESSIONS);
}

/// Killed while it makes the file, a process must not leave one behind that nobody can open.
#[test]
fn a_file_that_was_never_finished_is_made_anew() {
    for round in 0..ROUNDS as u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let mut child = start(&path);
        // From before the process has begun to after its first commits.
        let (_never, told) = mpsc::channel::<()>();
        assert!(told.recv_timeout(Duration::from_micros(round * 1_500)).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
        EmbeddedStore::open(&config(path)).unwrap();
    }
}
