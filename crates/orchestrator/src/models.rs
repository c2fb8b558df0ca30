//! The models that the provider offers, asked for seldom and kept for a while.

mod config;

pub use config::ModelsConfig;

use crate::{AgentFactory, Budget};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use lockkeeper_domain::{Code, Failure, Timestamp};
use lockkeeper_ports::{Clock, LlmError, LlmProvider, ModelInfo};
use secrecy::SecretString;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// The models of the server's own key, from a cache, and those of users' keys, each asked for anew.
///
/// However many ask, the vendor hears of it seldom: once for all who wait at the same time, again only when the list is too
/// old, and after a failure not before a pause. A list that cannot be renewed is shown as it was, with its age.
#[derive(Clone)]
pub struct ModelCatalog {
    inner: Arc<Inner>,
}

/// What a provider offers.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelList {
    /// The provider.
    pub provider: &'static str,
    /// The model of sessions that ask for none.
    pub default: String,
    /// The models, in the provider's order.
    pub models: Arc<[ModelInfo]>,
    /// When the provider said so.
    pub fetched_at: Timestamp,
    /// How long ago that was.
    pub age: Duration,
    /// Why there is no newer list, where there should be one.
    pub problem: Option<Failure>,
}

type Fetched = Result<Arc<[ModelInfo]>, Failure>;
type Flight = Shared<BoxFuture<'static, Fetched>>;

struct Inner {
    config: ModelsConfig,
    agents: AgentFactory,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    budget: Mutex<Budget>,
    /// Questions with users' keys that are under way.
    own: Semaphore,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    failed: Option<(Instant, Failure)>,
    /// Survives those who wait for it: whoever comes next goes on with it.
    flight: Option<Flight>,
}

#[derive(Clone)]
struct Known {
    models: Arc<[ModelInfo]>,
    at: Timestamp,
    since: Instant,
}

impl ModelCatalog {
    /// The models of the provider that `agents` makes agents of. `config` has no problems.
    pub fn new(config: ModelsConfig, agents: AgentFactory, clock: Arc<dyn Clock>) -> Self {
        let budget = Mutex::new(Budget::new(config.own_key_burst, config.own_keys_per_min));
        let own = Semaphore::new(config.max_own_keys_at_once);
        Self { inner: Arc::new(Inner { config, agents, clock, state: Mutex::default(), budget, own }) }
    }

    /// The models for whoever calls from `caller`, by their own `key` if they have one.
    #[tracing::instrument(name = "models.list", skip_all, fields(own_key = key.is_some()))]
    pub async fn list(&self, caller: IpAddr, key: Option<SecretString>) -> Result<ModelList, Failure> {
        match self.inner.agents.wish(None, key)?.key {
            Some(key) => self.of_user(caller, key).await,
            None => self.of_server().await,
        }
    }

    async fn of_user(&self, caller: IpAddr, key: SecretString) -> Result<ModelList, Failure> {
        let inner = &self.inner;
        if !lock(&inner.budget).take(caller) {
            let message = "Too many questions to the provider with keys of users; wait a moment.";
            return Err(Failure::new(Code::RateLimited, message));
        }
        let agent = inner.agents.of_user(None, Some(key));
        let provider = agent.provider?;
        let asked = async {
            let _place = inner.own.acquire().await;
            provider.models().await
        };
        let models = timeout(inner.config.timeout(), asked).await.unwrap_or_else(|_| Err(inner.late()));
        let models = models.map_err(|error| failure(&error))?.into();
        let (provider, default, fetched_at) = (agent.name, agent.model, inner.clock.now());
        Ok(ModelList { provider, default, models, fetched_at, age: Duration::ZERO, problem: None })
    }

    async fn of_server(&self) -> Result<ModelList, Failure> {
        let agent = self.inner.agents.of_server(None);
        let provider = agent.provider?;
        let problem = match self.flight(&provider) {
            Ok(None) => None,
            Ok(Some(flight)) => flight.await.err(),
            Err(failure) => Some(failure),
        };
        let known = self.inner.state().known.clone();
        match (known, problem) {
            (Some(Known { models, at, since }), problem) => {
                let (provider, default) = (agent.name, agent.model);
                Ok(ModelList { provider, default, models, fetched_at: at, age: since.elapsed(), problem })
            }
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(Failure::new(Code::Internal, "The list of models was lost.")),
        }
    }

    /// The question that is under way, or a new one; none where the list is new enough, and the failure where it is too early
    /// to ask again.
    fn flight(&self, provider: &Arc<dyn LlmProvider>) -> Result<Option<Flight>, Failure> {
        let inner = &self.inner;
        let mut state = inner.state();
        if state.known.as_ref().is_some_and(|known| known.since.elapsed() < inner.config.ttl()) {
            return Ok(None);
        }
        if let Some(flight) = &state.flight {
            return Ok(Some(flight.clone()));
        }
        if let Some((at, failure)) = &state.failed
            && at.elapsed() < inner.config.retry()
        {
            return Err(failure.clone());
        }
        let flight = fetch(Arc::clone(inner), Arc::clone(provider)).boxed().shared();
        state.flight = Some(flight.clone());
        Ok(Some(flight))
    }
}

impl std::fmt::Debug for ModelCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelCatalog").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn late(&self) -> LlmError {
        LlmError::Timeout(format!("no list of models came within {} ms", self.config.timeout_ms))
    }
}

/// Asks for the server's models and remembers the answer.
async fn fetch(inner: Arc<Inner>, provider: Arc<dyn LlmProvider>) -> Fetched {
    let answer = timeout(inner.config.timeout(), provider.models()).await.unwrap_or_else(|_| Err(inner.late()));
    let answer: Fetched = answer.map(Into::into).map_err(|error| failure(&error));
    let mut state = inner.state();
    state.flight = None;
    match &answer {
        Ok(models) => {
            let models = Arc::clone(models);
            state.known = Some(Known { models, at: inner.clock.now(), since: Instant::now() });
            state.failed = None;
        }
        Err(failure) => {
            tracing::warn!(code = %failure.code, "the provider does not list its models: {}", failure.message);
            state.failed = Some((Instant::now(), failure.clone()));
        }
    }
    answer
}

fn failure(error: &LlmError) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    match error.code() {
        Code::ProviderAuthentication => failure.with_hint("Check the provider's API key."),
        code if code.is_retryable() => failure.with_hint("Try again in a moment."),
        _ => failure,
    }
}

/// Each change is whole when the lock is let go, so that a panic elsewhere leaves it right.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
