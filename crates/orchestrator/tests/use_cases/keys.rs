use crate::desk::{Desk, User, principal};
use lockkeeper_domain::{Code, Event, EventBody, Failure, NoticeKind, Seq, SessionId, StopReason};
use lockkeeper_orchestrator::{Attached, OpenSession, OwnKeys, Provider, SessionManager};
use lockkeeper_ports::{KeyedLlm, LlmError, LlmProvider, SessionRepository};
use lockkeeper_testkit::llm::{Gate, ScriptedProvider, Step};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) const NO_KEY: Provider = Provider::MissingKey { name: "scripted", variable: "SCRIPTED_API_KEY" };

/// Answers with one script whoever pays, and remembers who was let in with which key.
#[derive(Clone)]
pub(crate) struct Vendor {
    provider: ScriptedProvider,
    pub(crate) keys: Arc<Mutex<Vec<String>>>,
}

impl KeyedLlm for Vendor {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn default_model(&self) -> &'static str {
        "scripted-1"
    }

    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        self.keys.lock().expect("no panic").push(key.expose_secret().to_owned());
        Ok(Arc::new(self.provider.clone()))
    }
}

/// A server without a key of its own, whose users bring theirs.
pub(crate) fn keyless(desk: &mut Desk) -> Vendor {
    let vendor = Vendor { provider: desk.provider.clone(), keys: Arc::default() };
    desk.own_keys = OwnKeys::Taken(Arc::new(vendor.clone()));
    vendor
}

pub(crate) async fn open(
    manager: &Arc<SessionManager>,
    key: Option<&str>,
    model: Option<&str>,
) -> Result<Attached, Failure> {
    let id = Some(SessionId::parse("s").expect("an id"));
    let key = key.map(|key| key.to_owned().into());
    manager.open(OpenSession { id, principal: principal("ann"), model: model.map(str::to_owned), key }).await
}

pub(crate) async fn with_key(manager: &Arc<SessionManager>, key: &str) -> User {
    let attached = open(manager, Some(key), None).await.expect("opened");
    attached.ready().await.expect("ready");
    User::of(manager, attached, Seq::default()).await
}

fn failure(event: &EventBody) -> Option<Failure> {
    match event {
        EventBody::Failure(failure) => Some(failure.clone()),
        _ => None,
    }
}

fn model(desk: &Desk, request: usize) -> String {
    desk.provider.requests()[request].model.clone()
}

#[tokio::test(start_paused = true)]
async fn a_user_without_a_key_is_refused_and_one_with_a_key_gets_answers() {
    let mut desk = Desk::new([Step::text("hello")]);
    let vendor = keyless(&mut desk);
    let manager = desk.manager_with(NO_KEY, desk.sandboxes());
    let refused = open(&manager, None, None).await.expect_err("no key");
    assert_eq!(refused.code, Code::MissingKey);
    assert!(refused.hint.expect("a hint").contains("auth.apiKey"));
    assert_eq!(manager.live_sessions(), 0);
    let mut ann = with_key(&manager, "anns-key").await;
    ann.says("hi").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "hello");
    assert!(vendor.keys.lock().expect("no panic").iter().all(|key| key == "anns-key"));
}

