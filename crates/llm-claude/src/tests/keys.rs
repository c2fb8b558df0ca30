use super::{
    config, provider,
    server::{Reply, Server},
};
use futures::TryStreamExt;
use lockkeeper_domain::Code;
use lockkeeper_ports::{KeyedLlm, LlmProvider};
use lockkeeper_testkit::llm::history::History;
use serde_json::json;
use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const KEY: &str = "sk-ant-of-a-user-42";

#[tokio::test]
async fn a_provider_with_another_key_shares_the_connections() {
    let list = Reply::json(200, &json!({"data": [{"id": "claude-a"}]}));
    let server = Server::replying([list]).await;
    let ours = provider(&server.url);
    let theirs = KeyedLlm::with_key(&ours, KEY.into()).expect("a key");
    for provider in [&ours as &dyn LlmProvider, &*theirs, &ours, &*theirs] {
        provider.models().await.expect("a list");
    }
    let keys: Vec<bool> = server.seen().iter().map(|seen| seen.head.contains(KEY)).collect();
    assert_eq!(keys, [false, true, false, true], "each with its own key");
    assert_eq!(server.connections(), 1);
    let broken = KeyedLlm::with_key(&ours, "sk\nant".into()).err().expect("no key");
    assert_eq!(broken.code(), Code::ProviderAuthentication);
    assert!(!broken.to_string().contains("ant"), "{broken}");
}

#[tokio::test]
async fn a_key_is_in_no_log_no_error_and_no_debug() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let repeats =
        json!({"type": "error", "error": {"type": "authentication_error", "message": format!("{KEY} is unknown")}});
    let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": format!("{KEY} waits")}});
    let event = Reply::sse(format!("event: error\ndata: {busy}\n\n"));
    let server = Server::replying([Reply::json(529, &busy), event, Reply::json(401, &repeats)]).await;
    let provider = provider(&server.url).with_key(format!("{KEY}\n").into()).expect("a key");
    let mut shown = format!("{provider:?} {:?}", config(&server.url));
    for _ in 0..2 {
        // A failure before the first event is tried again, wherever it comes from.
        let outcome = match provider.generate(History::asked("Hello").request("a")).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await,
            Err(error) => Err(error),
        };
        let error = outcome.expect_err("the key is unknown");
        write!(shown, "{error} {error:?}").expect("a text");
    }
    let logged = log.text();
    assert!(shown.contains("[key] is unknown"), "{shown}");
    assert!(logged.contains("llm.claude.generate") && logged.contains("pause_ms"), "{logged}");
    assert!(!shown.contains(KEY) && !logged.contains(KEY), "{shown} {logged}");
}

/// Everything that is logged, in one text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.add(span.metadata().name());
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(&format!(" {field}={value:?}"));
    }
}
