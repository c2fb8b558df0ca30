use schemars::JsonSchema;
use serde::Deserialize;

/// What is let through.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The longest text, in bytes: 65536. Of a longer one the beginning and the end stay.
    pub max_bytes: usize,
    /// How large the images of one result may be together, in bytes: 1048576. Those over it are left out.
    pub max_image_bytes: usize,
    /// Whether secrets are replaced: true.
    pub redact: bool,
}

impl Config {
    /// The least that `max_bytes` may be: what is cut must have room for the words that say so.
    pub const LEAST_BYTES: usize = 1024;

    /// What is wrong with the values, each with its key; empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let (found, least) = (self.max_bytes, Self::LEAST_BYTES);
        if found < least {
            return vec![("max_bytes", format!("is {found} and must be at least {least}"))];
        }
        Vec::new()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 64 << 10, max_image_bytes: 1 << 20, redact: true }
    }
}
