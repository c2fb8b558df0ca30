//! Who answers, and with whose key.

use crate::{
    clock::SystemClock,
    config::{AuthMode, Config, ProviderName},
};
use anyhow::Result;
use lockkeeper_llm_claude::ClaudeProvider;
use lockkeeper_llm_demo::DemoProvider;
use lockkeeper_llm_gemini::GeminiProvider;
use lockkeeper_llm_openai::OpenAiProvider;
use lockkeeper_orchestrator::{AgentFactory, ModelCatalog, OwnKeys, Provider};
use lockkeeper_ports::{KeyedLlm, LlmError, LlmProvider};
use lockkeeper_telemetry::Telemetry;
use secrecy::SecretString;
use std::sync::Arc;

/// A vendor, and how it takes another key.
struct Vendor<P> {
    provider: P,
    with_key: fn(&P, SecretString) -> Option<P>,
}

impl<P: LlmProvider + 'static> KeyedLlm for Vendor<P> {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn default_model(&self) -> &str {
        self.provider.default_model()
    }

    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        let unusable = || LlmError::Authentication("it cannot be a key".to_owned());
        Ok(Arc::new((self.with_key)(&self.provider, key).ok_or_else(unusable)?))
    }
}

/// The demo, unless it only stands in for a vendor whose models it does not have.
pub(super) fn agents_from_config(config: &Config, telemetry: &Telemetry) -> Result<AgentFactory> {
    let llm = &config.llm;
    let name = llm.chosen();
    let (ready, vendor) = provider_from_config(config, name)?;
    let provider = match name.key_variable() {
        Some(variable) if llm.wants_key(name) && llm.key(name).is_none() => {
            Provider::MissingKey { name: name.as_str(), variable }
        }
        _ => Provider::Ready(telemetry.model(ready)),
    };
    let own_keys = match vendor {
        None => OwnKeys::Needless,
        Some(vendor) if config.takes_own_keys() => OwnKeys::Taken(telemetry.vendor(vendor)),
        Some(_) => OwnKeys::Refused,
    };
    // A model of another provider, left in the configuration, must not reach the stand-in.
    let model = llm.model.clone().filter(|_| name != ProviderName::Demo || llm.provider.is_some());
    Ok(AgentFactory::new(provider, model).with_own_keys(own_keys))
}

/// The lists of models.
pub(super) fn catalog_from_config(config: &Config, agents: &AgentFactory) -> ModelCatalog {
    ModelCatalog::new(config.llm.catalog.clone(), agents.clone(), Arc::new(SystemClock))
}

type Both = (Arc<dyn LlmProvider>, Option<Arc<dyn KeyedLlm>>);

/// The provider with the server's key, if it has one, and the vendor for keys of users, which shares its connections.
fn provider_from_config(config: &Config, name: ProviderName) -> Result<Both> {
    let llm = &config.llm;
    Ok(match name {
        ProviderName::Gemini => {
            both(GeminiProvider::new(llm.gemini.clone())?, |provider, key| provider.with_key(key).ok())
        }
        ProviderName::Claude => {
            both(ClaudeProvider::new(llm.claude.clone())?, |provider, key| provider.with_key(key).ok())
        }
        ProviderName::Openai => {
            // It is not made without a key. Where there is none, nobody asks this one: each user's key makes its own.
            let no_key = llm.wants_key(name) && llm.key(name).is_none();
            let key = no_key.then(|| SecretString::from("none"));
            both(OpenAiProvider::new(llm.openai.clone(), key)?, |provider, key| provider.with_key(key).ok())
        }
        ProviderName::Demo => (Arc::new(DemoProvider::new(llm.demo.clone())), None),
    })
}

fn both<P: LlmProvider + Clone + 'static>(provider: P, with_key: fn(&P, SecretString) -> Option<P>) -> Both {
    (Arc::new(provider.clone()), Some(Arc::new(Vendor { provider, with_key })))
}

impl Config {
    /// Whether users may bring provider keys of their own. By default where everyone is on this machine (`auth.mode = "none"`),
    /// and where the key is who the user is.
    pub(crate) fn takes_own_keys(&self) -> bool {
        self.llm.allow_own_keys.unwrap_or(matches!(self.auth.mode(), AuthMode::None | AuthMode::ProviderKey))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        config.llm.provider = Some(ProviderName::Openai);
        change(&mut config);
        let telemetry = Telemetry::start(&config.telemetry, "1.2.3").expect("it starts");
        format!("{:?}", agents_from_config(&config, &telemetry).expect("agents"))
    }

    #[test]
    fn keys_of_users_are_taken_where_that_is_safe_or_wanted() {
        assert!(agents(|_| {}).contains("Taken"));
        assert!(agents(|config| config.auth.mode = Some(AuthMode::ProviderKey)).contains("Taken"));
        assert!(agents(|config| config.auth.mode = Some(AuthMode::Static)).contains("Refused"));
        assert!(agents(|config| config.llm.allow_own_keys = Some(false)).contains("Refused"));
        let wanted = agents(|config| {
            config.auth.mode = Some(AuthMode::Static);
            config.llm.allow_own_keys = Some(true);
        });
        assert!(wanted.contains("Taken"));
        assert!(agents(|config| config.llm.provider = Some(ProviderName::Demo)).contains("Needless"));
    }

    #[test]
    fn every_vendor_without_a_key_of_the_servers_takes_users() {
        for name in ProviderName::VENDORS {
            let print = agents(|config| config.llm.provider = Some(name));
            assert!(print.contains("MissingKey") && print.contains("Taken"), "{print}");
        }
    }
}
