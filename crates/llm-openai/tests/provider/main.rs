//! The provider against a scripted server on loopback.

#[path = "../support/server.rs"]
mod server;

mod answers;
mod failures;
mod keys;
mod lists;
mod refusals;

use futures::StreamExt;
use lockkeeper_llm_openai::{Api, Config, OpenAiProvider};
use lockkeeper_ports::{GenerateRequest, LlmError, LlmProvider, ModelEvent};
use lockkeeper_testkit::llm::history::History;
use secrecy::SecretString;
use server::Server;

const KEY: &str = "sk-very-secret";

/// Whole answers that say "Hello", for both APIs.
const RESPONSES: &str = concat!(
    "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"Hel\"}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"lo\"}\n\n",
    "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",",
    "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\"}]}}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}\n\n",
);
const CHAT: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

fn whole(api: Api) -> &'static str {
    match api {
        Api::Responses => RESPONSES,
        Api::Chat => CHAT,
    }
}

fn config(server: &Server, api: Api) -> Config {
    Config { base_url: Some(server.url.clone()), api: Some(api), retry_base_ms: 1, ..Config::default() }
}

fn provider(config: Config) -> OpenAiProvider {
    OpenAiProvider::new(config, Some(SecretString::from(KEY))).expect("a valid configuration")
}

fn question() -> GenerateRequest {
    History::asked("Hello?").request("m-1")
}

/// All that an answer says, and the error at its end, wherever it comes.
async fn listen(provider: &OpenAiProvider, request: GenerateRequest) -> (Vec<ModelEvent>, Option<LlmError>) {
    let mut events = Vec::new();
    match provider.generate(request).await {
        Err(error) => (events, Some(error)),
        Ok(mut stream) => {
            while let Some(item) = stream.next().await {
                match item {
                    Ok(event) => events.push(event),
                    Err(error) => {
                        assert!(stream.next().await.is_none(), "nothing follows an error");
                        return (events, Some(error));
                    }
                }
            }
            (events, None)
        }
    }
}

/// Asks once; the text if the answer is whole, else the error.
async fn ask(provider: &OpenAiProvider) -> Result<String, LlmError> {
    let (mut events, error) = listen(provider, question()).await;
    match (events.pop(), error) {
        (Some(ModelEvent::Completed(completion)), None) => Ok(completion.text),
        (_, Some(error)) => Err(error),
        (last, None) => panic!("an answer without an end: {last:?}"),
    }
}
