//! A server that runs.

use super::{Ground, choices};
use crate::{
    banner::Banner,
    clock::SystemClock,
    config::{AuthMode, Config, ProviderName},
    exit::Stop,
    lifecycle::{Lifecycle, Signals},
    random,
};
use anyhow::{Context as _, Result};
use lockkeeper_domain::PrincipalId;
use lockkeeper_embedded_store::PeerHub;
use lockkeeper_http_api::HttpApi;
use lockkeeper_llm_claude::ClaudeProvider;
use lockkeeper_llm_demo::DemoProvider;
use lockkeeper_llm_gemini::GeminiProvider;
use lockkeeper_llm_openai::OpenAiProvider;
use lockkeeper_mcp_client::McpToolHost;
use lockkeeper_orchestrator::{AgentFactory, Janitor, Ports, Provider, SessionManager};
use lockkeeper_ports::{Authenticator, LlmProvider, SandboxRuntime, ToolHost};
use lockkeeper_socket_gateway::{Gateway, OpenAuthenticator, StaticAuthenticator};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{self, File},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// A server that takes connections.
pub(crate) struct Running {
    banner: Banner,
    token: Option<SecretString>,
    drain: Duration,
    manager: Arc<SessionManager>,
    gateway: Gateway,
    lifecycle: Lifecycle,
    _lock: Option<File>,
}

/// How long clients may take to hear that the server goes.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Starts a server on this ground: from here on it acts.
pub(crate) async fn start(ground: Ground) -> Result<Running, Stop> {
    let Ground { loaded, listener, store, sandboxes, why, servers, lock } = ground;
    let config = loaded.config;
    let token = made_up_token(&config)?;
    let ports = Ports {
        store,
        tools: tools_from_config(&config, Arc::clone(&sandboxes))?,
        clock: Arc::new(SystemClock),
        agents: agents_from_config(&config)?,
        servers: servers.into(),
        policy: config.policy.rules.clone(),
        secrets: secrets_of(&config),
        peers: PeerHub::new().join(format!("{}-{}", std::process::id(), random::hex::<4>()?)),
        sandboxes: Arc::clone(&sandboxes),
    };
    let manager = SessionManager::new(config.session.clone(), ports);
    let lifecycle = Lifecycle::default();
    let resumed = manager.resume_abandoned().await.context("the store cannot be read")?;
    if resumed > 0 {
        tracing::info!(resumed, "open turns of an earlier process go on");
    }
    let (janitor, soft) = (Janitor::new(Arc::clone(&manager)), lifecycle.soft.clone());
    lifecycle.spawn(async move { janitor.run(soft).await });
    let url = format!("http://{}", listener.local_addr()?);
    let authenticator = authenticator_from_config(&config, token.as_ref())?;
    let (gateway, service) =
        Gateway::new(config.gateway.clone(), Arc::clone(&manager), authenticator, Arc::new(SystemClock));
    let http = HttpApi::new(config.http.clone(), Arc::clone(&manager), env!("CARGO_PKG_VERSION"));
    let soft = lifecycle.soft.clone();
    lifecycle.spawn(async move {
        let served = http.serve(listener, service, soft).await;
        tracing::debug!(served.cut, "no more connections");
    });
    let banner = Banner {
        model: choices::model(&config),
        sandbox: choices::sandbox(&sandboxes.isolation(), why.as_deref()),
        store: choices::store(&config),
        approval: choices::approval(&config),
        url,
        token: token.as_ref().map(|token| token.expose_secret().to_owned()),
    };
    Ok(Running {
        banner,
        token,
        drain: Duration::from_secs(config.server.drain_secs),
        manager,
        gateway,
        lifecycle,
        _lock: lock,
    })
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
    pub(crate) fn announce(&self, file: Option<&Path>) -> Result<()> {
        tracing::info!(url = self.url(), "ready");
        let Some(file) = file else { return Ok(()) };
        let ready = serde_json::json!({"url": self.url(), "pid": std::process::id()});
        let partial = file.with_added_extension("partial");
        fs::write(&partial, format!("{ready}\n"))
            .and_then(|()| fs::rename(&partial, file))
            .with_context(|| format!("cannot write {}", file.display()))
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
        let drained = self.manager.drain(self.drain).await;
        tracing::info!(drained.finished, drained.cut, "drained");
        self.gateway.close(CLOSE_GRACE).await;
        self.lifecycle.end().await;
    }
}

/// A token for a `dev` server with authentication and without tokens. It goes into the console's address.
fn made_up_token(config: &Config) -> Result<Option<SecretString>> {
    let needed = config.auth.mode() == AuthMode::Static && config.auth.tokens.is_empty();
    needed.then(|| random::hex::<32>().map(SecretString::from)).transpose()
}

fn authenticator_from_config(config: &Config, made_up: Option<&SecretString>) -> Result<Arc<dyn Authenticator>> {
    if config.auth.mode() == AuthMode::None {
        return Ok(Arc::new(OpenAuthenticator));
    }
    let named = config.auth.tokens.iter().map(|(name, token)| (name.as_str(), token));
    let made_up = made_up.map(|token| ("local", token));
    let known = named.chain(made_up).map(|(name, token)| {
        let id = PrincipalId::parse(name).with_context(|| format!("`auth.tokens.{name}` is no name of a principal"))?;
        Ok((id, token.clone()))
    });
    Ok(Arc::new(StaticAuthenticator::new(known.collect::<Result<Vec<_>>>()?)))
}

fn tools_from_config(config: &Config, sandboxes: Arc<dyn SandboxRuntime>) -> Result<Arc<dyn ToolHost>> {
    Ok(Arc::new(McpToolHost::new(sandboxes, config.mcp.limits.clone())?))
}

/// What no tool's output may show.
fn secrets_of(config: &Config) -> Arc<[SecretString]> {
    let keys = ProviderName::VENDORS.into_iter().filter_map(|vendor| config.llm.key(vendor));
    keys.chain(config.auth.tokens.values()).cloned().collect()
}

/// The demo, unless it only stands in for a vendor whose models it does not have.
fn agents_from_config(config: &Config) -> Result<AgentFactory> {
    let llm = &config.llm;
    let name = llm.chosen();
    if let Some(variable) = name.key_variable()
        && llm.wants_key(name)
        && llm.key(name).is_none()
    {
        let missing = Provider::MissingKey { name: name.as_str(), variable };
        return Ok(AgentFactory::new(missing, llm.model.clone()));
    }
    let provider: Arc<dyn LlmProvider> = match name {
        ProviderName::Gemini => Arc::new(GeminiProvider::new(llm.gemini.clone())?),
        ProviderName::Claude => Arc::new(ClaudeProvider::new(llm.claude.clone())?),
        ProviderName::Openai => Arc::new(OpenAiProvider::new(llm.openai.clone(), None)?),
        ProviderName::Demo => Arc::new(DemoProvider::new(llm.demo.clone())),
    };
    // A model of another provider, left in the configuration, must not reach the stand-in.
    let model = llm.model.clone().filter(|_| name != ProviderName::Demo || llm.provider.is_some());
    Ok(AgentFactory::new(Provider::Ready(provider), model))
}
