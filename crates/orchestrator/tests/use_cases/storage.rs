//! Bounds on what is stored.

use crate::desk::{Desk, User, wish};
use lockkeeper_domain::Code;
use lockkeeper_ports::SessionStore as _;
use lockkeeper_testkit::llm::Step;

/// Covers: S2-9
#[tokio::test(start_paused = true)]
async fn sessions_beyond_the_stored_bound_are_refused() {
    let mut desk = Desk::new([]);
    desk.config.max_stored_sessions_per_principal = 3;
    let manager = desk.manager();
    let open = async |session: String, name: &str| manager.open(wish(Some(&session), name)).await.map(|_| ());
    let (opened, refused): (Vec<_>, Vec<_>) = futures::future::join_all((0..12).map(|n| open(format!("a{n}"), "ann")))
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!((opened.len(), refused.len()), (3, 9));
    let failure = refused[0].clone().expect_err("refused");
    assert_eq!(failure.code, Code::StorageFull);
    assert!(failure.hint.is_some_and(|hint| hint.contains("session.max_stored_sessions_per_principal")));
    open("b".to_owned(), "bob").await.expect("another user is not concerned");

    // Deleting one makes room.
    let ann = crate::desk::principal("ann");
    let mine = manager.list(&ann, 10).await.expect("listed");
    manager.delete(&mine[0].id, &ann).await.expect("deleted");
    open("a-new".to_owned(), "ann").await.expect("room");
}

/// Covers: S2-9
#[tokio::test(start_paused = true)]
async fn messages_beyond_the_stored_bytes_are_refused() {
    let mut desk = Desk::new((0..40).map(|_| Step::text("ok")));
    desk.config.max_stored_bytes_per_principal = 512 << 10;
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    let text = "x".repeat(32 << 10);
    let mut refused = None;
    for _ in 0..40 {
        if let Err(failure) = ann.says(&text).await {
            refused = Some(failure);
            break;
        }
        ann.sees_end().await;
    }
    let failure = refused.expect("the bound holds");
    assert_eq!(failure.code, Code::StorageFull);
    assert!(failure.hint.is_some_and(|hint| hint.contains("session.max_stored_bytes_per_principal")));
    let used = desk.store.occupied_by(&ann.me.id).await.expect("measured");
    assert!(used.bytes < 768 << 10, "{used:?}");
}

/// Covers: S2-9
#[tokio::test(start_paused = true)]
async fn logs_are_trimmed_by_bytes() {
    let mut desk = Desk::new((0..40).map(|_| Step::text("ok")));
    desk.config.max_log_bytes = 256 << 10;
    let mut ann = User::ready(&desk.manager()).await;
    let text = "x".repeat(32 << 10);
    for _ in 0..40 {
        ann.says(&text).await.expect("accepted");
        ann.sees_end().await;
    }
    let log = desk.store.occupied(&ann.session).await.expect("measured").log;
    assert!(log <= 320 << 10, "{log} bytes");
}
