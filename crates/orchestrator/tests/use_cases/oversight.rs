//! An operator sees everybody's sessions, ends them, and answers for their calls under a name of its own.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, EventBody, NoticeKind, PrincipalId, SessionId, StopReason, Via};
use lockkeeper_orchestrator::{NewMessage, Oversight, SessionManager};
use lockkeeper_testkit::llm::Step;
use serde_json::json;
use std::sync::Arc;

fn operator(manager: &Arc<SessionManager>) -> Oversight {
    Oversight::new(Arc::clone(manager), PrincipalId::parse("operator").expect("an id"))
}

fn asking() -> Step {
    Step::calls([("box__echo", json!({"text": "a"})), ("box__echo", json!({"text": "b"}))])
}

#[tokio::test(start_paused = true)]
async fn an_operator_sees_the_sessions_of_all_or_of_one() {
    let desk = Desk::new([]);
    let user = User::ready(&desk.manager()).await;
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    user.manager.open(wish(Some("b"), "bob")).await.expect("opened");
    let operator = operator(&user.manager);
    let ids = |found: Vec<lockkeeper_domain::SessionRecord>| -> Vec<String> {
        found.into_iter().map(|record| record.id.to_string()).collect()
    };
    assert_eq!(ids(operator.sessions(None, 10).await.expect("listed")), ["b", "s"]);
    assert_eq!(ids(operator.sessions(None, 1).await.expect("listed")), ["b"]);
    assert_eq!(ids(operator.sessions(Some(&principal("ann").id), 10).await.expect("listed")), ["s"]);
    let (record, snapshot) = operator.session(&user.session).await.expect("read").expect("there");
    assert_eq!((record.owner, snapshot.messages.len()), (user.me.id, 0));
}

#[tokio::test(start_paused = true)]
async fn all_waiting_calls_are_seen_and_decided_from_another_server() {
    let desk = Desk::new([asking(), asking(), Step::text("done")]);
    let mut ann = User::ready(&desk.another().manager()).await;
    let attached = ann.manager.open(wish(Some("b"), "bob")).await.expect("opened");
    attached.ready().await.expect("ready");
    ann.says("go").await.expect("accepted");
    ann.is_asked().await;
    let hi = NewMessage { text: "hi".to_owned(), attachments: Vec::new(), client_message_id: None };
    ann.manager.submit(attached.session(), &principal("bob"), hi).await.expect("accepted");
    desk.provider.until_finished(2).await;

    let operator = operator(&desk.another().manager());
    let mut waiting = operator.waiting(10).await.expect("read");
    while waiting.len() < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        waiting = operator.waiting(10).await.expect("read");
    }
    waiting.retain(|waiting| waiting.session.id == ann.session);
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|waiting| !waiting.call.why.is_empty()));
    assert!(waiting[0].call.expires_at.is_some());
    // In any order, and as the operator.
    let ids: Vec<_> = waiting.iter().map(|waiting| waiting.call.id().clone()).collect();
    operator
        .decide(&ann.session, ids[1].clone(), true, None, None, Via::default())
        .await
        .expect("decided")
        .expect("there");
    let again = operator
        .decide(&ann.session, ids[1].clone(), false, None, None, Via::default())
        .await
        .expect_err("decided before");
    assert_eq!(again.code, Code::AlreadyResolved);
    let resolved = ann
        .sees(|body| match body {
            EventBody::ApprovalResolved(resolved) => Some(resolved.clone()),
            _ => None,
        })
        .await;
    assert_eq!(resolved.call, ids[1]);
    assert_eq!(resolved.by.map(|by| by.to_string()).as_deref(), Some("operator"));
    ann.answers(&ids[0], false).await.expect("denied");
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    assert_eq!(desk.host.calls().len(), 1, "what was approved ran");
}

#[tokio::test(start_paused = true)]
async fn an_operator_ends_a_session_that_another_server_drives() {
    let desk = Desk::new([Step::new().hang()]);
    let mut user = User::ready(&desk.another().manager()).await;
    user.says("go").await.expect("accepted");
    let operator = operator(&desk.another().manager());
    operator.end(&user.session).await.expect("ended").expect("there");
    assert_eq!(user.sees_end().await, StopReason::Cancelled);
    assert_eq!(user.sees_notice().await, NoticeKind::SessionEnded);
    assert_eq!(user.manager.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_nothing() {
    let operator = operator(&Desk::new([]).manager());
    let id = SessionId::parse("nothing").expect("an id");
    assert!(operator.session(&id).await.expect("read").is_none());
    assert!(operator.end(&id).await.expect("read").is_none());
    let call = lockkeeper_domain::CallId::parse("call_1_0_0").expect("an id");
    assert!(operator.decide(&id, call, true, None, None, Via::default()).await.expect("read").is_none());
    assert!(operator.waiting(10).await.expect("read").is_empty());
}
