use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One thing that a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// To open sessions of its own and drive them: to send messages, to cancel, to reset, to end.
    Drive,
    /// To decide the calls of its own sessions.
    Decide,
    /// To look at sessions of others and decide their calls, as far as the configuration opens them.
    Approve,
    /// To look at sessions of others, as far as the configuration opens them.
    Observe,
}

impl Power {
    /// The power by this name, as configurations and tokens write it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "drive" => Self::Drive,
            "decide" => Self::Decide,
            "approve" => Self::Approve,
            "observe" => Self::Observe,
            _ => return None,
        })
    }
}

/// What a principal may do. By default it drives its own sessions and decides their calls, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Powers(BTreeSet<Power>);

impl Powers {
    /// Whether this is among them.
    pub fn may(&self, power: Power) -> bool {
        self.0.contains(&power)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Powers {
    fn default() -> Self {
        [Power::Drive, Power::Decide].into_iter().collect()
    }
}

impl FromIterator<Power> for Powers {
    fn from_iter<T: IntoIterator<Item = Power>>(powers: T) -> Self {
        Self(powers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_named_as_it_is_written() {
        for power in [Power::Drive, Power::Decide, Power::Approve, Power::Observe] {
            let name = serde_json::to_value(power).expect("a string");
            assert_eq!(Power::named(name.as_str().expect("a string")), Some(power));
        }
        assert_eq!(Power::named("Drive"), None);
    }

    #[test]
    fn by_default_nobody_has_a_power_over_sessions_of_others() {
        let powers = Powers::default();
        assert!(powers.may(Power::Drive) && powers.may(Power::Decide));
        assert!(!powers.may(Power::Approve) && !powers.may(Power::Observe));
    }
}
