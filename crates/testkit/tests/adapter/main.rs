//! The adapter of docs/adapters.md.

mod echo;

use echo::EchoProvider;
use futures::TryStreamExt as _;
use lockkeeper_ports::{LlmError, LlmProvider as _, ModelEvent};
use lockkeeper_testkit::llm::{contract::llm_contract, history::History};

#[tokio::test]
async fn it_keeps_the_contract_of_providers() {
    llm_contract(&EchoProvider).await;
}

#[tokio::test]
async fn it_says_again_what_it_was_told() {
    let request = History::asked("one two").request("echo-1");
    let events: Vec<_> = EchoProvider.generate(request).await.expect("accepted").try_collect().await.expect("whole");
    assert_eq!(events[..2], [ModelEvent::Text("one ".to_owned()), ModelEvent::Text("two".to_owned())]);
}

#[tokio::test]
async fn a_model_that_it_does_not_have_is_refused() {
    let request = History::asked("hello").request("echo-2");
    let refused = EchoProvider.generate(request).await.err().expect("refused");
    assert_eq!(refused, LlmError::BadRequest("there is no model echo-2".to_owned()));
}
