//! What is stored stays readable, and what cannot be read is told and does no harm to the rest.

use crate::{
    Case,
    owner::{Owner, at, note, principal, said},
    server::{Server, patient},
};
use lockkeeper_domain::{
    CallId, Ceiling, ChainHead, Epoch, EventBody, EventId, Measure, PrincipalId, Seq, SessionId, SessionRecord,
    SessionState, Spend, TurnId,
};
use lockkeeper_ports::{
    Account, AuditTrail as _, Balance, BudgetLedger as _, ConversationRepository as _, EventLog as _, Hold, Reserved,
    SessionRepository as _, StoreError,
};
use lockkeeper_redis_store::{Config, RedisStore};
use std::{error::Error as _, slice::from_ref};

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![
        a_session_of_the_first_layout_is_read,
        what_is_written_is_the_layout_on_record,
        a_budget_of_the_first_layout_is_read,
        logs_of_an_earlier_version_are_audited,
        an_expired_session_keeps_its_audit,
        deleted_session_leaves_no_budget,
        a_layout_of_a_later_version_is_named_as_such,
        r13_what_is_no_json_is_corrupt,
        r13_a_key_of_a_wrong_type_is_corrupt,
        r13_a_session_that_cannot_be_read_hides_no_other,
        a_hole_in_a_log_is_told,
    ]
}

/// A session that is created later under the same id has nothing to pay for.
async fn deleted_session_leaves_no_budget() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let owner = Owner::new(&store).await;
    let account = Account::Session(owner.id().clone());
    let spent = Spend { tokens: 7, ..Spend::default() };
    store.settle(from_ref(&account), "a", spent, at(0)).await.unwrap();
    assert_eq!(store.balance(&account, at(0)).await.unwrap().spent, spent);
    store.release(owner.id(), owner.epoch).await.unwrap();
    store.delete(owner.id(), at(1)).await.unwrap();
    assert_eq!(store.balance(&account, at(1)).await.unwrap(), Balance::default());
}

/// A session as the first version of this crate wrote it, as commands.
const LAYOUT_1: &str = include_str!("layout-1.json");

async fn layout_1() -> Server {
    let server = Server::start(&[]).await;
    let commands: Vec<Vec<String>> = serde_json::from_str(LAYOUT_1).unwrap();
    for words in commands {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let answer = server.ask(&words).await;
        assert!(!answer.starts_with('-'), "{answer}");
    }
    server
}

async fn a_session_of_the_first_layout_is_read() {
    let server = layout_1().await;
    let store = server.store().await;
    let id = SessionId::parse("first").unwrap();
    let record = store.get(&id).await.unwrap().unwrap();
    let mut expected = SessionRecord::opened(id.clone(), PrincipalId::parse("ada").unwrap(), None, at(0));
    expected.last_active_at = at(1);
    assert_eq!(record, expected);
    assert_eq!(store.history(&id).await.unwrap(), [said(2)]);
    let epoch = Epoch::new(1_767_225_600_000_000);
    assert_eq!(store.read(&id, Seq::new(0), 10).await.unwrap(), [note(epoch, 1), note(epoch, 2)]);
    assert_eq!(store.last(&id).await.unwrap(), EventId { epoch, seq: Seq::new(2) });
    assert_eq!(store.owned_by(&expected.owner, 10).await.unwrap(), [expected]);
    let claim = store.claim(&id, "two", at(60), crate::owner::TTL).await.unwrap();
    assert!(claim.lease.epoch > epoch);
}

/// A change of the layout shows here; then it gets a new version, and this one a reader.
async fn what_is_written_is_the_layout_on_record() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    let fields = server.ask(&["HKEYS", &format!("mcp:session:{{{}}}", owner.id())]).await;
    let mut fields: Vec<_> = fields.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
    fields.sort_unstable();
    let commands: Vec<Vec<String>> = serde_json::from_str(LAYOUT_1).unwrap();
    let mut on_record: Vec<_> = commands[0][2..].iter().step_by(2).map(String::as_str).collect();
    on_record.sort_unstable();
    assert_eq!(fields, on_record);
    let first = server.ask(&["XRANGE", &format!("mcp:log:{{{}}}", owner.id()), "-", "+", "COUNT", "1"]).await;
    assert!(first.contains(&format!("1-{}", owner.epoch)) && first.contains("$1\r\ne\r\n"), "{first}");
}

