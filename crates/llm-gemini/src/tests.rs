mod cut;
mod decoding;
mod fallback;
mod goldens;
pub(crate) mod harm;
mod http;
mod keys;
mod refusals;
mod requests;
mod retries;
pub(crate) mod server;

use crate::{Api, Config, GeminiProvider, Reading};
use lockkeeper_ports::{LlmError, ModelEvent};
use std::{collections::VecDeque, fmt::Write as _};

const MODEL: &str = "gemini-3.8-flash";

/// A configuration for a server on loopback, with short pauses.
fn config(url: &str) -> Config {
    Config {
        api_key: "AIza-0123456789".into(),
        base_url: url.to_owned(),
        retry_base_ms: 1,
        idle_timeout_secs: 20,
        ..Config::default()
    }
}

fn provider(url: &str) -> GeminiProvider {
    GeminiProvider::new(config(url)).expect("a valid configuration")
}

/// What the adapter makes of a body that arrives in chunks of `size` bytes and then ends.
fn decode(api: Api, body: &[u8], size: usize) -> (Vec<ModelEvent>, Option<LlmError>) {
    let mut reading = Reading::new(&Config { api, ..Config::default() }, MODEL);
    let mut out = VecDeque::new();
    let read = body.chunks(size).try_for_each(|piece| reading.take(piece, &mut out));
    let outcome = read.and_then(|()| reading.finish(&mut out));
    (out.into(), outcome.err().map(|failure| failure.error))
}

/// A line for each event, and one for the error.
fn rendered((events, error): &(Vec<ModelEvent>, Option<LlmError>)) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            ModelEvent::Text(piece) => _ = writeln!(text, "text {piece:?}"),
            ModelEvent::Reasoning(piece) => _ = writeln!(text, "reasoning {piece:?}"),
            ModelEvent::Notice(notice) => _ = writeln!(text, "notice {notice:?}"),
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
