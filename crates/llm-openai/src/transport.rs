//! Requests over async-openai, and the guard between it and the network.
//!
//! async-openai builds the requests and takes the streams apart. The service below it, which stands where its own
//! retries would be, sees the status and the headers before they are flattened into a message, and lets a body
//! through only as whole, small events of valid JSON: what async-openai cannot parse it would log with its content,
//! and it reads ahead without a bound.

mod body;
#[cfg(test)]
mod replay;
mod sse;

use crate::{
    config::{Api, Config, ConfigError},
    endpoint::Endpoint,
    failure::{Failure, Report, hint},
};
use async_openai::{Client, error::OpenAIError, middleware::HttpRequestFactory};
use body::{Body, Link};
use futures::{StreamExt, stream::BoxStream};
use http::{StatusCode, header};
use lockkeeper_ports::LlmError;
use secrecy::SecretString;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// The most bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// How long an error's body may take.
const ERROR_BODY: Duration = Duration::from_secs(10);

/// The connection to a server. Clones share their pool of connections.
#[derive(Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    endpoint: Endpoint,
    limits: Limits,
}

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    head: Duration,
    idle: Duration,
    models: Duration,
    event_bytes: usize,
    answer_bytes: usize,
}

impl Transport {
    pub(crate) fn new(config: &Config, key: Option<SecretString>) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::new(config, key)?;
        // Fails where somebody has chosen a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(config.connect_timeout_secs))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ConfigError::Tls(chain(&error)))?;
        let limits = Limits {
            head: config.head_timeout(),
            idle: config.idle_timeout(),
            models: config.models_timeout(),
            event_bytes: config.max_event_bytes,
            answer_bytes: config.max_answer_bytes,
        };
        Ok(Self { http, endpoint, limits })
    }

    /// The same server with another key.
    pub(crate) fn with_key(&self, config: &Config, key: SecretString) -> Result<Self, ConfigError> {
        Ok(Self { endpoint: Endpoint::new(config, Some(key))?, ..self.clone() })
    }

    /// Sends `body` and waits until the server accepted it.
    pub(crate) async fn open(&self, api: Api, body: Value) -> Result<Events, Failure> {
        let link = Arc::new(Link::default());
        let client = self.client(&link, Expect::Events);
        self.events(api, &client, link, body).await
    }

    async fn events(
        &self,
        api: Api,
        client: &Client<Endpoint>,
        link: Arc<Link>,
        body: Value,
    ) -> Result<Events, Failure> {
        let opened = match api {
            Api::Responses => client.responses().create_stream_byot::<_, Value>(body).await,
            Api::Chat => client.chat().create_stream_byot::<_, Value>(body).await,
        };
        match opened {
            Ok(events) => Ok(Events { stream: events.boxed(), link, endpoint: self.endpoint.clone() }),
            Err(error) => Err(self.explain(&error, &link)),
        }
    }

    /// The server's list of models, as it is.
    pub(crate) async fn models(&self) -> Result<Value, Failure> {
        let link = Arc::new(Link::default());
        let client = self.client(&link, Expect::Whole);
        let limit = self.limits.models;
        match tokio::time::timeout(limit, client.models().list_byot::<Value>()).await {
            Ok(listed) => listed.map_err(|error| self.explain(&error, &link)),
            Err(_) => Err(timed_out("the list of models", limit)),
        }
    }

    fn client(&self, link: &Arc<Link>, expect: Expect) -> Client<Endpoint> {
        let exchange = Exchange { http: self.http.clone(), limits: self.limits, link: Arc::clone(link), expect };
        let service = tower::service_fn(move |request| exchange.clone().run(request));
        Client::build(self.http.clone(), self.endpoint.clone()).with_http_service(service)
    }

    fn explain(&self, error: &OpenAIError, link: &Link) -> Failure {
        let failure = link.failure().unwrap_or_else(|| unexplained(error));
        failure.reworded(|message| self.endpoint.redact(message))
    }
}

/// The events of an answer. Dropping them closes the connection.
pub(crate) struct Events {
    stream: BoxStream<'static, Result<Value, OpenAIError>>,
    link: Arc<Link>,
    endpoint: Endpoint,
}

impl Events {
    /// The next event; none at the end of the stream, wherever that is.
    pub(crate) async fn next(&mut self) -> Option<Result<Value, Failure>> {
        let item = self.stream.next().await;
        if item.is_some() {
            self.link.taken();
        }
        let failure = match item {
            Some(Ok(event)) => return Some(Ok(event)),
            Some(Err(error)) => self.link.failure().unwrap_or_else(|| unexplained(&error)),
            None => self.link.failure()?,
        };
        Some(Err(failure.reworded(|message| self.endpoint.redact(message))))
    }

