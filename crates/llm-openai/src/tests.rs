//! Answers from bytes to the port's events, through async-openai, without a network.

mod chat;
mod mutations;
mod replays;
mod requests;
mod responses;

use crate::{
    Api, Config,
    answer::Decoder,
    failure::{Failure, Feature},
    transport::Transport,
};
use lockkeeper_domain::StopReason;
use lockkeeper_llm_common::{Memory, Toolbox};
use lockkeeper_ports::{Completion, GenerateRequest, LlmError, ModelEvent};
use serde_json::Value;
use std::sync::LazyLock;

pub(crate) const SSE: &str = "text/event-stream; charset=utf-8";
pub(crate) const JSON: &str = "application/json";

static TRANSPORT: LazyLock<Transport> = LazyLock::new(|| {
    let config = Config { base_url: Some("http://127.0.0.1:9/v1".to_owned()), ..Config::default() };
    Transport::new(&config, None).expect("a valid configuration")
});

/// What came of an answer: its events, and the error at its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) events: Vec<ModelEvent>,
    pub(crate) error: Option<LlmError>,
}

impl Heard {
    pub(crate) fn completion(&self) -> Option<&Completion> {
        match self.events.last() {
            Some(ModelEvent::Completed(completion)) => Some(completion),
            _ => None,
        }
    }

    fn pieces(&self) -> (String, String) {
        let (mut text, mut reasoning) = (String::new(), String::new());
        for event in &self.events {
            match event {
                ModelEvent::Text(piece) => text.push_str(piece),
                ModelEvent::Reasoning(piece) => reasoning.push_str(piece),
                ModelEvent::Notice(_) | ModelEvent::Completed(_) => {}
            }
        }
        (text, reasoning)
    }

    /// The rules that hold for every answer: at most one completion, at the end, that holds all pieces, and calls
    /// only where the model ended its turn by itself.
    pub(crate) fn keeps_the_rules(&self) {
        let completions = self.events.iter().filter(|e| matches!(e, ModelEvent::Completed(_))).count();
        assert_eq!(completions, usize::from(self.completion().is_some()), "{self:?}");
        assert_eq!(completions == 0, self.error.is_some(), "an answer ends once: {self:?}");
        if let Some(completion) = self.completion() {
            let (text, reasoning) = self.pieces();
            assert_eq!(completion.text, text);
            assert_eq!(completion.reasoning.clone().unwrap_or_default(), reasoning);
            assert!(completion.calls.is_empty() || completion.stop == StopReason::EndTurn, "{completion:?}");
        }
    }

    /// One line to compare with.
    pub(crate) fn line(&self) -> String {
        let (text, reasoning) = self.pieces();
        let mut line = format!("{text:?}");
        if !reasoning.is_empty() {
            line = format!("{line} thinking {reasoning:?}");
        }
        if let Some(completion) = self.completion() {
            for call in &completion.calls {
                let id = call.provider_id.as_deref().unwrap_or("-");
                line = format!("{line} {id}:{}{}", call.name, call.args);
            }
            let u = completion.usage;
            line = format!(
                "{line} {:?} {}({})+{}({})",
                completion.stop, u.input_tokens, u.cached_input_tokens, u.output_tokens, u.reasoning_tokens,
            );
        }
        if let Some(error) = &self.error {
            line = format!("{line} {error:?}");
        }
        line
    }
}

/// Reads `wire`, cut into chunks of `size` bytes, as an answer of `api`.
pub(crate) async fn hear(api: Api, content_type: &str, wire: &[u8], size: usize) -> Heard {
    let chunks = wire.chunks(size).map(<[u8]>::to_vec).collect();
    let mut heard = Heard { events: Vec::new(), error: None };
    let mut decoder = Decoder::new(api, "m", true);
    let fail = |mut heard: Heard, failure: Failure| {
        heard.error = Some(failure.error);
        heard
    };
    let mut events = match TRANSPORT.replay(api, content_type, chunks).await {
        Ok(events) => events,
        Err(failure) => return fail(heard, failure),
    };
    loop {
        while let Some(piece) = decoder.next_piece() {
            let is_end = matches!(piece, ModelEvent::Completed(_));
            heard.events.push(piece);
            if is_end {
                return heard;
            }
        }
        let fed = match events.next().await {
            Some(Ok(event)) => decoder.feed(&event),
            Some(Err(failure)) => Err(failure),
            None => decoder.close(events.is_done()),
        };
        if let Err(failure) = fed {
            return fail(heard, failure);
        }
    }
}

/// The golden test: `wire` comes to `expected`, however it is split; cut after any byte, it comes to a cut.
pub(crate) fn check(api: Api, wire: &str, expected: &str) {
    runtime().block_on(async {
        for size in [wire.len().max(1), 1, 7, 61] {
            let heard = hear(api, SSE, wire.as_bytes(), size).await;
            heard.keeps_the_rules();
            assert_eq!(heard.line(), expected, "in chunks of {size} bytes");
        }
        for end in 0..wire.len() {
            let heard = hear(api, SSE, &wire.as_bytes()[..end], 4_096).await;
            heard.keeps_the_rules();
            assert!(matches!(heard.error, Some(LlmError::Cut(_))), "cut after {end}: {}", heard.line());
        }
    });
}

/// The golden test of a server that does not stream.
pub(crate) fn check_json(api: Api, body: &str, expected: &str) {
    runtime().block_on(async {
        for size in [body.len().max(1), 1, 7, 61] {
            let heard = hear(api, JSON, body.as_bytes(), size).await;
            heard.keeps_the_rules();
            assert_eq!(heard.line(), expected, "in chunks of {size} bytes");
        }
        for end in 0..body.len() {
            let heard = hear(api, JSON, &body.as_bytes()[..end], 4_096).await;
            heard.keeps_the_rules();
            assert!(heard.error.is_some(), "cut after {end}: {}", heard.line());
        }
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// One event after the other, each an object in one line, as OpenAI frames them.
pub(crate) fn wire(events: &[&str]) -> String {
    events.iter().flat_map(|event| ["data: ", *event, "\n\n"]).collect()
}

fn toolbox(config: &Config, request: &GenerateRequest) -> Toolbox {
    Toolbox::pack(&request.tools, config.dialect(), (&config.tools, "tools"), (&Memory::default(), "m"))
}

/// The body of a request over the Responses API.
pub(crate) fn responses_body(config: &Config, request: &GenerateRequest, without: &[Feature]) -> Value {
    crate::responses::body(config, request, toolbox(config, request).tools(), without)
}

/// The body of a request over Chat Completions.
pub(crate) fn chat_body(config: &Config, request: &GenerateRequest, without: &[Feature]) -> Value {
    crate::chat::body(config, request, toolbox(config, request).tools(), without)
}
