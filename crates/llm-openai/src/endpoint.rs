//! Where the requests go, and with which headers. In place of async-openai's own configuration, which reads
//! environment variables.

use crate::config::{Config, ConfigError, VENDOR};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};

/// A server and what it is told with each request.
#[derive(Clone)]
pub(crate) struct Endpoint {
    base: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Endpoint {
    pub(crate) fn new(config: &Config, key: Option<SecretString>) -> Result<Self, ConfigError> {
        let base = config.base_url.as_deref().unwrap_or(VENDOR).trim_end_matches('/').to_owned();
        check_url(&base)?;
        let key = key.map(|key| SecretString::from(key.expose_secret().trim().to_owned()));
        let key = key.filter(|key| !key.expose_secret().is_empty());
        if key.is_none() && config.needs_key() {
            return Err(ConfigError::MissingKey);
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &key {
            let bearer = format!("Bearer {}", key.expose_secret());
            let mut value = HeaderValue::try_from(bearer).map_err(|_| ConfigError::BadKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        for (field, name, value) in [
            ("organization", "openai-organization", &config.organization),
            ("project", "openai-project", &config.project),
        ] {
            let Some(value) = value else { continue };
            let reason = || "not a header's value".to_owned();
            let value = HeaderValue::try_from(value).map_err(|_| ConfigError::Field { field, reason: reason() })?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(Self { base, key: key.unwrap_or_default(), headers })
    }

    /// `text` without the key, and without what vendors show of a key in their messages (`sk-ab***yz`).
    pub(crate) fn redact(&self, text: &str) -> String {
        let key = self.key.expose_secret();
        let text = if key.is_empty() { text.to_owned() } else { text.replace(key, "[key]") };
        let shows_key =
            |word: &str| word.contains("***") || word.trim_start_matches(['\'', '"', '(']).starts_with("sk-");
        text.split(' ').map(|word| if shows_key(word) { "[key]" } else { word }).collect::<Vec<_>>().join(" ")
    }
}

impl async_openai::config::Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

fn check_url(base: &str) -> Result<(), ConfigError> {
    let wrong = |reason: String| Err(ConfigError::Field { field: "base_url", reason });
    match reqwest::Url::parse(base) {
        Err(error) => wrong(format!("not a URL: {error}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => wrong("neither http nor https".to_owned()),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            wrong("a URL with credentials; the key goes into its own setting".to_owned())
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => wrong("ends in a query".to_owned()),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_openai::config::Config as _;

    fn at(base_url: Option<&str>, key: Option<&str>) -> Result<Endpoint, ConfigError> {
        let config = Config { base_url: base_url.map(str::to_owned), ..Config::default() };
        Endpoint::new(&config, key.map(SecretString::from))
    }

    #[test]
    fn the_vendor_needs_a_key_and_a_server_of_ones_own_does_not() {
        assert_eq!(at(None, None).err(), Some(ConfigError::MissingKey));
        assert_eq!(at(None, Some(" \n")).err(), Some(ConfigError::MissingKey));
        assert!(at(None, Some("sk-1\n")).is_ok(), "a line break at the end is how files end");
        assert_eq!(at(None, Some("a\nb")).err(), Some(ConfigError::BadKey));
        let local = at(Some("http://127.0.0.1:1/v1/"), None).expect("a valid endpoint");
        assert_eq!(local.url("/models"), "http://127.0.0.1:1/v1/models");
        assert!(local.headers().is_empty());
    }

    #[test]
    fn a_url_that_cannot_be_meant_is_refused() {
        for url in ["", "api.openai.com/v1", "file:///etc/passwd", "https://a:b@c/v1", "https://c/v1?api-version=1"] {
            let error = at(Some(url), Some("k")).err();
            assert!(matches!(error, Some(ConfigError::Field { field: "base_url", .. })), "{url}: {error:?}");
        }
    }

    #[test]
    fn a_message_shows_nothing_of_a_key() {
        let endpoint = at(None, Some("topsecret")).expect("a valid endpoint");
        let said = "Incorrect API key provided: topsecret (or sk-proj-abc, or ab****yz). Try again.";
        let told = endpoint.redact(said);
        assert_eq!(told, "Incorrect API key provided: [key] (or [key] or [key] Try again.");
        let header = endpoint.headers().remove(AUTHORIZATION).expect("a header");
        assert!(!format!("{header:?}").contains("topsecret"));
    }
}