    /// Whether the server said `[DONE]`.
    pub(crate) fn is_done(&self) -> bool {
        self.link.is_done()
    }
}

/// What the body of a success should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Events,
    Whole,
}

/// One request and its answer, below async-openai.
#[derive(Clone)]
struct Exchange {
    http: reqwest::Client,
    limits: Limits,
    link: Arc<Link>,
    expect: Expect,
}

impl Exchange {
    async fn run(self, request: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let request = request.build().await?;
        let sent = self.send(request).await;
        self.hand_over(sent)
    }

    fn hand_over(&self, sent: Result<reqwest::Response, Failure>) -> Result<reqwest::Response, OpenAIError> {
        match sent {
            Ok(response) => Ok(response),
            // The failure keeps its type on its way past async-openai; the error only says that there is one.
            Err(failure) => {
                let error = failure.error.to_string();
                self.link.fail(failure);
                Err(OpenAIError::InvalidArgument(error))
            }
        }
    }

    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, Failure> {
        let Limits { head, .. } = self.limits;
        let response = match tokio::time::timeout(head, self.http.execute(request)).await {
            Ok(response) => response.map_err(|error| unreachable_server(&error))?,
            Err(_) => return Err(timed_out("the head of the answer", head)),
        };
        self.accept(response).await
    }

    /// Lets a success through, piece by piece.
    async fn accept(&self, response: reqwest::Response) -> Result<reqwest::Response, Failure> {
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if self.expect == Expect::Whole {
            if kind.starts_with("text/html") {
                return Err(Failure::bad_response("a web page came in place of an answer; is the base URL right?"));
            }
            return self.whole(response).await;
        }
        let is_json = kind.contains("json");
        let stream = Body::new(response.bytes_stream().boxed(), is_json, self.limits, Arc::clone(&self.link));
        Ok(answer(reqwest::Body::wrap_stream(stream.into_stream())))
    }

    async fn whole(&self, response: reqwest::Response) -> Result<reqwest::Response, Failure> {
        let bytes = read_at_most(response, self.limits.event_bytes).await?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|_| Failure::bad_response("not JSON"))?;
        Ok(answer(json.to_string().into()))
    }
}

fn answer(body: reqwest::Body) -> reqwest::Response {
    http::Response::new(body).into()
}

async fn refusal(response: reqwest::Response) -> Failure {
    let (status, headers) = (response.status(), response.headers().clone());
    let read = tokio::time::timeout(ERROR_BODY, read_at_most(response, MAX_ERROR_BYTES)).await;
    let body = read.ok().and_then(Result::ok).unwrap_or_default();
    let mut report = Report::of_body(status.as_u16(), &body);
    report.retry_after = hint::in_headers(&headers);
    report.should_retry = hint::should_retry(&headers);
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(|id| id.len() <= 100);
    let failure = report.into_failure();
    log_refusal(status, &failure);
    match id {
        Some(id) => failure.reworded(|message| format!("{message} [request {id}]")),
        None => failure,
    }
}

fn log_refusal(status: StatusCode, failure: &Failure) {
    tracing::debug!(status = status.as_u16(), code = ?failure.error.code(), "the provider refused a request");
}

async fn read_at_most(mut response: reqwest::Response, max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::cut(chain(&error)))? {
        if body.len() + chunk.len() > max {
            return Err(Failure::bad_response(format!("an answer of more than {max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn timed_out(what: &str, limit: Duration) -> Failure {
    Failure::passing(LlmError::Timeout(format!("{what} did not come within {} ms", limit.as_millis())))
}

fn unreachable_server(error: &reqwest::Error) -> Failure {
    let reason = chain(error);
    if error.is_timeout() {
        return Failure::passing(LlmError::Timeout(reason));
    }
    if error.is_builder() {
        return Failure::fatal(LlmError::BadRequest(reason));
    }
    Failure::passing(LlmError::Network(reason))
}

/// An error of async-openai's own: its text may hold what the model said, so it goes no further.
fn unexplained(error: &OpenAIError) -> Failure {
    match error {
        OpenAIError::InvalidArgument(reason) => Failure::fatal(LlmError::BadRequest(reason.clone())),
        OpenAIError::Reqwest(error) => unreachable_server(error),
        _ => Failure::bad_response("an event could not be decoded"),
    }
}

/// An error with its causes, without the URL, which may be private.
fn chain(error: &reqwest::Error) -> String {
    let mut reasons: Vec<String> = Vec::new();
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = source {
        let reason = cause.to_string();
        if reasons.last() != Some(&reason) {
            reasons.push(reason);
        }
        source = cause.source();
    }
    if reasons.is_empty() { "the request failed".to_owned() } else { reasons.join(": ") }
}
