//! A server that runs.

use super::{
    Ground,
    agents::{agents_from_config, catalog_from_config},
    audit::{self, Sink},
    choices,
    identity::{audit_key, made_up_token},
    logins::Logins,
    rules,
    servers::Offer,
    stores::Opened,
};
use crate::{
    banner::Banner,
    beacon::{self, Beacon},
    clock::{StoreClock, SystemClock},
    config::{Config, Mode, ProviderName, mcp_servers::WORKSPACE},
    exit::Stop,
    lifecycle::{Lifecycle, Signals},
    reload::Hangups,
};
use anyhow::{Context as _, Result};
use lockkeeper_domain::{PrincipalId, ServerName};
use lockkeeper_http_api::{AdminApi, HttpApi, ModelsApi, PageCheck};
use lockkeeper_mcp_client::McpToolHost;
use lockkeeper_orchestrator::{Janitor, Oversight, Ports, Rulebook, SessionManager};
use lockkeeper_ports::{Authenticator, Clock, Principal, SandboxRuntime, ToolHost};
use lockkeeper_redis_store::RedisStore;
use lockkeeper_socket_gateway::Gateway;
use lockkeeper_telemetry::{Telemetry, Watched};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::task::spawn_blocking;

/// A server that takes connections.
pub(crate) struct Running {
    banner: Banner,
    token: Option<SecretString>,
    drain: Duration,
    manager: Arc<SessionManager>,
    gateway: Gateway,
    telemetry: Arc<Telemetry>,
    lifecycle: Lifecycle,
    ready_file: Option<ReadyFile>,
    beacon: Option<Beacon>,
    _lock: Option<File>,
}

/// The file that tells scripts where the server takes connections. It goes when the server stops taking them.
struct ReadyFile(PathBuf);

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, "the ready file could not be removed");
        }
    }
}

/// Removes the ready file of an earlier life, which ended without doing so. Scripts wait for the file to appear, so this
/// comes before anything else.
pub(crate) fn forget_ready(file: Option<&Path>) -> Result<()> {
    match file.map(fs::remove_file) {
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            let file = file.unwrap_or(Path::new("")).display().to_string();
            Err(error).with_context(|| format!("cannot remove the ready file {file} of an earlier server"))
        }
        _ => Ok(()),
    }
}

