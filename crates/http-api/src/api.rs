use crate::{
    AdminApi, Config, PageCheck, Proxies, Served,
    access::check_page,
    compact::compact,
    console::Console,
    headers::secure,
    health::{self, Health, Warnings},
    mcp,
    metrics::{self, MetricsPage},
    models::ModelsApi,
    page::Page,
    serve, sessions,
};
use axum::{
    Router,
    extract::Request,
    middleware::{from_fn, from_fn_with_state, map_request},
    response::IntoResponse,
    routing::get,
};
use lockkeeper_domain::Failure;
use lockkeeper_orchestrator::SessionManager;
use std::{convert::Infallible, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// The HTTP interface.
#[derive(Clone)]
pub struct HttpApi {
    config: Arc<Config>,
    manager: Arc<SessionManager>,
    version: &'static str,
    models: Option<ModelsApi>,
    metrics: Option<MetricsPage>,
    admin: Option<AdminApi>,
    pages: Option<PageCheck>,
    proxies: Proxies,
    warnings: Option<Warnings>,
}

impl HttpApi {
    /// The interface to `manager`; `version` is what it says that it is. `config` has no problems.
    pub fn new(config: Config, manager: Arc<SessionManager>, version: &'static str) -> Self {
        Self {
            config: Arc::new(config),
            manager,
            version,
            models: None,
            metrics: None,
            admin: None,
            pages: None,
            proxies: Proxies::default(),
            warnings: None,
        }
    }

    /// With the metrics under `/metrics`.
    #[must_use]
    pub fn with_metrics(self, metrics: MetricsPage) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// With the provider's models under `/api/models`, with how the MCP servers do, under `/api/mcp/health`, and with each
    /// user's sessions under `/api/sessions`, for the same who may ask for models.
    #[must_use]
    pub fn with_models(self, models: ModelsApi) -> Self {
        Self { models: Some(models), ..self }
    }

    /// With a check of `Host`, `Origin` and `Sec-Fetch-Site` before every route.
    #[must_use]
    pub fn with_pages(self, pages: PageCheck) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// With proxies whose word about the client's address is believed.
    #[must_use]
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// With what operators do under `/api/admin`.
    #[must_use]
    pub fn with_admin(self, admin: AdminApi) -> Self {
        Self { admin: Some(admin), ..self }
    }

    /// With what operators should know besides what the sessions report. `/readyz` shows it.
    #[must_use]
    pub fn with_warnings(self, warnings: impl Fn() -> Vec<Failure> + Send + Sync + 'static) -> Self {
        Self { warnings: Some(Arc::new(warnings)), ..self }
    }

    /// All routes, with `socket` as the Socket.IO service.
    pub fn router<S>(&self, socket: S) -> Router
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        let health = Health {
            config: Arc::clone(&self.config),
            manager: Arc::clone(&self.manager),
            version: self.version,
            warnings: self.warnings.clone(),
        };
        let front = Console::built().filter(|_| self.config.console).map_or_else(
            || {
                let page = Page::new(self.version);
                Router::new().route("/", get(move || std::future::ready(page.show())))
            },
            Console::routes,
        );
        // As a service of its own route: a layer beside a fallback breaks long polling.
        let sockets = Router::new()
            .route_service("/socket.io/", socket.clone())
            .route_service("/socket.io", socket)
            .layer(map_request(compact));
        let router = Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/version", get(health::version))
            .with_state(health)
            .merge(front)
            .merge(sockets)
            .merge(Console::client_route())
            .merge(self.models.clone().map(|models| self.questions(models)).unwrap_or_default())
            .merge(self.metrics.clone().map(|page| metrics::routes(Arc::clone(&self.config), page)).unwrap_or_default())
            .merge(self.admin.clone().map(AdminApi::routes).unwrap_or_default())
            .fallback(health::not_found)
            .method_not_allowed_fallback(health::not_allowed);
        let checked = match &self.pages {
            Some(pages) => router.layer(from_fn_with_state(Arc::clone(pages), check_page)),
            None => router,
        };
        checked.layer(from_fn(secure))
    }

    fn questions(&self, models: ModelsApi) -> Router {
        mcp::routes(Arc::clone(&self.manager), models.access())
            .merge(sessions::routes(Arc::clone(&self.manager), models.access()))
            .merge(models.routes())
    }

    /// Serves what connects to `listener` until `shutdown`. Then nothing more is accepted, and requests that run get a while
    /// to end. A WebSocket goes on: it is the Socket.IO service's to close, before or after.
    pub async fn serve<S>(&self, listener: TcpListener, socket: S, shutdown: CancellationToken) -> Served
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        serve::serve(&self.config, self.proxies.clone(), listener, self.router(socket), shutdown).await
    }
}