/// The keys of the session expire by themselves, and those of its audit do not.
async fn an_expired_session_keeps_its_audit() {
    let server = Server::start(&[]).await;
    let config = Config { retention_secs: 3_600, ..patient(server.url()) };
    let store = RedisStore::connect(&config).await.unwrap();
    let mut owner = Owner::new(&store).await;
    let mut step = owner.step(1);
    let call = CallId::minted(TurnId::new(1), 0, 0);
    step.events[0].body = EventBody::ToolStarted { call, server: None, tool: "ls".to_owned() };
    ChainHead::default().link(owner.id(), &mut step.events[0], None);
    owner.commit(&store, &step).await.unwrap();
    let id = owner.id();
    for key in ["session", "conversation", "log"] {
        let key = format!("mcp:{key}:{{{id}}}");
        assert!(!server.ask(&["PTTL", &key]).await.starts_with(":-"), "{key} stays for ever");
        // Its time is over.
        server.ask(&["PEXPIRE", &key, "0"]).await;
    }
    for key in ["audit", "audit-heads"] {
        assert!(server.ask(&["PTTL", &format!("mcp:{key}:{{{id}}}")]).await.starts_with(":-1"), "{key} expires");
    }
    assert!(store.get(id).await.unwrap().is_none());
    let kept = store.audits(id).await.unwrap().pop().unwrap();
    assert!(!kept.is_stored);
    assert_eq!(store.audit(id, &kept.born, 0, 10).await.unwrap().len(), 1);
}

/// A commit, a trim, and a delete add the records that are in the log alone before they go on.
async fn logs_of_an_earlier_version_are_audited() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    for act in 0..3 {
        let mut owner = Owner::new(&store).await;
        let (id, mut head) = (owner.id().clone(), ChainHead::default());
        let audited = |owner: &Owner, head: &mut ChainHead| {
            let mut step = owner.step(2);
            for event in &mut step.events {
                let call = CallId::minted(TurnId::new(1), 0, usize::try_from(event.id.seq.get()).unwrap());
                event.body = EventBody::ToolStarted { call, server: None, tool: "ls".to_owned() };
                head.link(&id, event, None);
            }
            let state: SessionState = serde_json::from_value(serde_json::json!({ "audit": head })).unwrap();
            step.record.checkpoint = Some((state, step.events[1].id.seq));
            step
        };
        let step = audited(&owner, &mut head);
        owner.commit(&store, &step).await.unwrap();
        // As an earlier version leaves it.
        server.ask(&["DEL", &format!("mcp:audit:{{{id}}}"), &format!("mcp:audit-heads:{{{id}}}")]).await;
        let expected: &[u64] = match act {
            0 => {
                let step = audited(&owner, &mut head);
                owner.commit(&store, &step).await.unwrap();
                &[1, 2, 3, 4]
            }
            1 => {
                store.trim(&id, owner.epoch, Seq::new(1)).await.unwrap();
                &[1, 2]
            }
            _ => {
                store.release(&id, owner.epoch).await.unwrap();
                store.delete(&id, at(60)).await.unwrap();
                &[1, 2]
            }
        };
        let kept = store.audits(&id).await.unwrap().pop().unwrap();
        let records = store.audit(&id, &kept.born, 0, usize::MAX).await.unwrap();
        assert_eq!(records.iter().map(|record| record.link.number).collect::<Vec<_>>(), expected, "{act}");
    }
}

