//! The models that the provider offers, under `/api/models`.

mod answer;

use answer::{available, check, failed, models};
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use lockkeeper_domain::{Code, Failure};
use lockkeeper_orchestrator::{ModelCatalog, ModelList};
use lockkeeper_ports::{AuthError, Authenticator, Credentials};
use secrecy::SecretString;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// Whether a request with these headers, for this address, from this peer may come from the web page that sends it; if not, why.
pub type PageCheck = Arc<dyn Fn(&HeaderMap, &Uri, Option<IpAddr>) -> Result<(), &'static str> + Send + Sync>;

/// What the routes of models need.
#[derive(Clone)]
pub struct ModelsApi {
    /// The models.
    pub catalog: ModelCatalog,
    /// Who may ask: whoever may connect.
    pub authenticator: Arc<dyn Authenticator>,
    /// Which web pages may.
    pub pages: PageCheck,
}

/// A user's own provider key.
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-provider-key");
/// The longest key, in bytes, and the longest token.
const MAX_KEY: usize = 4 << 10;
const MAX_TOKEN: usize = 8 << 10;

impl ModelsApi {
    pub(crate) fn routes(self) -> Router {
        let preflight = |State(api): State<Self>, peer: Option<Extension<SocketAddr>>, uri: Uri, headers: HeaderMap| async move {
            api.preflight(peer.map(|Extension(peer)| peer.ip()), &uri, &headers)
        };
        let route = |render: Render, refuse: Refuse| {
            let answer = move |State(api): State<Self>, peer: Option<Extension<SocketAddr>>, uri, headers| async move {
                let peer = peer.map(|Extension(peer)| peer.ip());
                api.answer(peer, &uri, &headers, render, refuse).await
            };
            get(answer).options(preflight)
        };
        Router::new()
            .route("/api/models", route(models, failed))
            .route("/api/models/available", route(available, answer::failed_as_before))
            .route("/api/models/check", route(check, answer::failed_as_before))
            .with_state(self)
    }

    async fn answer(
        self,
        peer: Option<IpAddr>,
        uri: &Uri,
        headers: &HeaderMap,
        render: Render,
        refuse: Refuse,
    ) -> Response {
        if let Err(message) = (self.pages)(headers, uri, peer) {
            return refuse(StatusCode::FORBIDDEN, &Failure::new(Code::Forbidden, message));
        }
        let response = match self.list(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), headers).await {
            Ok(list) => render(&list),
            Err((failure, own_key)) => refuse(status(failure.code, own_key), &failure),
        };
        share(response, headers)
    }

    /// The list, or why there is none and whether that is about a key of the caller's.
    async fn list(&self, peer: IpAddr, headers: &HeaderMap) -> Result<ModelList, (Failure, bool)> {
        let credentials = credentials(peer, headers).map_err(|failure| (failure, true))?;
        let known = self.authenticator.authenticate(&credentials).await;
        known.map_err(|error| (refusal(error), true))?;
        let key = self.authenticator.provider_key(&credentials);
        let own_key = key.is_some();
        self.catalog.list(peer, key).await.map_err(|failure| (failure, own_key))
    }

    /// The answer to a browser that asks before it sends headers of its own.
    fn preflight(&self, peer: Option<IpAddr>, uri: &Uri, headers: &HeaderMap) -> Response {
        if let Err(message) = (self.pages)(headers, uri, peer) {
            return failed(StatusCode::FORBIDDEN, &Failure::new(Code::Forbidden, message));
        }
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, x-provider-key"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        share((StatusCode::NO_CONTENT, allowed).into_response(), headers)
    }
}

type Render = fn(&ModelList) -> Response;
type Refuse = fn(StatusCode, &Failure) -> Response;

/// Lets the page of an origin that was allowed read the response.
fn share(mut response: Response, request: &HeaderMap) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = request.get(header::ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

fn credentials(address: IpAddr, headers: &HeaderMap) -> Result<Credentials, Failure> {
    let malformed = |message: &str| Failure::new(Code::InvalidPayload, message);
    let text = |name: &HeaderName| headers.get(name).map(HeaderValue::to_str).transpose();
    let key = text(&PROVIDER_KEY).ok().map(|key| key.map_or("", str::trim));
    let key = key.filter(|key| key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let key = key.ok_or_else(|| malformed("x-provider-key has at most 4 KiB of visible ASCII characters."))?;
    let authorization = text(&header::AUTHORIZATION).ok().map(Option::unwrap_or_default);
    let token = authorization.and_then(|authorization| match authorization.split_once(' ') {
        _ if authorization.is_empty() => Some(""),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN => {
            Some(token.trim())
        }
        _ => None,
    });
    let token = token.ok_or_else(|| malformed("Authorization is `Bearer` and a token of at most 8 KiB."))?;
    let secret = |text: &str| (!text.is_empty()).then(|| SecretString::from(text.to_owned()));
    Ok(Credentials { token: secret(token), key: secret(key), address })
}

fn refusal(error: AuthError) -> Failure {
    match error {
        AuthError::Refused(reason) => Failure::new(Code::Unauthenticated, reason)
            .with_hint("Send the token as `Authorization: Bearer ..`, and a key as `x-provider-key`."),
        AuthError::Unavailable(source) => {
            tracing::warn!(error = %source, "the authenticator is unavailable");
            Failure::new(Code::ProviderNetwork, "Nobody can tell at the moment who you are.")
                .with_hint("Try again later.")
        }
    }
}

/// A key that the provider refuses is the caller's fault only where it is the caller's.
fn status(code: Code, own_key: bool) -> StatusCode {
    match code {
        Code::InvalidPayload => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ProviderAuthentication if own_key => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::MissingKey | Code::ProviderRateLimited | Code::ProviderOverloaded => StatusCode::SERVICE_UNAVAILABLE,
        Code::ProviderTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_GATEWAY,
    }
}
