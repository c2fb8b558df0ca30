//! The settings of language models.

use secrecy::SecretString;
use serde::Deserialize;

/// Who answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Llm {
    /// The provider. `dev` takes the demo by default; `serve` wants it named.
    pub(crate) provider: Option<ProviderName>,
    /// The model; by default the provider's own choice.
    pub(crate) model: Option<String>,
    /// Gemini.
    pub(crate) gemini: Vendor,
    /// Claude.
    pub(crate) claude: Vendor,
    /// `OpenAI`.
    pub(crate) openai: Vendor,
    /// The demo provider.
    pub(crate) demo: lockkeeper_llm_demo::Config,
}

impl Llm {
    /// The settings of a vendor; none for the demo.
    pub(crate) fn vendor(&self, name: ProviderName) -> Option<&Vendor> {
        match name {
            ProviderName::Gemini => Some(&self.gemini),
            ProviderName::Claude => Some(&self.claude),
            ProviderName::Openai => Some(&self.openai),
            ProviderName::Demo => None,
        }
    }
}

/// The providers, by their names and the names that older configurations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// What a vendor's provider needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Vendor {
    /// The key.
    pub(crate) api_key: Option<SecretString>,
}
