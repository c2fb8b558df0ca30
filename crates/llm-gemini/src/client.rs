//! The connection to the vendor.

use crate::{
    Config, InvalidConfig,
    error::{self, Failure},
    reading::Form,
    request::Request,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use lockkeeper_llm_common::Memory;
use lockkeeper_ports::LlmError;
use reqwest::{
    RequestBuilder, Response, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The most bytes of an error's body that are read.
const ERROR_BODY: usize = 1 << 20;
/// The most bytes of a page of the list of models.
const PAGE: usize = 16 << 20;
/// Of how many models it is kept that they summarize no thinking.
const REFUSALS: usize = 256;
/// The longest that the body of an error may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes of a body, as they come.
pub(crate) type Source = BoxStream<'static, Result<Bytes, LlmError>>;

/// A pool of connections with a key. Clones share the pool, and what they learned of the server.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    config: Arc<Config>,
    headers: HeaderMap,
    /// The models that refused to summarize their thinking.
    refusals: Arc<Mutex<HashSet<String>>>,
    memory: Memory,
}

impl Client {
    pub(crate) fn new(config: Config) -> Result<Self, InvalidConfig> {
        let headers = headers(&config)?;
        if let Err(error) = Url::parse(&config.url("models")) {
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
        Ok(Self { http, config: Arc::new(config), headers, refusals: Arc::default(), memory: Memory::default() })
    }

    pub(crate) fn with_key(&self, api_key: SecretString) -> Result<Self, InvalidConfig> {
        let config = Config { api_key, ..(*self.config).clone() };
        Ok(Self { headers: headers(&config)?, config: Arc::new(config), ..self.clone() })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn key(&self) -> &SecretString {
        &self.config.api_key
    }

    /// What else its server refused of requests for a model.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether the model may be asked for summaries of its thinking.
    pub(crate) fn summarizes(&self, model: &str) -> bool {
        !self.refusals.lock().unwrap_or_else(PoisonError::into_inner).contains(model)
    }

    /// The server accepted `request`. What it had to leave out is not asked for again.
    pub(crate) fn remember(&self, request: &mut Request) {
        request.accepted(&self.memory);
        if self.config.thinking && !request.summaries {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            if refusals.len() < REFUSALS {
                refusals.insert(request.model.clone());
            }
        }
    }

    /// Sends a request; resolves once the vendor accepted it.
    pub(crate) async fn send(&self, request: &Request) -> Result<(Source, Form), Failure> {
        let body = serde_json::to_vec(&request.body).map_err(|e| LlmError::BadRequest(e.to_string()))?;
        let call = self
            .http
            .post(self.config.url(&request.path))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .body(body);
        let response = self.accepted(call, self.config.idle_timeout()).await?;
        let kind = content_type(&response);
        if kind.contains("html") {
            return Err(LlmError::BadResponse("the address answers with a web page".to_owned()).into());
        }
        let form = if kind.contains("json") { Form::whole(&self.config) } else { Form::events(&self.config) };
        Ok((response.bytes_stream().map_err(error::of_transport).boxed(), form))
    }

    /// The JSON at `path` of the API.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, LlmError> {
        let mut url = Url::parse(&self.config.url(path)).map_err(|e| LlmError::BadRequest(e.to_string()))?;
        url.query_pairs_mut().extend_pairs(query);
        let timeout = Duration::from_secs(self.config.list_timeout_secs);
        let response = self.accepted(self.http.get(url), timeout).await.map_err(|failure| failure.error)?;
        whole(response, PAGE).await
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
        // The status says enough where the body is cut, endless or slow.
        let body = tokio::time::timeout(ERROR_BODY_TIMEOUT, whole(response, ERROR_BODY)).await;
        let body = body.unwrap_or(Ok(Vec::new())).unwrap_or_default();
        Err(error::of_response(status, &headers, &body).masked(self.key()))
    }
}

async fn whole(mut response: Response, most: usize) -> Result<Vec<u8>, LlmError> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(error::of_transport)? {
        body.extend_from_slice(&bytes);
        if body.len() > most {
            return Err(LlmError::BadResponse(format!("an answer is larger than {most} bytes")));
        }
    }
    Ok(body)
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
