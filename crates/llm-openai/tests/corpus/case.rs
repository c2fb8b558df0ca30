//! One recorded answer, and what must come of it.

use crate::{
    expected::{self, Expected},
    server::{Reply, Server},
};
use futures::StreamExt;
use lockkeeper_llm_openai::{Api, Config, OpenAiProvider};
use lockkeeper_ports::{Completion, GenerateRequest, LlmError, LlmProvider, ModelEvent};
use lockkeeper_testkit::llm::history::History;
use serde_json::Value;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// How many bytes may be served for the cuts of one answer: a small answer is cut after every byte, a large one at
/// fewer places.
const CUT_BYTES: usize = 2 << 20;
/// The largest answer that is served byte for byte.
const MAX_BY_BYTE: usize = 40 << 10;

/// A recorded answer.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) group: Option<String>,
    pub(crate) turn: u64,
    /// The request that it answers, where it was recorded.
    pub(crate) request: Value,
    pub(crate) body: Vec<u8>,
    pub(crate) tags: Vec<String>,
    pub(crate) status: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// What came of an answer.
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
}

impl Case {
    pub(crate) fn load(directory: &Path) -> Self {
        let read = |file: &str| std::fs::read(directory.join(file));
        let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).expect("JSON");
        let meta = json(read("meta.json").expect("a description"));
        let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
        let headers = meta["response_headers"].as_object().into_iter().flatten();
        Self {
            name: text("name"),
            group: meta["group"].as_str().map(str::to_owned),
            turn: meta["turn"].as_u64().unwrap_or_default(),
            request: read("request.json").map(json).unwrap_or_default(),
            body: read(&text("response_file")).expect("an answer"),
            tags: serde_json::from_value(meta["tags"].clone()).expect("tags"),
            status: u16::try_from(meta["status"].as_u64().expect("a status")).expect("a status"),
            path: text("path"),
            headers: headers.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
        }
    }

    pub(crate) fn api(&self) -> Api {
        if self.path.ends_with("/chat/completions") { Api::Chat } else { Api::Responses }
    }

    pub(crate) fn is_models(&self) -> bool {
        self.path.ends_with("/models")
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.headers.iter().any(|(name, value)| name == "content-type" && value.starts_with("text/event-stream"))
    }

    pub(crate) fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn reply(&self) -> Reply {
        let reply = Reply::new(self.status, "application/json", self.body.clone());
        self.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

/// A server and the provider that asks it. Setting up TLS takes long, so one bench serves many answers.
pub(crate) struct Bench {
    server: Server,
    provider: OpenAiProvider,
    reply: Arc<Mutex<Option<Reply>>>,
}

impl Bench {
    pub(crate) async fn new(api: Api) -> Self {
        let reply: Arc<Mutex<Option<Reply>>> = Arc::default();
        let next = Arc::clone(&reply);
        let server = Server::answering(move |_| next.lock().expect("no panic").clone().expect("a reply")).await;
        let base_url = Some(server.url.clone());
        let config = Config { base_url, api: Some(api), max_attempts: 1, ..Config::default() };
        let provider = OpenAiProvider::new(config, None).expect("a valid configuration");
        Self { server, provider, reply }
    }

    /// Asks for `reply`, and tells what came of it and the body that was sent.
    pub(crate) async fn hear(&self, reply: Reply, request: GenerateRequest) -> (Heard, Value) {
        *self.reply.lock().expect("no panic") = Some(reply);
        let heard = listen(&self.provider, request).await;
        (heard, self.server.requests().pop().map(|request| request.body).unwrap_or_default())
    }
}

async fn listen(provider: &OpenAiProvider, request: GenerateRequest) -> Heard {
    let mut heard = Heard { events: Vec::new(), error: None };
    match provider.generate(request).await {
        Err(error) => heard.error = Some(error),
        Ok(mut stream) => {
            while let Some(item) = stream.next().await {
                match item {
                    Ok(event) => heard.events.push(event),
                    Err(error) => heard.error = Some(error),
                }
            }
        }
    }
    let completions = heard.events.iter().filter(|event| matches!(event, ModelEvent::Completed(_))).count();
    assert_eq!(completions + usize::from(heard.error.is_some()), 1, "an answer ends once: {heard:?}");
    assert_eq!(completions, usize::from(heard.completion().is_some()), "nothing follows a completion");
    heard
}

fn question() -> GenerateRequest {
    History::asked("Hello?").request("m")
}

/// The recording comes to what it says, however it is split.
pub(crate) async fn decodes(case: Case) {
    if case.is_models() {
        return lists(&case).await;
    }
    let bench = Bench::new(case.api()).await;
    let (whole, _) = bench.hear(case.reply(), question()).await;
    let expected = Expected::of(&case);
    expected.check(&whole);
    for size in [1, 7, 61].into_iter().filter(|size| *size > 1 || case.body.len() <= MAX_BY_BYTE) {
        let (split, _) = bench.hear(case.reply().chunked(size), question()).await;
        assert_eq!(split, whole, "in chunks of {size} bytes");
    }
}

async fn lists(case: &Case) {
    let bench = Bench::new(Api::Chat).await;
    *bench.reply.lock().expect("no panic") = Some(case.reply());
    let models = bench.provider.models().await.expect("a list");
    let recorded: Value = serde_json::from_slice(&case.body).expect("JSON");
    let recorded: Vec<&str> =
        recorded["data"].as_array().expect("a list").iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), recorded);
    assert!(!models.is_empty());
}

/// Cut before the event that ends it, the recording is an error and no call runs.
pub(crate) async fn is_never_whole_when_cut(case: Case) {
    let end = expected::end_of(&case);
    let cuts = (2 * CUT_BYTES / end.max(1)).clamp(20, 400);
    let bench = Bench::new(case.api()).await;
    let step = end.div_ceil(cuts).max(1);
    for cut in (0..end).step_by(step).chain(end.saturating_sub(5)..end) {
        let (heard, _) = bench.hear(case.reply().cut(cut), question()).await;
        let error = heard.error.as_ref();
        assert!(heard.completion().is_none(), "cut after {cut} of {end}");
        let is_cut = matches!(error, Some(LlmError::Cut(_)));
        assert!(is_cut || Expected::of(&case).is_error(), "cut after {cut} of {end}: {error:?}");
    }
}
