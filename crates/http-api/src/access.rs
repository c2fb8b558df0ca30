//! Who may ask over HTTP: whoever may connect, from a page that may.

use crate::models::failed;
use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lockkeeper_domain::{Code, Failure};
use lockkeeper_ports::{AuthError, Authenticator, Credentials, Principal};
use secrecy::SecretString;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// Whether a request with these headers, for this address, from this peer may come from the web page that sends it; if not, why.
pub type PageCheck = Arc<dyn Fn(&HeaderMap, &Uri, Option<IpAddr>) -> Result<(), &'static str> + Send + Sync>;

/// Refuses requests of foreign pages, whatever they ask for.
pub(crate) async fn check_page(
    State(pages): State<PageCheck>,
    client: Option<Extension<SocketAddr>>,
    request: Request,
    next: Next,
) -> Response {
    let client = client.map(|Extension(client)| client.ip());
    match pages(request.headers(), request.uri(), client) {
        Ok(()) => next.run(request).await,
        Err(message) => failed(StatusCode::FORBIDDEN, &Failure::new(Code::Forbidden, message)),
    }
}

/// A user's own provider key.
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-provider-key");
/// The longest key, in bytes, and the longest token.
const MAX_KEY: usize = 4 << 10;
const MAX_TOKEN: usize = 8 << 10;

/// Who may ask, whatever is asked.
#[derive(Clone)]
pub(crate) struct Access {
    authenticator: Arc<dyn Authenticator>,
    pages: PageCheck,
}

impl Access {
    pub(crate) fn new(authenticator: Arc<dyn Authenticator>, pages: PageCheck) -> Self {
        Self { authenticator, pages }
    }

    /// Who sends a request with these headers; or what is answered to whoever may have nothing else.
    pub(crate) async fn caller(
        &self,
        peer: Option<IpAddr>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Principal, Response> {
        if let Err(message) = (self.pages)(headers, uri, peer) {
            return Err(failed(StatusCode::FORBIDDEN, &Failure::new(Code::Forbidden, message)));
        }
        let known = match credentials(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), headers) {
            Ok(credentials) => self.authenticator.authenticate(&credentials).await.map_err(refusal),
            Err(failure) => Err(failure),
        };
        known.map_err(|failure| share(failed(status(failure.code, true), &failure), headers))
    }

    /// What is answered to whoever sends a request with these headers and may have nothing else. None: it may.
    pub(crate) async fn refuse(&self, peer: Option<IpAddr>, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        self.caller(peer, uri, headers).await.err()
    }

    /// The answer to a browser that asks before it sends headers of its own.
    pub(crate) fn preflight(&self, peer: Option<IpAddr>, uri: &Uri, headers: &HeaderMap) -> Response {
        self.preflight_of("GET", peer, uri, headers)
    }

    /// The same, for these methods.
    pub(crate) fn preflight_of(
        &self,
        methods: &'static str,
        peer: Option<IpAddr>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response {
        if let Err(message) = (self.pages)(headers, uri, peer) {
            return failed(StatusCode::FORBIDDEN, &Failure::new(Code::Forbidden, message));
        }
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, x-provider-key"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        share((StatusCode::NO_CONTENT, allowed).into_response(), headers)
    }
}

/// Lets the page of an origin that was allowed read the response.
pub(crate) fn share(mut response: Response, request: &HeaderMap) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = request.get(header::ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

pub(crate) fn credentials(address: IpAddr, headers: &HeaderMap) -> Result<Credentials, Failure> {
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

pub(crate) fn refusal(error: AuthError) -> Failure {
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
pub(crate) fn status(code: Code, own_key: bool) -> StatusCode {
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