/// How long clients may take to hear that the server goes.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Starts a server on this ground: from here on it acts.
pub(crate) async fn start(ground: Ground) -> Result<Running, Stop> {
    let Ground { loaded, mode, policy, listener, store, sandboxes, runtime, image, why, servers, lock } = ground;
    let config = &loaded.config;
    let Opened { store, rules: stored_rules, budgets, peers, redis, choice: stored } = store;
    let lifecycle = Lifecycle::default();
    let audit_key = audit_key(config, redis.as_deref()).await?;
    let clock = clock(redis, &lifecycle).await?;
    let token = made_up_token(config)?;
    let telemetry = Telemetry::start(&config.telemetry, env!("CARGO_PKG_VERSION")).context("telemetry cannot start")?;
    let telemetry = Arc::new(telemetry);
    let agents = agents_from_config(config, &telemetry)?;
    let catalog = catalog_from_config(config, &agents);
    let sandboxes = telemetry.sandboxes(sandboxes);
    let rulebook = Rulebook::from(policy);
    let store = telemetry.store(store);
    let ports = Ports {
        store: Arc::clone(&store),
        tools: telemetry.tools(tools_from_config(config, Arc::clone(&sandboxes))?),
        clock: Arc::clone(&clock),
        agents,
        servers: servers.into(),
        workspace: config.mcp.workspace.then(|| ServerName::new(WORKSPACE)),
        rules: stored_rules,
        policy: rulebook.clone(),
        image,
        audit_key,
        secrets: secrets_of(config),
        peers,
        budgets,
        sandboxes: Arc::clone(&sandboxes),
    };
    let session = lockkeeper_orchestrator::Config { serving: mode == Mode::Serve, ..config.session.clone() };
    let manager = SessionManager::new(session, ports);
    let resumed = manager.resume_abandoned().await.context("the store cannot be read")?;
    if resumed > 0 {
        tracing::info!(resumed, "open turns of an earlier process go on");
    }
    let (janitor, soft) = (Janitor::new(Arc::clone(&manager)), lifecycle.soft.clone());
    lifecycle.spawn(async move { janitor.run(soft).await });
    // The servers of a terminal end with it.
    let hangups = if mode == Mode::Serve { Hangups::take(&lifecycle)? } else { Hangups::none() };
    let bounds = (config.audit.retention_days, config.audit.max_bytes);
    lifecycle.spawn(audit::retain(Arc::clone(&store), Arc::clone(&clock), bounds, lifecycle.soft.clone()));
    let sink = Sink::of(&config.audit, store, Arc::clone(&clock), Arc::clone(&telemetry), hangups.clone());
    if let Some(sink) = sink {
        lifecycle.spawn(sink.write(lifecycle.soft.clone()));
    }
    let address = listener.local_addr()?;
    let url = format!("http://{address}");
    let logins = Arc::new(Logins::of(config, token.clone(), catalog.clone())?);
    let authenticator = Arc::clone(&logins) as Arc<dyn Authenticator>;
    let (gateway, service) =
        Gateway::new(config.gateway.clone(), Arc::clone(&manager), Arc::clone(&authenticator), clock);
    let pages: PageCheck = Arc::new(gateway.page_check());
    let models = ModelsApi { catalog, authenticator, pages: Arc::clone(&pages) };
    telemetry.watch(watched(&manager, &gateway));
    let metrics = {
        let telemetry = Arc::clone(&telemetry);
        Arc::new(move || telemetry.page())
    };
    let http = HttpApi::new(config.http.clone(), Arc::clone(&manager), env!("CARGO_PKG_VERSION"))
        .with_models(models)
        .with_metrics(metrics)
        .with_pages(pages)
        .with_proxies(config.server.proxies().0)
        .with_warnings(gateway.warnings());
    let http = match &config.http.admin_token {
        Some(token) => http.with_admin(AdminApi::new(Oversight::new(Arc::clone(&manager), operator()?), token)),
        None => http,
    };
    let soft = lifecycle.soft.clone();
    lifecycle.spawn(async move {
        let served = http.serve(listener, service, soft).await;
        tracing::debug!(served.cut, "no more connections");
    });
    let banner = Banner {
        model: choices::model(config),
        sandbox: choices::sandbox(&sandboxes.isolation(), why.as_deref()),
        store: stored,
        approval: choices::approval(&rulebook.now()),
        url,
        token: token.as_ref().map(|token| token.expose_secret().to_owned()),
    };
    let drain = Duration::from_secs(config.server.drain_secs);
    let beacon = beacon::leave(config, address, token.as_ref()).unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "other commands will not find this server by themselves");
        None
    });
    let (offer, soft) = (Offer::of(&loaded, runtime), lifecycle.soft.clone());
    lifecycle.spawn(offer.keep_current(Arc::clone(&manager), hangups.clone(), soft.clone()));
    lifecycle.spawn(logins.keep_current(&loaded, mode, gateway.recheck(), hangups.clone(), soft.clone()));
    lifecycle.spawn(rules::keep_current(rulebook, loaded, hangups, soft));
    Ok(Running { banner, token, drain, manager, gateway, telemetry, lifecycle, ready_file: None, beacon, _lock: lock })
}

impl Running {
    /// What was chosen.
    pub(crate) fn banner(&self) -> &Banner {
        &self.banner
    }

    /// As in `http://127.0.0.1:3000`.
    pub(crate) fn url(&self) -> &str {
        &self.banner.url
    }

