use lockkeeper_domain::{Code, Failure};
use lockkeeper_ports::{KeyedLlm, LlmProvider};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
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

/// Whether users may bring provider keys of their own.
#[derive(Clone, Default)]
pub enum OwnKeys {
    /// They may not: who brings one is refused.
    #[default]
    Refused,
    /// The provider has no use for any: one that is brought is dropped unread.
    Needless,
    /// They may.
    Taken(Arc<dyn KeyedLlm>),
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "Refused",
            Self::Needless => "Needless",
            Self::Taken(_) => "Taken",
        })
    }
}

/// Makes the agent of a session out of the configuration's choice and the client's wishes.
#[derive(Clone, Debug)]
pub struct AgentFactory {
    provider: Provider,
    own_keys: OwnKeys,
    model: Option<String>,
}

/// What an attaching client wants of the agent, once it is known to be possible.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) model: Option<String>,
    /// Lives in memory alone, and goes to another server only where [`carries_secrets`](lockkeeper_ports::Peers::carries_secrets)
    /// lets it.
    #[serde(serialize_with = "revealed")]
    pub(crate) key: Option<SecretString>,
}

/// Who answers in a session.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    pub(crate) model: String,
    /// Why nobody can be asked, where a key is missing.
    pub(crate) provider: Result<Arc<dyn LlmProvider>, Failure>,
}

impl AgentFactory {
    /// A factory for `provider`; `model` is the configured one, and the provider's default stands in for none. Users bring no
    /// keys.
    pub fn new(provider: Provider, model: Option<String>) -> Self {
        Self { provider, own_keys: OwnKeys::Refused, model }
    }

    /// The same factory, with another say on keys of users.
    #[must_use]
    pub fn with_own_keys(self, own_keys: OwnKeys) -> Self {
        Self { own_keys, ..self }
    }

    /// What a client may have of what it asks for. Fails with [`Code::InvalidPayload`] for what no model or key can look
    /// like, and with [`Code::Forbidden`] for a key where none are taken.
    pub(crate) fn wish(&self, model: Option<String>, key: Option<SecretString>) -> Result<Wish, Failure> {
        if let Some(model) = &model {
            check_model(model)?;
        }
        let key = match (key, &self.own_keys) {
            (None, _) | (Some(_), OwnKeys::Needless) => None,
            (Some(_), OwnKeys::Refused) => return Err(refused()),
            (Some(key), OwnKeys::Taken(vendor)) => {
                vendor.with_key(key.clone()).map_err(|_| unusable())?;
                Some(key)
            }
        };
        Ok(Wish { model, key })
    }

    /// The agent that the server's own key pays for. It cannot be asked, with [`Code::MissingKey`], when there is none.
    pub(crate) fn of_server(&self, model: Option<&str>) -> Agent {
        let provider = match &self.provider {
            Provider::Ready(provider) => Ok(Arc::clone(provider)),
            Provider::MissingKey { name, variable } => Err(self.missing(name, variable)),
        };
        self.agent(model, provider)
    }

    /// The agent of a user's own key. It cannot be asked, with [`Code::MissingKey`], as long as the key is not there.
    pub(crate) fn of_user(&self, model: Option<&str>, key: Option<SecretString>) -> Agent {
        let provider = match (key, &self.own_keys) {
            (Some(key), OwnKeys::Taken(vendor)) => vendor.with_key(key).map_err(|_| unusable()),
            (None, OwnKeys::Taken(_)) => Err(lost("Connect again with auth.apiKey, and send the message again.")),
            (_, OwnKeys::Refused | OwnKeys::Needless) => {
                Err(lost("The server does not take keys of users any more: open another session."))
            }
        };
        self.agent(model, provider)
    }

    /// Whether a session that is opened with this wish, and has no other key, can get answers.
    pub(crate) fn can_answer(&self, wish: &Wish) -> Result<(), Failure> {
        if wish.key.is_some() { Ok(()) } else { self.of_server(None).provider.map(drop) }
    }

    /// Whose provider it is, whether it can be asked or not.
    pub(crate) fn name(&self) -> &'static str {
        match &self.provider {
            Provider::Ready(provider) => provider.name(),
            Provider::MissingKey { name, .. } => name,
        }
    }

    fn agent(&self, model: Option<&str>, provider: Result<Arc<dyn LlmProvider>, Failure>) -> Agent {
        let model = model.or(self.model.as_deref()).map(str::to_owned);
        let model = model.unwrap_or_else(|| match (&self.provider, &self.own_keys) {
            (Provider::Ready(provider), _) => provider.default_model().to_owned(),
            (Provider::MissingKey { .. }, OwnKeys::Taken(vendor)) => vendor.default_model().to_owned(),
            (Provider::MissingKey { .. }, _) => String::new(),
        });
        Agent { name: self.name(), model, provider }
    }

    fn missing(&self, name: &str, variable: &str) -> Failure {
        let message = format!("The provider {name} needs an API key and {variable} is not set.");
        let set = format!("et {variable} in the server's environment and start it again.");
        let hint = match self.own_keys {
            OwnKeys::Taken(_) => format!("Connect with a key of your own as auth.apiKey, or s{set}"),
            OwnKeys::Refused | OwnKeys::Needless => format!("S{set}"),
        };
        Failure::new(Code::MissingKey, message).with_hint(hint)
    }
}

/// Whether `model` may be the name of a model: 1 to 128 characters out of `A-Z a-z 0-9 . _ - : / @ +`, the first of them a
/// letter or a digit, without `..` and `//`. Some vendors take it as a part of an address.
fn check_model(model: &str) -> Result<(), Failure> {
    const MAX: usize = 128;
    let character = |c: u8| c.is_ascii_alphanumeric() || b"._-:/@+".contains(&c);
    let named = model.len() <= MAX && model.bytes().all(character) && !model.contains("..") && !model.contains("//");
    if named && model.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
        return Ok(());
    }
    let rule = "A model's name is 1 to 128 characters out of A-Z, a-z, 0-9 and . _ - : / @ + and begins with a letter or a digit.";
    Err(Failure::new(Code::InvalidPayload, rule).with_hint("GET /api/models lists the models that there are."))
}

/// Writes a key for the server that will use it.
#[expect(clippy::ref_option, reason = "serde calls it so")]
fn revealed<S: Serializer>(key: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(ExposeSecret::expose_secret).serialize(to)
}

fn refused() -> Failure {
    Failure::new(Code::Forbidden, "This server takes no provider keys of users.")
        .with_hint("Connect without auth.apiKey; the operator can set llm.allow_own_keys.")
}

fn unusable() -> Failure {
    Failure::new(Code::InvalidPayload, "auth.apiKey cannot be the key of a provider.")
}

fn lost(hint: &str) -> Failure {
    let message =
        "This session uses a provider key of yours, which the server holds in memory alone and does not have now.";
    Failure::new(Code::MissingKey, message).with_hint(hint)
}

#[cfg(test)]
mod tests;
