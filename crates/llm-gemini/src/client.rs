//! The connection to the vendor.

use crate::{
    Api, Config, InvalidConfig,
    answer::{Payload, Source},
    decode::Decoder,
    error::{self, Failure},
    retry::Retry,
    sse,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use lockkeeper_ports::LlmError;
use reqwest::{
    RequestBuilder, Response,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use std::{sync::Arc, time::Duration};

/// The most bytes of an error's body, and of a page of the list of models, that are read.
const SMALL_BODY: usize = 1 << 20;
/// The longest that the body of an error may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections with a key. Clones share the pool.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    config: Arc<Config>,
    headers: HeaderMap,
}

/// A request as it goes over the wire.
pub(crate) struct Request {
    pub(crate) body: Bytes,
    pub(crate) model: String,
    /// The path within the API.
    pub(crate) path: String,
    pub(crate) api: Api,
}

impl Request {
    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(self.api, self.model.clone())
    }
}

impl Client {
    pub(crate) fn new(config: Config) -> Result<Self, InvalidConfig> {
        let headers = headers(&config)?;
        if let Err(error) = reqwest::Url::parse(&config.url("models")) {
            return Err(InvalidConfig(format!("base_url is not an address: {error}")));
        }
        // Fails when the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(config.connect_timeout_secs))
            // A redirect would carry the key to whoever is named there.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|e| InvalidConfig(format!("no client can be made: {}", error::of_transport(e))))?;
        Ok(Self { http, config: Arc::new(config), headers })
    }

    pub(crate) fn with_key(&self, api_key: SecretString) -> Result<Self, InvalidConfig> {
        let config = Config { api_key, ..(*self.config).clone() };
        Ok(Self { http: self.http.clone(), headers: headers(&config)?, config: Arc::new(config) })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn key(&self) -> &SecretString {
        &self.config.api_key
    }

    pub(crate) fn retry(&self) -> Retry {
        self.config.retry()
    }

    /// Sends a request; resolves once the vendor accepted it.
    pub(crate) async fn send(&self, request: &Request) -> Result<Source, Failure> {
        let call = self
            .http
            .post(self.config.url(&request.path))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .body(request.body.clone());
        let idle = Duration::from_secs(self.config.idle_timeout_secs);
        let response = self.accepted(call, idle).await?;
        let kind = content_type(&response);
        if kind.contains("html") {
            return Err(LlmError::BadResponse("the address answers with a web page".to_owned()).into());
        }
        let limits = self.config.limits();
        let body = response.bytes_stream().map_err(error::of_transport);
        if kind.contains("json") {
            let whole = async move { sse::whole(body, limits).await.map(Payload::Whole) };
            return Ok(stream::once(whole).boxed());
        }
        Ok(sse::events(body, limits).map_ok(Payload::Event).boxed())
    }

    /// The JSON at `path` of the API.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, LlmError> {
        let timeout = Duration::from_secs(self.config.list_timeout_secs);
        let limits = sse::Limits { answer_bytes: 16 * SMALL_BODY, idle: timeout, ..self.config.limits() };
        let run = async {
            let response = self.accepted(self.http.get(self.config.url(path)), timeout).await.map_err(|f| f.error)?;
            sse::whole(response.bytes_stream().map_err(error::of_transport), limits).await
        };
        let late = |_| LlmError::Timeout(format!("no list came within {} s", timeout.as_secs()));
        tokio::time::timeout(timeout, run).await.map_err(late)?
    }

    async fn accepted(&self, call: RequestBuilder, timeout: Duration) -> Result<Response, Failure> {
        let sent = tokio::time::timeout(timeout, call.headers(self.headers.clone()).send()).await;
        let late = |_| LlmError::Timeout(format!("no answer began within {} s", timeout.as_secs()));
        let response =
            sent.map_err(late)?.map_err(|error| Failure::from(error::of_transport(error)).masked(self.key()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let limits = sse::Limits { idle: ERROR_BODY_TIMEOUT, event_bytes: 0, answer_bytes: SMALL_BODY };
        let body = sse::whole(response.bytes_stream().map_err(error::of_transport), limits);
        // The status says enough where the body is cut, endless or slow.
        let body = tokio::time::timeout(ERROR_BODY_TIMEOUT, body).await.unwrap_or(Ok(Vec::new())).unwrap_or_default();
        Err(error::of_response(status, &headers, &body).masked(self.key()))
    }
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

fn headers(config: &Config) -> Result<HeaderMap, InvalidConfig> {
    let mut headers = HeaderMap::new();
    let key = config.api_key.expose_secret().trim();
    if !key.is_empty() {
        let mut key = HeaderValue::from_str(key)
            .map_err(|_| InvalidConfig("api_key has characters that no header may have".to_owned()))?;
        key.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-goog-api-key"), key);
    }
    Ok(headers)
}
