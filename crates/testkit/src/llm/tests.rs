use super::{
    contract::{llm_contract, whole_answer},
    history::History,
    *,
};
use futures::{FutureExt, TryStreamExt};
use lockkeeper_domain::StopReason;
use serde_json::json;
use std::panic::AssertUnwindSafe;

fn ask(text: &str) -> GenerateRequest {
    History::asked(text).request("scripted-1")
}

#[tokio::test]
async fn steps_answer_requests_in_their_order() {
    let provider = ScriptedProvider::new([
        Step::calls([("a", json!({})), ("b", json!({"x": 1}))]),
        Step::new().reason("hm").say("one ").say("two").stop(StopReason::MaxTokens),
    ]);
    let first = whole_answer(&provider, ask("1")).await;
    assert_eq!(first.calls.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let second = whole_answer(&provider, ask("2")).await;
    assert_eq!((second.text.as_str(), second.stop), ("one two", StopReason::MaxTokens));
    assert_eq!(provider.requests().len(), 2);
    assert_eq!(provider.remaining(), 0);
    assert!(matches!(provider.generate(ask("3")).await.err(), Some(LlmError::BadRequest(_))));
    assert_eq!(provider.dropped(), 0);
}

#[tokio::test]
async fn errors_come_where_the_script_has_them() {
    let overloaded = LlmError::Overloaded("busy".to_owned());
    let provider = ScriptedProvider::new([
        Step::error(overloaded.clone()),
        Step::text("half").fail(overloaded.clone()),
        Step::text("half").cut(),
    ]);
    assert_eq!(provider.generate(ask("1")).await.err(), Some(overloaded.clone()));
    let failed: Vec<_> = provider.generate(ask("2")).await.expect("accepted").collect().await;
    assert_eq!(failed, [Ok(ModelEvent::Text("half".to_owned())), Err(overloaded)]);
    let cut: Vec<_> = provider.generate(ask("3")).await.expect("accepted").collect().await;
    assert_eq!(cut, [Ok(ModelEvent::Text("half".to_owned()))]);
    provider.until_finished(3).await;
    assert_eq!(provider.dropped(), 0);
}

#[tokio::test]
async fn a_gate_holds_an_answer_until_it_opens() {
    let (start, middle) = (Gate::new(), Gate::new());
    let step = Step::new().accepted_after(&start).say("a").wait(&middle).say("b");
    let provider = ScriptedProvider::new([step]);
    let mut asked = provider.generate(ask("1"));
    assert!(asked.as_mut().now_or_never().is_none());
    start.reached().await;
    start.open();
    let mut answer = asked.await.expect("accepted");
    assert_eq!(answer.next().await, Some(Ok(ModelEvent::Text("a".to_owned()))));
    assert!(answer.next().now_or_never().is_none());
    middle.reached().await;
    middle.open();
    let rest: Vec<ModelEvent> = answer.try_collect().await.expect("no error");
    assert!(matches!(&rest[..], [ModelEvent::Text(b), ModelEvent::Completed(_)] if b == "b"));
}

#[tokio::test]
async fn a_dropped_answer_is_told_from_a_finished_one() {
    let provider = ScriptedProvider::new([Step::text("a").hang(), Step::unanswered(), Step::text("b")]);
    let mut hanging = provider.generate(ask("1")).await.expect("accepted");
    hanging.next().await.expect("an event").expect("no error");
    assert!(hanging.next().now_or_never().is_none());
    assert_eq!(provider.dropped(), 0);
    drop(hanging);
    provider.until_dropped(1).await;
    assert!(provider.generate(ask("2")).now_or_never().is_none());
    provider.until_dropped(2).await;
    let mut finished = provider.generate(ask("3")).await.expect("accepted");
    while !matches!(finished.next().await, Some(Ok(ModelEvent::Completed(_)))) {}
    drop(finished);
    assert_eq!(provider.dropped(), 2);
    assert_eq!(provider.request(2).await.messages.len(), 1);
}

#[tokio::test]
async fn the_contract_accepts_whole_answers() {
    let provider = ScriptedProvider::new((0..16).map(|i| Step::text(format!("answer {i}"))));
    llm_contract(&provider).await;
}

#[tokio::test]
async fn the_contract_notices_a_broken_answer() {
    let text = |text: &str| ModelEvent::Text(text.to_owned());
    let completed = || ModelEvent::Completed(Step::text("whole").completion());
    let broken = [
        ("no completion", Step::text("whole").cut()),
        ("nothing", Step::events([])),
        ("other text", Step::events([text("half"), completed()])),
        ("two completions", Step::events([text("whole"), completed(), completed()])),
        ("more text", Step::events([text("whole"), completed(), text("!")])),
        ("other reasoning", Step::events([ModelEvent::Reasoning("hm".to_owned()), text("whole"), completed()])),
        ("an error", Step::text("whole").fail(LlmError::Network("gone".to_owned()))),
        ("a refusal", Step::error(LlmError::BadRequest("no".to_owned()))),
    ];
    for (why, step) in broken {
        let provider = ScriptedProvider::new([step]);
        let outcome = AssertUnwindSafe(whole_answer(&provider, ask("1"))).catch_unwind().await;
        assert!(outcome.is_err(), "{why}");
    }
}
