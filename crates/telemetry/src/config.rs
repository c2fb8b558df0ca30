use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// Where figures and traces go. Without an `endpoint` nothing is sent anywhere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address of a collector that takes OTLP over HTTP, as in `http://127.0.0.1:4318`. Traces go to `/v1/traces` below it
    /// and metrics to `/v1/metrics`. None by default.
    pub endpoint: Option<String>,
    /// Headers that go with each request, by their names: mostly a key.
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<String, SecretString>,
    /// Whether traces are sent. Default true.
    pub traces: bool,
    /// Whether metrics are sent. Default true.
    pub metrics: bool,
    /// Whether spans carry what users, models and tools said, and the arguments of calls. Default false.
    pub capture_content: bool,
    /// The longest text of such an attribute, in bytes; a longer one is cut. Default 16 KiB.
    pub max_content_bytes: usize,
    /// Which part of the turns is traced, from 0 to 1. Default 1.
    pub sample_ratio: f64,
    /// What the server calls itself. Default `lockkeeper`.
    pub service_name: String,
    /// How often metrics are sent, in seconds. Default 60.
    pub metrics_secs: u64,
    /// How long spans are collected before they are sent, in milliseconds. Default 5000.
    pub spans_ms: u64,
    /// How many spans may wait to be sent; those beyond are dropped. Default 2048.
    pub max_queued_spans: usize,
    /// How long the collector may take for a request, in seconds; so long may the end of the server wait for the last one.
    /// Default 5.
    pub timeout_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: BTreeMap::new(),
            traces: true,
            metrics: true,
            capture_content: false,
            max_content_bytes: 16 << 10,
            sample_ratio: 1.0,
            service_name: "lockkeeper".to_owned(),
            metrics_secs: 60,
            spans_ms: 5_000,
            max_queued_spans: 2_048,
            timeout_secs: 5,
        }
    }
}

impl Config {
    /// What is wrong with the values, each with its key; empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if let Some(endpoint) = &self.endpoint {
            let address = reqwest::Url::parse(endpoint);
            if !address.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                problems.push(("endpoint", "must be an address as `http://127.0.0.1:4318`".to_owned()));
            }
        }
        for name in self.headers.keys() {
            if http::HeaderName::try_from(name.as_str()).is_err() {
                problems.push(("headers", format!("has `{name}`, which cannot be the name of a header")));
            }
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.push(("sample_ratio", format!("is {} and must be from 0 to 1", self.sample_ratio)));
        }
        let values = [
            ("metrics_secs", self.metrics_secs),
            ("spans_ms", self.spans_ms),
            ("max_queued_spans", self.max_queued_spans as u64),
            ("timeout_secs", self.timeout_secs),
        ];
        let zero = values.into_iter().filter(|(_, value)| *value == 0);
        problems.extend(zero.map(|(key, _)| (key, "is 0 and must be at least 1".to_owned())));
        problems
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem_and_bad_values_are_all_named() {
        assert_eq!(Config::default().problems(), []);
        let bad = Config {
            endpoint: Some("collector:4318".to_owned()),
            headers: BTreeMap::from([("not a name".to_owned(), "x".into())]),
            sample_ratio: 1.5,
            timeout_secs: 0,
            ..Config::default()
        };
        let keys: Vec<_> = bad.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["endpoint", "headers", "sample_ratio", "timeout_secs"]);
    }
}
