use crate::desk::{Desk, User, wish};
use lockkeeper_domain::{Code, NoticeKind, Outcome, Rule, Seq};
use lockkeeper_orchestrator::Provider;
use lockkeeper_ports::{AvailabilityReporter, SandboxError, SandboxId, mocks::MockSandboxRuntime};
use lockkeeper_testkit::llm::Step;
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn allow_all() -> Vec<Rule> {
    serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule")
}

#[tokio::test(start_paused = true)]
async fn a_message_before_the_sandbox_is_ready_waits_for_it() {
    let desk = Desk::new([Step::text("ready")]);
    let mut ann = User::opens(&desk.manager(), Seq::default()).await;
    ann.says("hi").await.expect("accepted before the start is over");
    assert_eq!(ann.sees_answer().await, "ready");
    assert_eq!(desk.provider.requests()[0].tools.len(), 4, "the model was asked when the tools were there");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_cannot_start_is_a_failure_with_its_reason_and_is_tried_again() {
    let desk = Desk::new([Step::text("at last")]);
    let mut sandboxes = MockSandboxRuntime::new();
    let mut tries = 0;
    sandboxes.expect_start().returning(move |_, _| {
        tries += 1;
        if tries == 1 { Err(SandboxError::StartTimeout(Duration::from_secs(10))) } else { Ok(SandboxId::new("second")) }
    });
    let sandboxes = desk.with_stop_and_list(sandboxes);
    let manager = desk.manager_with(Provider::Ready(Arc::new(desk.provider.clone())), sandboxes);
    let attached = manager.open(wish(Some("s"), "ann")).await.expect("opened");
    let failure = attached.ready().await.expect_err("no sandbox");
    assert_eq!(failure.code, Code::SandboxUnavailable);
    assert!(failure.message.contains("10s"), "{}", failure.message);
    let mut ann = User::ready(&manager).await;
    ann.says("hi").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "at last");
}

/// Nobody asks for it: neither a message nor another view comes.
/// Covers: E4
#[tokio::test(start_paused = true)]
async fn start_that_failed_while_the_runtime_was_away_is_tried_again_when_it_is_back() {
    for notices_late in [false, true] {
        let desk = Desk::new([Step::text("at last")]);
        let runtime = Arc::new(AvailabilityReporter::default());
        let mut sandboxes = MockSandboxRuntime::new();
        let observed = runtime.observe();
        sandboxes.expect_availability().returning(move || observed.clone());
        let (stalling, mut tries) = (Arc::clone(&runtime), 0);
        sandboxes.expect_start().returning(move |_, _| {
            tries += 1;
            if tries > 1 {
                return Ok(SandboxId::new("second"));
            }
            stalling.away();
            if notices_late {
                stalling.back();
            }
            Err(SandboxError::Unavailable("the engine has not answered for 5s".into()))
        });
        let sandboxes = desk.with_stop_and_list(sandboxes);
        let manager = desk.manager_with(Provider::Ready(Arc::new(desk.provider.clone())), sandboxes);
        let attached = manager.open(wish(Some("s"), "ann")).await.expect("opened");
        assert!(notices_late || attached.ready().await.is_err());
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(desk.host.sessions().len(), usize::from(notices_late));
        runtime.back();
        desk.host.wait_for_sessions(1).await;
        let mut ann = User::ready(&manager).await;
        ann.says("hi").await.expect("accepted");
        assert_eq!(ann.sees_answer().await, "at last");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_sandbox_is_gone_runs_once_in_a_fresh_one_and_people_are_told() {
    let mut desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    desk.rules = allow_all();
    let mut ann = User::ready(&desk.manager()).await;
    let lost = ann.sandbox().await;
    desk.host.lose_sandbox(&SandboxId::new(lost.as_str()));
    ann.says("go").await.expect("accepted");
    assert_eq!(ann.sees_notice().await, NoticeKind::SandboxReplaced);
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded);
    assert_eq!(desk.host.calls().len(), 1);
    assert!(desk.stopped().contains(&lost));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_told_and_the_others_work() {
    let desk = Desk::new([Step::text("fine")]);
    desk.host.take_down("box", Code::ToolTimeout, "it stayed mute");
    let mut ann = User::ready(&desk.manager()).await;
    assert_eq!(ann.sees_notice().await, NoticeKind::ToolsUnavailable);
    ann.says("hi").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "fine");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_removes_its_sandbox_and_a_later_message_starts_another() {
    let desk = Desk::new([Step::text("again")]);
    let ann = User::ready(&desk.manager()).await;
    let first = ann.sandbox().await;
    ann.manager.end(&ann.session, &ann.me).await.expect("ended");
    let mut back = User::ready(&ann.manager).await;
    assert_eq!(desk.stopped(), [first]);
    assert_eq!(back.sees_notice().await, NoticeKind::SessionEnded);
    assert_eq!(back.sees_notice().await, NoticeKind::SandboxReplaced);
    back.says("hi").await.expect("accepted");
    assert_eq!(back.sees_answer().await, "again");
}

/// Several calls find their sandbox gone: one fresh sandbox serves all of them, and none of them fails.
#[tokio::test(start_paused = true)]
async fn calls_of_a_lost_sandbox_share_one_fresh_sandbox() {
    for count in [2, 3, 8] {
        let calls = (0..count).map(|n| ("box__echo", json!({"text": n.to_string()})));
        let mut desk = Desk::new([Step::calls(calls.collect::<Vec<_>>()), Step::text("done")]);
        desk.rules = allow_all();
        let mut ann = User::ready(&desk.manager()).await;
        let lost = ann.sandbox().await;
        desk.host.lose_sandbox(&SandboxId::new(lost.as_str()));
        ann.says("go").await.expect("accepted");
        for _ in 0..count {
            assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded);
        }
        assert_eq!(ann.sees_answer().await, "done");
        assert_eq!(desk.host.calls().len(), count);
        assert_eq!(desk.stopped(), [lost], "the fresh one stands");
        assert_eq!(desk.host.sessions().len(), 2);
    }
}
