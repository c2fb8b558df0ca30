//! Sessions are listed, renamed and deleted by those who own them.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, SessionId, SessionTitle};
use lockkeeper_ports::{EventLog as _, SessionRepository as _};
use lockkeeper_testkit::llm::Step;
use serde_json::json;

async fn titles(user: &User) -> Vec<(String, Option<String>)> {
    let sessions = user.manager.list(&user.me, 10).await.expect("listed");
    sessions.into_iter().map(|record| (record.id.to_string(), record.title.map(String::from))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_called_as_its_first_message_begins_until_it_is_renamed() {
    let desk = Desk::new([Step::text("a"), Step::text("b"), Step::text("c")]);
    let mut user = User::ready(&desk.manager()).await;
    assert_eq!(titles(&user).await, [("s".to_owned(), None)]);
    for text in ["What is\nin here?", "And there?"] {
        user.says(text).await.expect("accepted");
        user.sees_end().await;
        assert_eq!(titles(&user).await, [("s".to_owned(), Some("What is in here?".to_owned()))]);
    }
    user.manager.rename(&user.session, &user.me, " Mine ").await.expect("renamed");
    // Not by the next server's first message either.
    let mut next = User::opens(&desk.another().manager(), lockkeeper_domain::Seq::default()).await;
    next.says("Else?").await.expect("accepted");
    for _ in 0..3 {
        next.sees_end().await;
    }
    assert_eq!(titles(&next).await, [("s".to_owned(), Some("Mine".to_owned()))]);
}

#[tokio::test(start_paused = true)]
async fn a_title_that_is_none_is_refused() {
    let user = User::ready(&Desk::new([]).manager()).await;
    for bad in ["", "  ", "two\nlines", &"x".repeat(SessionTitle::MAX_CHARS + 1)] {
        let refused = user.manager.rename(&user.session, &user.me, bad).await.expect_err("no title");
        assert_eq!(refused.code, Code::InvalidPayload);
        assert!(refused.message.contains("1 to 120 characters"), "{}", refused.message);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_lists_renames_or_deletes_what_is_not_theirs() {
    let user = User::ready(&Desk::new([]).manager()).await;
    let bob = principal("bob");
    assert!(user.manager.list(&bob, 10).await.expect("listed").is_empty());
    let nothing = SessionId::parse("nothing").expect("an id");
    for id in [&user.session, &nothing] {
        let renamed = user.manager.rename(id, &bob, "his").await.expect_err("not bob's");
        let deleted = user.manager.delete(id, &bob).await.expect_err("not bob's");
        assert_eq!((renamed.code, deleted.code), (Code::Forbidden, Code::Forbidden));
        assert_eq!(renamed.message, deleted.message);
    }
    assert!(user.manager.exists(&user.session).await.expect("read"));
    assert!(!user.manager.exists(&nothing).await.expect("read"));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_works_is_ended_and_deleted_from_any_server() {
    for elsewhere in [false, true] {
        let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))])]);
        let mut owner = User::ready(&desk.another().manager()).await;
        let other = desk.another().manager();
        owner.says("go").await.expect("accepted");
        owner.is_asked().await;
        let sandbox = owner.sandbox().await;
        let asked = if elsewhere { &other } else { &owner.manager };
        asked.delete(&owner.session, &owner.me).await.expect("deleted");
        assert!(desk.store.get(&owner.session).await.expect("read").is_none());
        assert!(desk.store.log(&owner.session).await.is_empty());
        assert!(titles(&owner).await.is_empty());
        assert!(desk.host.calls().is_empty(), "what waited did not run");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(desk.stopped(), [sandbox], "elsewhere: {elsewhere}");
        // Its name is free for whoever comes first, and holds nothing of it.
        let bob = other.open(wish(Some("s"), "bob")).await.expect("opened");
        bob.ready().await.expect("ready");
        assert_eq!(desk.store.last(&owner.session).await.expect("read"), lockkeeper_domain::EventId::default());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_drives_is_deleted_without_a_new_sandbox() {
    let desk = Desk::new([Step::text("a")]);
    let manager = desk.manager();
    let mut user = User::ready(&manager).await;
    user.says("go").await.expect("accepted");
    user.sees_end().await;
    let sandbox = user.sandbox().await;
    manager.drain(std::time::Duration::from_secs(1)).await;
    let other = desk.another().manager();
    other.delete(&user.session, &user.me).await.expect("deleted");
    assert!(desk.store.get(&user.session).await.expect("read").is_none());
    assert_eq!(other.live_sessions(), 0);
    // The drained server has removed it, and this one what the record said.
    assert!(desk.stopped().iter().all(|stopped| *stopped == sandbox), "{:?}", desk.stopped());
}
