//! Answers without a network, for tests.

use super::{Exchange, Expect, Link, Transport};
use crate::{config::Api, failure::Failure, transport::Events};
use async_openai::{Client, middleware::HttpRequestFactory};
use http::header;
use serde_json::Value;
use std::sync::Arc;

impl Transport {
    /// The events of an answer of `chunks`, as if a server had sent it.
    pub(crate) async fn replay(&self, api: Api, content_type: &str, chunks: Vec<Vec<u8>>) -> Result<Events, Failure> {
        let link = Arc::new(Link::default());
        let (http, limits) = (self.http.clone(), self.limits);
        let exchange = Exchange { http, limits, link: Arc::clone(&link), expect: Expect::Events };
        let content_type = content_type.to_owned();
        let service = tower::service_fn(move |_: HttpRequestFactory| {
            let (exchange, chunks, content_type) = (exchange.clone(), chunks.clone(), content_type.clone());
            async move {
                let chunks = futures::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
                let mut response = http::Response::new(reqwest::Body::wrap_stream(chunks));
                let kind = http::HeaderValue::try_from(content_type).expect("a header's value");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                let accepted = exchange.accept(response.into()).await;
                exchange.hand_over(accepted)
            }
        });
        let client = Client::build(self.http.clone(), self.endpoint.clone()).with_http_service(service);
        self.events(api, &client, link, Value::Null).await
    }
}
