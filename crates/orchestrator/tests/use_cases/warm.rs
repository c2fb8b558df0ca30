use crate::desk::{Desk, User};
use lockkeeper_orchestrator::{Provider, SessionManager};
use lockkeeper_ports::{SandboxError, SandboxId, mocks::MockSandboxRuntime};
use lockkeeper_testkit::llm::Step;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A manager whose runtime has reserves: `warm-0`, `warm-1` and so on; `usable` says which of them can be adopted.
fn manager(desk: &Desk, usable: fn(&str) -> bool) -> (Arc<SessionManager>, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let mut sandboxes = MockSandboxRuntime::new();
    sandboxes.expect_reserve().returning(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Ok(Some(SandboxId::new(format!("warm-{number}"))))
    });
    sandboxes.expect_adopt().returning(move |warm, spec| {
        if usable(warm.as_str()) {
            Ok(SandboxId::new(format!("{warm}-for-{}", spec.session)))
        } else {
            Err(SandboxError::Gone)
        }
    });
    sandboxes.expect_start().returning(|_, _| Ok(SandboxId::new("cold")));
    let sandboxes = desk.with_stop_and_list(sandboxes);
    (desk.manager_with(Provider::Ready(Arc::new(desk.provider.clone())), sandboxes), made)
}

/// Lets the pool do what it has to.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_gets_a_sandbox_that_is_ready_and_another_takes_its_place() {
    let desk = Desk::new([Step::text("hello")]);
    let (manager, made) = manager(&desk, |_| true);
    settle().await;
    assert_eq!(made.load(Ordering::Relaxed), desk.config.warm_sandboxes);
    let mut ann = User::ready(&manager).await;
    assert_eq!(ann.sandbox().await, "warm-0-for-s");
    settle().await;
    assert_eq!(made.load(Ordering::Relaxed), desk.config.warm_sandboxes + 1);
    ann.says("hi").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "hello");
    assert_eq!(desk.provider.requests()[0].tools.len(), 4, "its tools were connected before");
}

#[tokio::test(start_paused = true)]
async fn a_warm_sandbox_that_is_gone_is_passed_over() {
    let desk = Desk::new([]);
    let (manager, _) = manager(&desk, |warm| warm == "warm-1");
    settle().await;
    let ann = User::ready(&manager).await;
    assert_eq!(ann.sandbox().await, "warm-1-for-s");
    assert_eq!(desk.stopped(), ["warm-0"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_usable_one_the_session_starts_its_own() {
    let desk = Desk::new([]);
    let (manager, _) = manager(&desk, |_| false);
    settle().await;
    assert_eq!(User::ready(&manager).await.sandbox().await, "cold");
    assert_eq!(desk.stopped(), ["warm-0", "warm-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_warm_sandbox_is_replaced_when_it_is_old_and_removed_at_the_end() {
    let mut desk = Desk::new([]);
    desk.config.warm_sandboxes = 1;
    let (manager, made) = manager(&desk, |_| true);
    tokio::time::sleep(Duration::from_secs(desk.config.warm_sandbox_secs - 1)).await;
    assert_eq!(made.load(Ordering::Relaxed), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((desk.stopped(), made.load(Ordering::Relaxed)), (vec!["warm-0".to_owned()], 2));
    manager.drain(Duration::from_secs(1)).await;
    assert_eq!(desk.stopped(), ["warm-0", "warm-1"]);
}
