//! What was chosen, in words, for the banner and the log.

use crate::{
    banner::Choice,
    config::{Config, ProviderName, StoreKind},
};
use lockkeeper_domain::Policy;
use lockkeeper_ports::Isolation;

pub(super) fn model(config: &Config) -> Choice {
    let llm = &config.llm;
    let name = llm.chosen();
    if name != ProviderName::Demo {
        let default = match name {
            ProviderName::Gemini => &llm.gemini.model,
            ProviderName::Openai => &llm.openai.default_model,
            ProviderName::Claude | ProviderName::Demo => &llm.claude.model,
        };
        let what = llm.model.as_ref().unwrap_or(default).clone();
        return Choice { is_stand_in: false, name: name.as_str().to_owned(), what, hint: String::new() };
    }
    let hint = match llm.provider {
        Some(_) => "",
        None => "set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY",
    };
    let what = "scripted replies, no network".to_owned();
    Choice { is_stand_in: true, name: "demo".to_owned(), what, hint: hint.to_owned() }
}

/// `why` tells why it is not another runtime, where the configuration did not choose.
pub(super) fn sandbox(isolation: &Isolation, why: Option<&str>) -> Choice {
    let Isolation { runtime, holds, gaps, none } = isolation.clone();
    let held = if none || gaps.is_empty() { gaps.clone() } else { format!("not held: {gaps}") };
    let hint = [held.as_str(), why.unwrap_or_default()].into_iter().filter(|part| !part.is_empty());
    let hint = hint.collect::<Vec<_>>().join("; ");
    Choice { is_stand_in: none || !gaps.is_empty(), name: runtime, what: holds, hint }
}

/// `why` tells why it is no Redis, though there is an address.
pub(super) fn store(config: &Config, why: Option<&str>) -> Choice {
    if config.store.kind == Some(StoreKind::Redis) {
        let (name, what) = ("redis".to_owned(), config.store.redis().shown_address());
        return Choice { is_stand_in: false, name, what, hint: String::new() };
    }
    if config.store.kind == Some(StoreKind::Memory) {
        let what = "nothing outlives this process".to_owned();
        return Choice { is_stand_in: true, name: "memory".to_owned(), what, hint: String::new() };
    }
    let path = config.store.embedded().path.unwrap_or_default();
    let hint = why.unwrap_or("one file, one process");
    Choice {
        is_stand_in: why.is_some(),
        name: "embedded".to_owned(),
        what: path.display().to_string(),
        hint: hint.to_owned(),
    }
}

pub(super) fn approval(rules: &Policy) -> Choice {
    if rules.is_empty() {
        let what = "every tool call asks you".to_owned();
        return Choice { is_stand_in: false, name: "ask".to_owned(), what, hint: String::new() };
    }
    let what = format!("{} rules decide; what none covers asks you", rules.len());
    Choice { is_stand_in: false, name: "rules".to_owned(), what, hint: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_chooses_its_vendor_and_a_name_comes_before_it() {
        let mut config = Config::default();
        let chosen = |config: &Config| (model(config).name, model(config).is_stand_in);
        assert_eq!(chosen(&config), ("demo".to_owned(), true));
        assert!(model(&config).hint.contains("ANTHROPIC_API_KEY"));
        config.llm.openai.api_key = "k".into();
        assert_eq!(chosen(&config), ("openai".to_owned(), false));
        config.llm.claude.api_key = "k".into();
        assert_eq!(chosen(&config), ("claude".to_owned(), false));
        config.llm.provider = Some(ProviderName::Demo);
        assert_eq!(chosen(&config), ("demo".to_owned(), true));
        assert_eq!(model(&config).hint, "");
    }

    #[test]
    fn a_sandbox_with_gaps_is_marked() {
        let isolation = |gaps: &str, none| {
            let (runtime, holds, gaps) = ("local".to_owned(), "namespaces".to_owned(), gaps.to_owned());
            sandbox(&Isolation { runtime, holds, gaps, none }, Some("no Docker").filter(|_| none))
        };
        assert!(!isolation("", false).is_stand_in);
        assert_eq!(isolation("memory", false).hint, "not held: memory");
        let nothing = isolation("nothing isolates", true);
        assert_eq!((nothing.is_stand_in, nothing.hint.as_str()), (true, "nothing isolates; no Docker"));
    }

    #[test]
    fn a_store_says_where_it_is() {
        let mut config = Config::default();
        assert_eq!(store(&config, None).what, ".lockkeeper/store.redb");
        let instead = store(&config, Some("the Redis at h cannot be reached"));
        assert!(instead.is_stand_in && instead.hint.contains("cannot be reached"));
        config.store.kind = Some(StoreKind::Memory);
        assert!(store(&config, None).is_stand_in);
        config.store.kind = Some(StoreKind::Redis);
        config.store.url = Some("redis://u:secret@h:1/2".into());
        let redis = store(&config, None);
        assert_eq!((redis.is_stand_in, redis.what.as_str()), (false, "redis://h:1/2"));
    }
}
