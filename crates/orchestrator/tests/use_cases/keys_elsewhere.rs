//! Keys of users whose session another server drives.

use crate::{
    desk::{Desk, User},
    doubt::Lossy,
    keys::{NO_KEY, keyless, open, with_key},
};
use lockkeeper_domain::{Code, Seq};
use lockkeeper_testkit::llm::Step;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn a_key_that_is_brought_to_another_server_pays_for_the_session() {
    let mut desk = Desk::new([Step::text("hello")]);
    let vendor = keyless(&mut desk);
    let server = || desk.another().manager_with(NO_KEY, desk.sandboxes());
    let (owner, other) = (server(), server());
    with_key(&owner, "first-key").await;
    let mut ann = with_key(&other, "second-key").await;
    assert_eq!((owner.live_sessions(), other.live_sessions()), (1, 0));
    // Looked at by the one and used by the other.
    let brought = vendor.keys.lock().expect("no panic").iter().filter(|key| *key == "second-key").count();
    assert_eq!(brought, 2);
    ann.says("hi").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_key_does_not_go_where_somebody_may_read_along() {
    let mut desk = Desk::new([Step::text("hello")]);
    let vendor = keyless(&mut desk);
    let owner = desk.another().manager_with(NO_KEY, desk.sandboxes());
    with_key(&owner, "first-key").await;
    let mut far = desk.another();
    far.peers = Some(Arc::new(Lossy { inner: desk.join(), lose: Arc::default() }));
    let other = far.manager_with(NO_KEY, far.sandboxes());
    let refused = open(&other, Some("second-key"), None).await.map(drop).expect_err("keys stay");
    assert_eq!(refused.code, Code::OwnedElsewhere);
    assert_eq!(vendor.keys.lock().expect("no panic").iter().filter(|key| *key == "second-key").count(), 1);
    // Without one, the session's own key pays as before.
    let attached = open(&other, None, None).await.expect("opened");
    attached.ready().await.expect("ready");
    let mut ann = User::of(&other, attached, Seq::default()).await;
    ann.says("hi").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "hello");
}
