//! The settings of language models.

use schemars::{JsonSchema, Schema};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Llm {
    /// The provider. `dev` takes a vendor with a key by default, else the demo; `serve` wants it named.
    pub(crate) provider: Option<ProviderName>,
    /// The model; by default the provider's own choice.
    pub(crate) model: Option<String>,
    /// Whether clients may bring provider keys of their own: by default with `auth.mode` `none` and `provider-key`, and not
    /// with `static`.
    pub(crate) allow_own_keys: Option<bool>,
    /// The lists of models.
    pub(crate) catalog: lockkeeper_orchestrator::ModelsConfig,
    /// Gemini.
    pub(crate) gemini: lockkeeper_llm_gemini::Config,
    /// Claude.
    pub(crate) claude: lockkeeper_llm_claude::Config,
    /// `OpenAI`.
    pub(crate) openai: lockkeeper_llm_openai::Config,
    /// The demo provider.
    pub(crate) demo: lockkeeper_llm_demo::Config,
}

impl Llm {
    /// The key of a vendor, where there is one.
    pub(crate) fn key(&self, name: ProviderName) -> Option<&SecretString> {
        let key = match name {
            ProviderName::Gemini => &self.gemini.api_key,
            ProviderName::Claude => &self.claude.api_key,
            ProviderName::Openai => &self.openai.api_key,
            ProviderName::Demo => return None,
        };
        (!key.expose_secret().is_empty()).then_some(key)
    }

    /// Whether a vendor cannot be asked without a key: a server of one's own often has none.
    pub(crate) fn wants_key(&self, name: ProviderName) -> bool {
        match name {
            ProviderName::Gemini => self.gemini.base_url == lockkeeper_llm_gemini::Config::default().base_url,
            ProviderName::Claude => self.claude.base_url == lockkeeper_llm_claude::Config::default().base_url,
            ProviderName::Openai => self.openai.needs_key(),
            ProviderName::Demo => false,
        }
    }

    /// Who answers: the one that is named, else the first vendor with a key, else the demo.
    pub(crate) fn chosen(&self) -> ProviderName {
        let keyed = || ProviderName::VENDORS.into_iter().find(|name| self.key(*name).is_some());
        self.provider.or_else(keyed).unwrap_or(ProviderName::Demo)
    }
}

/// The providers, by their names and the names that older configurations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = with_older_names)]
pub(crate) enum ProviderName {
    /// Google's Gemini.
    #[serde(alias = "google")]
    Gemini,
    /// Anthropic's Claude.
    #[serde(alias = "anthropic")]
    Claude,
    /// `OpenAI`.
    #[serde(alias = "chatgpt")]
    Openai,
    /// Scripted replies.
    Demo,
}

/// The older names are taken as well; the derived schema knows no aliases.
fn with_older_names(schema: &mut Schema) {
    if let Some(Value::Array(names)) = schema.get_mut("oneOf") {
        for (older, name) in [("google", "gemini"), ("anthropic", "claude"), ("chatgpt", "openai")] {
            names.push(json!({ "const": older, "description": format!("The same as `{name}`.") }));
        }
    }
}

impl ProviderName {
    /// The vendors: all but the demo.
    pub(crate) const VENDORS: [Self; 3] = [Self::Claude, Self::Openai, Self::Gemini];

    /// The name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gemini => "gemini",
            Self::Claude => "claude",
            Self::Openai => "openai",
            Self::Demo => "demo",
        }
    }

    /// The environment variable of its key; none for the demo.
    pub(crate) const fn key_variable(self) -> Option<&'static str> {
        match self {
            Self::Gemini => Some("GEMINI_API_KEY"),
            Self::Claude => Some("ANTHROPIC_API_KEY"),
            Self::Openai => Some("OPENAI_API_KEY"),
            Self::Demo => None,
        }
    }
}
