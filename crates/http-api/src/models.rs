//! The models that the provider offers, under `/api/models`.

mod answer;

use crate::access::{Access, PageCheck, credentials, refusal, share, status};
pub(crate) use answer::failed;
use answer::{available, check, models};
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
    routing::get,
};
use lockkeeper_domain::{Code, Failure};
use lockkeeper_orchestrator::{ModelCatalog, ModelList};
use lockkeeper_ports::Authenticator;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

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

impl ModelsApi {
    /// Who may ask for models, and for what else is as open as they are.
    pub(crate) fn access(&self) -> Access {
        Access::new(Arc::clone(&self.authenticator), Arc::clone(&self.pages))
    }

    pub(crate) fn routes(self) -> Router {
        let preflight = |State(api): State<Self>, peer: Option<Extension<SocketAddr>>, uri: Uri, headers: HeaderMap| async move {
            api.access().preflight(peer.map(|Extension(peer)| peer.ip()), &uri, &headers)
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
}

type Render = fn(&ModelList) -> Response;
type Refuse = fn(StatusCode, &Failure) -> Response;