    /// A token that lets a client in, where one is needed.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// Tells scripts that the server takes connections: by `{"url": .., "pid": ..}` in a file that appears whole.
    pub(crate) fn announce(&mut self, file: Option<&Path>) -> Result<()> {
        tracing::info!(url = self.url(), "ready");
        let Some(file) = file else { return Ok(()) };
        let ready = serde_json::json!({"url": self.url(), "pid": std::process::id()});
        let partial = file.with_added_extension("partial");
        fs::write(&partial, format!("{ready}\n"))
            .and_then(|()| fs::rename(&partial, file))
            .with_context(|| format!("cannot write {}", file.display()))?;
        self.ready_file = Some(ReadyFile(file.to_owned()));
        Ok(())
    }

    /// Runs until a signal, then drains. A second signal ends the process at once.
    pub(crate) async fn until(self, mut signals: Signals) -> ExitCode {
        let signal = signals.next().await;
        tracing::info!(signal, "ending; the same again ends at once");
        tokio::select! {
            () = self.end() => ExitCode::SUCCESS,
            signal = signals.next() => {
                tracing::warn!(signal, "ended at once");
                ExitCode::FAILURE
            }
        }
    }

    /// Takes nothing new, lets running turns come to a rest, and ends.
    pub(crate) async fn end(self) {
        drop(self.ready_file);
        drop(self.beacon);
        let drained = self.manager.drain(self.drain).await;
        tracing::info!(drained.finished, drained.cut, "drained");
        self.gateway.close(CLOSE_GRACE).await;
        self.lifecycle.end().await;
        let telemetry = self.telemetry;
        if let Err(error) = spawn_blocking(move || telemetry.end()).await {
            tracing::warn!(%error, "the last telemetry was not sent");
        }
    }
}

/// What is kept elsewhere and is looked at with the metrics. It keeps nothing alive by that.
fn watched(manager: &Arc<SessionManager>, gateway: &Gateway) -> Watched {
    let (sessions, servers) = (Arc::downgrade(manager), Arc::downgrade(manager));
    let (connections, refusals) = (gateway.tally(), gateway.tally());
    Watched {
        sessions: Box::new(move || sessions.upgrade().map_or(0, |manager| manager.live_sessions())),
        connections: Box::new(move || connections.connections()),
        refusals: Box::new(move || refusals.refusals()),
        servers: Box::new(move || servers.upgrade().map(|manager| manager.server_health()).unwrap_or_default()),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// The time that sessions go by: that of the store that servers share, else the machine's.
async fn clock(redis: Option<Arc<RedisStore>>, lifecycle: &Lifecycle) -> Result<Arc<dyn Clock>, Stop> {
    let Some(redis) = redis else { return Ok(Arc::new(SystemClock)) };
    let told = redis.time().await.context("the store does not say what time it is");
    let clock = Arc::new(StoreClock::start(told.map_err(|error| Stop::Unavailable(vec![error]))?));
    let (following, soft) = (Arc::clone(&clock), lifecycle.soft.clone());
    lifecycle.spawn(async move {
        let ask = || {
            let redis = Arc::clone(&redis);
            async move { redis.time().await }
        };
        let _ = soft.run_until_cancelled(following.follow(ask, &SystemClock)).await;
    });
    Ok(clock)
}

fn tools_from_config(config: &Config, sandboxes: Arc<dyn SandboxRuntime>) -> Result<Arc<dyn ToolHost>> {
    Ok(Arc::new(McpToolHost::new(sandboxes, config.mcp.limits.clone())?))
}

/// What no tool's output may show.
fn secrets_of(config: &Config) -> Arc<[SecretString]> {
    let keys = ProviderName::VENDORS.into_iter().filter_map(|vendor| config.llm.key(vendor));
    let auth = &config.auth;
    let signing = auth.identity_secret.iter().chain([&auth.jwt.secret]);
    let operators = &config.http.admin_token;
    keys.chain(auth.tokens.values()).chain(signing).chain(operators).chain(&config.store.url).cloned().collect()
}

/// By which name the log holds what operators decide.
fn operator() -> Result<PrincipalId> {
    Ok(PrincipalId::parse(Principal::OPERATOR)?)
}