async fn a_budget_of_the_first_layout_is_read() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let account = Account::Session(SessionId::parse("first").unwrap());
    let (open, settled) = (format!("0 2 0 {} h", at(60).as_millis()), format!("0 4 0 {} s", at(60).as_millis()));
    let fields = ["tokens", "0", "calls", "1", "wall", "0", "h:open", &open, "h:settled", &settled];
    server.ask(&[&["HSET", "mcp:budget:session:{first}"], &fields[..]].concat()).await;
    let calls = |tool_calls| Spend { tool_calls, ..Spend::default() };
    let stands = Balance { spent: calls(1), held: calls(2) };
    assert_eq!(store.balance(&account, at(1)).await.unwrap(), stands);
    let ceiling = Ceiling { tool_calls: Some(3), ..Ceiling::default() };
    let hold = Hold { key: "next".to_owned(), want: calls(1), least: calls(1), ceiling, until: at(60) };
    let full = Reserved::Refused(Measure::ToolCalls, stands);
    assert_eq!(store.reserve(&account, &hold, at(1)).await.unwrap(), full);
    let hold = Hold { ceiling: Ceiling { tool_calls: Some(4), ..Ceiling::default() }, ..hold };
    assert_eq!(store.reserve(&account, &hold, at(1)).await.unwrap(), Reserved::Held(calls(1)));
    store.settle(from_ref(&account), "open", calls(2), at(1)).await.unwrap();
    assert_eq!(store.balance(&account, at(1)).await.unwrap(), Balance { spent: calls(3), held: calls(1) });
}

async fn a_layout_of_a_later_version_is_named_as_such() {
    let server = layout_1().await;
    let store = server.store().await;
    let id = SessionId::parse("first").unwrap();
    server.ask(&["HSET", "mcp:session:{first}", "v", "2"]).await;
    match store.get(&id).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            assert!(error.source().unwrap().to_string().contains("layout is 2"), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{result:?}");
}

async fn r13_what_is_no_json_is_corrupt() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    let key = |kind: &str| format!("mcp:{kind}:{{{}}}", owner.id());
    server.ask(&["RPUSH", &key("conversation"), "{not json"]).await;
    assert_corrupt(&store.history(owner.id()).await);
    assert_eq!(store.read(owner.id(), Seq::new(0), 10).await.unwrap().len(), 2, "the log is another key");
    server.ask(&["HSET", &key("session"), "active", "soon"]).await;
    assert_corrupt(&store.get(owner.id()).await);
    server.ask(&["HSET", &key("session"), "active", "1", "record", "{}"]).await;
    assert_corrupt(&store.get(owner.id()).await);
    server.ask(&["XADD", &key("log"), "3-1", "e", "garbage"]).await;
    server.ask(&["HSET", &key("session"), "seq", "3"]).await;
    assert_eq!(store.read(owner.id(), Seq::new(0), 2).await.unwrap().len(), 2, "what is before it is read");
    assert_corrupt(&store.read(owner.id(), Seq::new(2), 10).await);
}

async fn r13_a_key_of_a_wrong_type_is_corrupt() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let id = crate::owner::session_id();
    server.ask(&["SET", &format!("mcp:session:{{{id}}}"), "foreign"]).await;
    server.ask(&["SET", &format!("mcp:conversation:{{{id}}}"), "foreign"]).await;
    assert_corrupt(&store.get(&id).await);
    assert_corrupt(&store.claim(&id, "one", at(0), crate::owner::TTL).await);
    assert_corrupt(&store.history(&id).await);
    assert_corrupt(&store.create(&SessionRecord::opened(id, principal(), None, at(0))).await);
}

async fn r13_a_session_that_cannot_be_read_hides_no_other() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let owner = principal();
    let mut records = Vec::new();
    for n in 0..3 {
        let mut record = SessionRecord::opened(crate::owner::session_id(), owner.clone(), None, at(n));
        record.busy = true;
        store.create(&record).await.unwrap();
        records.push(record);
    }
    server.ask(&["HSET", &format!("mcp:session:{{{}}}", records[1].id), "active", "soon"]).await;
    assert_eq!(store.owned_by(&owner, 10).await.unwrap(), [records[2].clone(), records[0].clone()]);
    let mut abandoned = store.abandoned(at(100), 10).await.unwrap();
    abandoned.sort();
    let mut expected = [records[0].id.clone(), records[2].id.clone()];
    expected.sort();
    assert_eq!(abandoned, expected);
}

async fn a_hole_in_a_log_is_told() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 4).await;
    server.ask(&["XDEL", &format!("mcp:log:{{{}}}", owner.id()), &format!("2-{}", owner.epoch)]).await;
    assert_corrupt(&store.read(owner.id(), Seq::new(0), 10).await);
}
