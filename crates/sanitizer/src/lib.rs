//! Makes what strangers wrote fit for models, browsers and logs.
//!
//! The output of tools is data from strangers. [`Sanitizer::clean`] removes terminal sequences and control characters, shows
//! characters that turn text around, drops those that nobody sees, replaces secrets, and cuts what is too long, in this
//! order: a secret that was broken up by invisible characters is whole again before it is looked for.
//!
//! What comes out is a fixed point: cleaning it again changes nothing.

mod characters;
mod config;
mod cut;
mod decode;
mod json;
mod media;
mod patterns;
mod schema;
mod secrets;
mod stream;

pub use config::Config;
pub use media::Unfit;
pub use schema::clean_schema;
pub use secrets::Found;
pub use stream::Stream;

use secrecy::SecretString;
use secrets::Secrets;
use serde_json::Value;

/// Returns the text without terminal sequences and control characters, and without what hides or reorders text. Line breaks and
/// tabs stay.
pub fn visible(text: &str) -> String {
    characters::clean(text)
}

/// Cleans texts by one configuration.
#[derive(Debug)]
pub struct Sanitizer {
    config: Config,
    secrets: Secrets,
}

impl Sanitizer {
    /// A sanitizer that also knows these secrets by heart, in the forms in which they travel. Those of less than eight bytes
    /// are passed over, since they would be found everywhere.
    pub fn new(config: Config, known: &[SecretString]) -> Self {
        Self { secrets: Secrets::new(known), config }
    }

    /// The text, cleaned, with secrets replaced by `[REDACTED:kind:hash]`, and no longer than the configuration allows.
    pub fn clean(&self, text: &str) -> String {
        cut::middle(self.clean_whole(text), self.config.max_bytes)
    }

    /// The same without a limit.
    pub fn clean_whole(&self, text: &str) -> String {
        let visible = characters::clean(text);
        if self.config.redact { self.secrets.redact_whole(&visible) } else { visible }
    }

    /// The same for each string of a value, names included. What is longer than the configuration allows as a whole becomes
    /// a string that says so.
    pub fn clean_json(&self, value: Value) -> Value {
        json::clean(self, value)
    }

    /// The first secret in the strings of a value, if any: what must not leave unseen.
    pub fn find_in(&self, value: &Value) -> Option<Found> {
        json::find(&self.secrets, value)
    }
}
