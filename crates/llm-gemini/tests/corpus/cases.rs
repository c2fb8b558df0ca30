//! The recorded cases, and what the adapter makes of them over HTTP.

use crate::{
    harm, provider, reading,
    server::{Reply, Server},
};
use futures::StreamExt;
use lockkeeper_ports::{Completion, LlmError, LlmProvider, ModelEvent};
use lockkeeper_testkit::llm::history::History;
use proptest::prop_assert_eq;
use serde_json::Value;
use std::{collections::VecDeque, fs, path::Path, sync::Arc};

/// A recorded request and its answer.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) api: String,
    pub(crate) status: u16,
    pub(crate) tags: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) request: Option<Value>,
    pub(crate) body: Vec<u8>,
    meta: Value,
}

impl Case {
    /// The cases of a directory, in the order of their names.
    pub(crate) fn all(directory: &Path) -> Vec<Self> {
        let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let mut cases: Vec<Self> = entries.filter_map(|entry| Self::read(&entry.expect("an entry").path())).collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(!cases.is_empty(), "{} holds no case", directory.display());
        cases
    }

    fn read(directory: &Path) -> Option<Self> {
        let json = |name: &str| serde_json::from_slice(&fs::read(directory.join(name)).ok()?).ok();
        let meta: Value = json("meta.json")?;
        let text = |key: &str| meta.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let tags = meta.get("tags").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            name: text("name")?,
            api: text("api")?,
            status: meta.get("status").and_then(Value::as_u64)?.try_into().ok()?,
            tags: tags.filter_map(|tag| tag.as_str().map(ToOwned::to_owned)).collect(),
            group: text("group"),
            request: json("request.json"),
            body: fs::read(directory.join(text("response_file")?)).ok()?,
            meta,
        })
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.meta.get("stream").and_then(Value::as_bool).unwrap_or_default()
    }

    pub(crate) fn is_list(&self) -> bool {
        self.api.ends_with(".models")
    }

    pub(crate) fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|known| known == tag)
    }

    /// The model of the recorded request, from its body or its path.
    pub(crate) fn model(&self) -> &str {
        let named = self.meta.get("model").and_then(Value::as_str);
        let path = self.meta.get("path").and_then(Value::as_str).unwrap_or_default();
        let in_path = path.rsplit_once("/models/").and_then(|(_, rest)| rest.split(':').next());
        named.or(in_path).unwrap_or("a-model")
    }

    pub(crate) fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON of each event; of the whole body where it is no stream.
    pub(crate) fn events(&self) -> Vec<Value> {
        if !self.is_stream() {
            return vec![serde_json::from_slice(&self.body).expect("JSON")];
        }
        let text = self.body_text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|data| serde_json::from_str(data.trim()).expect("JSON")).collect()
    }
}

/// The recorded answer in chunks of `chunk` bytes.
pub(crate) fn replies(case: &Case, chunk: usize) -> [Reply; 1] {
    let headers = case.meta.get("response_headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    [Reply { status: case.status, headers: headers.collect(), chunk, ..Reply::new(200, "", case.body.clone()) }]
}

/// What the adapter makes of an answer.
pub(crate) async fn answer(case: &Case, reply: Reply) -> (Vec<ModelEvent>, Option<LlmError>) {
    let server = Server::replying([reply]).await;
    asked(&provider(&server.url, case), case).await
}

async fn asked(provider: &dyn LlmProvider, case: &Case) -> (Vec<ModelEvent>, Option<LlmError>) {
    let request = History::asked("the recorded question").request(case.model());
    let mut stream = match provider.generate(request).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

/// The completion of the recorded answer.
pub(crate) async fn decode(case: &Case, chunk: usize) -> Result<Completion, LlmError> {
    let [reply] = replies(case, chunk);
    match answer(case, reply).await {
        (_, Some(error)) => Err(error),
        (mut events, None) => match events.pop() {
            Some(ModelEvent::Completed(completion)) => Ok(completion),
            last => panic!("{} ends with {last:?}", case.name),
        },
    }
}

/// However the body is cut, even as if it were whole, nothing is complete before the last event is there, and what was
/// said until then is the beginning of what is said in the end. Every byte is tried.
pub(crate) fn check_cuts(case: &Case) -> Result<(), String> {
    let (whole, failure) = read(case, &case.body, case.body.len());
    let (mut reading, mut events, mut error) = (reading(case), VecDeque::new(), None);
    let last = case.body.trim_ascii_end().len();
    let is_completed = |event: &ModelEvent| matches!(event, ModelEvent::Completed(_));
    for (end, byte) in case.body.iter().enumerate().take(last + 1) {
        let mut more = VecDeque::new();
        let cut = error.clone().or_else(|| reading.clone().end(&mut more).err());
        let expected = matches!(cut, Some(LlmError::Cut(_))) || (cut.is_some() && cut == failure);
        let completed = events.iter().chain(&more).any(is_completed);
        if completed || !expected || !events.iter().eq(whole.iter().take(events.len())) {
            return Err(format!("after {end} of {} bytes: {cut:?}, {events:?}", case.body.len()));
        }
        error = error.or_else(|| reading.push(&[*byte], &mut events).err());
    }
    Ok(())
}

/// What harm may come to the recorded streams.
pub(crate) fn fuzz(cases: &[Arc<Case>]) {
    let streams = cases.iter().filter(|case| case.is_stream());
    let bodies: Vec<_> = streams.map(|case| (case.clone(), case.body.clone())).collect();
    harm::fuzz(&bodies, |case, body, size| {
        let whole = read(case, body, body.len().max(1));
        prop_assert_eq!(&read(case, body, size), &whole, "{} in pieces of {}", case.name, size);
        let completions = whole.0.iter().filter(|event| matches!(event, ModelEvent::Completed(_))).count();
        prop_assert_eq!(completions, usize::from(whole.1.is_none()), "{}", case.name);
        Ok(())
    });
}

/// What a body says without a connection.
fn read(case: &Case, body: &[u8], size: usize) -> (VecDeque<ModelEvent>, Option<LlmError>) {
    let (mut reading, mut events) = (reading(case), VecDeque::new());
    let outcome = body.chunks(size).try_for_each(|piece| reading.push(piece, &mut events));
    let outcome = outcome.and_then(|()| reading.end(&mut events));
    (events, outcome.err())
}
