mod cut;
mod decoding;
mod goldens;
mod http;
mod requests;
mod retries;
pub(crate) mod server;

use crate::{
    ClaudeProvider, Config,
    decode::Decoder,
    error::Failure,
    sse::{self, Limits},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use lockkeeper_ports::{LlmError, ModelEvent};
use std::{collections::VecDeque, fmt::Write as _, time::Duration};

const MODEL: &str = "claude-sonnet-5-5";

/// A configuration for a server on loopback, with short pauses.
fn config(url: &str) -> Config {
    Config {
        api_key: "sk-ant-0123456789".into(),
        base_url: url.to_owned(),
        retry_base_ms: 1,
        idle_timeout_secs: 20,
        ..Config::default()
    }
}

fn provider(url: &str) -> ClaudeProvider {
    ClaudeProvider::new(config(url)).expect("a valid configuration")
}

/// What the adapter makes of a body that arrives in chunks of `size` bytes and then ends.
fn decode(body: &[u8], size: usize) -> (Vec<ModelEvent>, Option<LlmError>) {
    let limits = Limits { idle: Duration::from_mins(1), event_bytes: 1 << 20, answer_bytes: 64 << 20 };
    // The timer wants a runtime, though nothing here waits.
    let runtime = tokio::runtime::Handle::try_current()
        .err()
        .map(|_| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let _inside = runtime.as_ref().map(tokio::runtime::Runtime::enter);
    let run = async {
        let mut decoder = Decoder::new(MODEL.to_owned());
        let mut out = VecDeque::new();
        let mut events =
            std::pin::pin!(sse::events(stream::iter(body.chunks(size).map(Bytes::copy_from_slice).map(Ok)), limits));
        let outcome: Result<(), Failure> = loop {
            match events.next().await {
                Some(Ok(data)) => {
                    if let Err(failure) = decoder.event(&data, &mut out) {
                        break Err(failure);
                    }
                }
                Some(Err(error)) => break if is_complete(&out) { Ok(()) } else { Err(error.into()) },
                None => break decoder.end(&mut out),
            }
        };
        (Vec::from(out), outcome.err().map(|failure| failure.error))
    };
    run.now_or_never().expect("the body is all there")
}

/// The adapter stops reading there.
fn is_complete(events: &VecDeque<ModelEvent>) -> bool {
    matches!(events.back(), Some(ModelEvent::Completed(_)))
}

/// A line for each event, and one for the error.
fn rendered((events, error): &(Vec<ModelEvent>, Option<LlmError>)) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            ModelEvent::Text(piece) => _ = writeln!(text, "text {piece:?}"),
            ModelEvent::Reasoning(piece) => _ = writeln!(text, "reasoning {piece:?}"),
            ModelEvent::Completed(c) => {
                _ = writeln!(text, "completed {:?}, text {:?}, reasoning {:?}", c.stop, c.text, c.reasoning);
                let u = c.usage;
                let counts = [u.input_tokens, u.cached_input_tokens, u.output_tokens, u.reasoning_tokens];
                _ = writeln!(text, "usage {counts:?} (read, of it cached, written, of it reasoning)");
                for call in &c.calls {
                    _ = writeln!(text, "call {:?} {} {}", call.provider_id, call.name, call.args);
                }
                if let Some(r) = &c.replay {
                    _ = writeln!(text, "replay {} {} {} {:#}", r.provider, r.model, r.api, r.raw);
                }
            }
        }
    }
    if let Some(error) = error {
        _ = writeln!(text, "error {}: {error}", error.code());
    }
    text
}