#[tokio::test(start_paused = true)]
async fn another_view_of_the_session_uses_its_key_without_bringing_one() {
    let mut desk = Desk::new([Step::text("one"), Step::text("two")]);
    keyless(&mut desk);
    let manager = desk.manager_with(NO_KEY, desk.sandboxes());
    let mut ann = with_key(&manager, "anns-key").await;
    let tab = open(&manager, None, None).await.expect("attached");
    let mut tab = User::of(&manager, tab, Seq::default()).await;
    tab.says("hi").await.expect("accepted");
    assert_eq!((tab.sees_answer().await, ann.sees_answer().await), ("one".to_owned(), "one".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_lost_its_key_takes_no_message_until_it_is_brought_again() {
    // The server has a key as well, and must not pay for this.
    let mut desk = Desk::new([Step::text("one"), Step::text("two")]);
    keyless(&mut desk);
    let manager = desk.manager();
    let mut ann = with_key(&manager, "anns-key").await;
    ann.says("hi").await.expect("accepted");
    ann.sees_end().await;
    manager.drain(Duration::ZERO).await;

    let next = desk.manager();
    let back = open(&next, None, None).await.expect("whoever lost the key may look");
    back.ready().await.expect("ready");
    let back = User::of(&next, back, Seq::default()).await;
    let refused = back.says("again").await.expect_err("no key");
    assert_eq!(refused.code, Code::MissingKey);
    assert!(refused.hint.expect("a hint").contains("apiKey"));
    assert_eq!(desk.provider.requests().len(), 1);
    let mut back = with_key(&next, "anns-key").await;
    back.says("again").await.expect("accepted");
    back.sees_answer().await;
    assert_eq!(back.sees_answer().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_lost_its_key_ends_and_says_why() {
    let mut desk = Desk::new([Step::new().say("Once ").hang()]);
    keyless(&mut desk);
    let manager = desk.manager();
    let mut ann = with_key(&manager, "anns-key").await;
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    manager.drain(Duration::ZERO).await;

    let next = desk.manager();
    assert_eq!(next.resume_abandoned().await.expect("looked"), 1);
    let back = open(&next, None, None).await.expect("attached");
    let mut back = User::of(&next, back, Seq::default()).await;
    let failure = back.sees(failure).await;
    assert_eq!(failure.code, Code::MissingKey);
    assert!(failure.hint.expect("a hint").contains("auth.apiKey"));
    assert_eq!(back.sees_end().await, StopReason::Error);
    assert_eq!(desk.provider.requests().len(), 1, "the server's own key was not used");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_waits_for_a_human_waits_for_the_key_too() {
    let mut desk = Desk::new([Step::calls([("box__echo", json!({"text": "x"}))]), Step::text("done")]);
    keyless(&mut desk);
    let manager = desk.manager();
    let mut ann = with_key(&manager, "anns-key").await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    manager.drain(Duration::ZERO).await;

    let next = desk.manager();
    next.resume_abandoned().await.expect("looked");
    let mut back = with_key(&next, "anns-key").await;
    back.answers(&call, true).await.expect("the question is still there");
    assert_eq!(back.sees_answer().await, "done");
    assert_eq!(back.sees_end().await, StopReason::EndTurn);
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_a_server_that_lost_its_own_key_ends_too() {
    let desk = Desk::new([Step::new().say("Once ").hang()]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    ann.manager.drain(Duration::ZERO).await;

    let next = desk.manager_with(NO_KEY, desk.sandboxes());
    assert_eq!(next.resume_abandoned().await.expect("looked"), 1);
    let mut events = next.follow(&ann.session, &ann.me, Seq::default()).await.expect("followed");
    let end = async {
        use futures::StreamExt as _;
        loop {
            let Event { body, .. } = events.next().await.expect("goes on").expect("readable");
            if let EventBody::Failure(failure) = body {
                return failure.code;
            }
        }
    };
    assert_eq!(end.await, Code::MissingKey);
}

#[tokio::test(start_paused = true)]
async fn a_key_where_none_are_taken_is_refused_before_anything_is_created() {
    let desk = Desk::new([]);
    let manager = desk.manager();
    let refused = open(&manager, Some("k"), None).await.expect_err("refused");
    assert_eq!(refused.code, Code::Forbidden);
    let id = SessionId::parse("s").expect("an id");
    assert!(desk.store.get(&id).await.expect("read").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_key_is_nowhere_in_the_store() {
    let mut desk = Desk::new([Step::text("hello")]);
    keyless(&mut desk);
    let manager = desk.manager();
    let mut ann = with_key(&manager, "canary-of-a-key").await;
    ann.says("hi").await.expect("accepted");
    ann.sees_end().await;
    let record = desk.store.get(&ann.session).await.expect("read").expect("there");
    assert!(record.own_key);
    let stored = format!("{record:?} {:?}", desk.store.log(&ann.session).await);
    assert!(!stored.contains("canary"), "{stored}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_named_later_counts_from_the_next_turn_and_everyone_is_told() {
    let gate = Gate::new();
    let step = || Step::calls([("box__echo", json!({"text": "x"}))]);
    let mut desk = Desk::new([Step::new().say("a ").wait(&gate).say("b"), step(), Step::text("c"), Step::text("d")]);
    desk.rules = serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule");
    let manager = desk.manager();
    let first = open(&manager, None, Some("one")).await.expect("opened");
    assert_eq!(first.ready().await.expect("ready").model, "one");
    let mut ann = User::of(&manager, first, Seq::default()).await;
    ann.says("hi").await.expect("accepted");
    ann.says("more").await.expect("queued");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    let later = open(&manager, None, Some("two")).await.expect("attached");
    assert_eq!(later.ready().await.expect("ready").model, "two");
    assert_eq!(ann.sees_notice().await, NoticeKind::ModelChanged);
    gate.open();
    ann.sees_end().await;
    ann.sees_end().await;
    assert_eq!([model(&desk, 0), model(&desk, 1), model(&desk, 2)], ["one", "two", "two"]);
    manager.drain(Duration::ZERO).await;

    let next = desk.manager();
    let back = open(&next, None, None).await.expect("attached");
    assert_eq!(back.ready().await.expect("ready").model, "two", "the record has kept it");
    let mut back = User::of(&next, back, Seq::default()).await;
    back.says("again").await.expect("accepted");
    desk.provider.request(3).await;
    assert_eq!(model(&desk, 3), "two");
    back.sees_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_goes_on_with_the_model_that_began_it() {
    let mut desk = Desk::new([Step::calls([("box__echo", json!({"text": "x"}))]), Step::text("done")]);
    desk.rules = Vec::new();
    let manager = desk.manager();
    let first = open(&manager, None, Some("one")).await.expect("opened");
    let mut ann = User::of(&manager, first, Seq::default()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    open(&manager, None, Some("two")).await.expect("attached");
    ann.answers(&call, true).await.expect("answered");
    assert_eq!(ann.sees_answer().await, "done");
    assert_eq!([model(&desk, 0), model(&desk, 1)], ["one", "one"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_the_vendors_error_with_the_way_to_the_list() {
    let desk = Desk::new([Step::error(LlmError::BadRequest("no model \"nonsense\" here".to_owned()))]);
    let manager = desk.manager();
    let attached = open(&manager, None, Some("nonsense")).await.expect("opened");
    let mut ann = User::of(&manager, attached, Seq::default()).await;
    ann.says("hi").await.expect("accepted");
    let failure = ann.sees(failure).await;
    assert_eq!(failure.code, Code::ProviderBadRequest);
    assert!(failure.hint.expect("a hint").contains("/api/models"));
    assert_eq!(ann.sees_end().await, StopReason::Error);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_model_is_refused_before_anything_is_created() {
    let desk = Desk::new([]);
    let refused = open(&desk.manager(), None, Some("../x")).await.expect_err("refused");
    assert_eq!(refused.code, Code::InvalidPayload);
    let id = SessionId::parse("s").expect("an id");
    assert!(desk.store.get(&id).await.expect("read").is_none());
}
