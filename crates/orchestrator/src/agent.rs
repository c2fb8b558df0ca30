use lockkeeper_domain::{Code, Failure};
use lockkeeper_ports::LlmProvider;
use std::{fmt, sync::Arc};

/// What the configuration made of its choice of provider.
#[derive(Clone)]
pub enum Provider {
    /// It can be asked.
    Ready(Arc<dyn LlmProvider>),
    /// It was chosen, and its key is missing.
    MissingKey {
        /// The provider, as `LLM_PROVIDER` names it.
        name: &'static str,
        /// The environment variable that would hold the key.
        variable: &'static str,
    },
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(provider) => f.debug_tuple("Ready").field(&provider.name()).finish(),
            Self::MissingKey { name, .. } => f.debug_tuple("MissingKey").field(name).finish(),
        }
    }
}

/// Makes the agent of a session out of the configuration's choice and the client's wishes.
#[derive(Clone, Debug)]
pub struct AgentFactory {
    provider: Provider,
    model: Option<String>,
}

/// Who answers in a session.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) provider: Arc<dyn LlmProvider>,
    pub(crate) model: String,
}

impl AgentFactory {
    /// A factory for `provider`; `model` is the configured one, and the provider's default stands in for none.
    pub fn new(provider: Provider, model: Option<String>) -> Self {
        Self { provider, model }
    }

    /// The agent for a session whose client asks for `wish`, if for any model.
    ///
    /// Fails with [`Code::MissingKey`] when the chosen provider has no key.
    pub(crate) fn agent(&self, wish: Option<&str>) -> Result<Agent, Failure> {
        match &self.provider {
            Provider::Ready(provider) => {
                let model = wish.or(self.model.as_deref()).unwrap_or(provider.default_model()).to_owned();
                Ok(Agent { provider: Arc::clone(provider), model })
            }
            Provider::MissingKey { name, variable } => {
                let message = format!("The provider {name} needs an API key and {variable} is not set.");
                let hint = format!("Set {variable} in the server's environment and start it again.");
                Err(Failure::new(Code::MissingKey, message).with_hint(hint))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_ports::mocks::MockLlmProvider;

    fn factory(model: Option<&str>) -> AgentFactory {
        let mut provider = MockLlmProvider::new();
        provider.expect_default_model().return_const("default".to_owned());
        AgentFactory::new(Provider::Ready(Arc::new(provider)), model.map(str::to_owned))
    }

    #[test]
    fn the_clients_wish_comes_before_the_configuration_and_that_before_the_default() {
        let model = |configured, wish| factory(configured).agent(wish).map(|agent| agent.model);
        assert_eq!(model(None, None).as_deref(), Ok("default"));
        assert_eq!(model(Some("set"), None).as_deref(), Ok("set"));
        assert_eq!(model(Some("set"), Some("wished")).as_deref(), Ok("wished"));
    }

    #[test]
    fn a_missing_key_is_named() {
        let provider = Provider::MissingKey { name: "claude", variable: "ANTHROPIC_API_KEY" };
        let failure = AgentFactory::new(provider, None).agent(None).map(|_| ()).expect_err("no key");
        assert_eq!(failure.code, Code::MissingKey);
        assert!(failure.message.contains("ANTHROPIC_API_KEY"), "{failure:?}");
    }
}
