use super::{Finding, Level};
use crate::config::{Llm, ProviderName};

/// Whether somebody answers. A key is not tried out: that would cost its owner.
pub(super) fn examine(llm: &Llm) -> Finding {
    let name = llm.chosen();
    let finding = |level, what: String| Finding::new("model", level, what);
    if let Some(variable) = name.key_variable()
        && llm.wants_key(name)
        && llm.key(name).is_none()
    {
        return finding(Level::Fail, format!("the provider `{}` has no API key", name.as_str()))
            .fix(format!("set {variable} or {variable}_FILE"));
    }
    match (name, llm.provider) {
        (ProviderName::Demo, None) => {
            finding(Level::Warn, "no provider has a key: `dev` answers with scripted replies".to_owned())
                .fix("set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY")
        }
        (ProviderName::Demo, Some(_)) => finding(Level::Ok, "demo: scripted replies, no network".to_owned()),
        _ => finding(Level::Ok, format!("{}: what it needs is set; it was not asked", name.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_fails_and_a_stand_in_is_a_warning() {
        let mut llm = Llm::default();
        assert_eq!(examine(&llm).level, Level::Warn);
        llm.provider = Some(ProviderName::Claude);
        let missing = examine(&llm);
        assert_eq!(missing.level, Level::Fail);
        assert!(missing.fix.expect("a fix").contains("ANTHROPIC_API_KEY"));
        llm.claude.api_key = "secret".into();
        let found = examine(&llm);
        assert_eq!(found.level, Level::Ok);
        assert!(!found.what.contains("secret"));
    }
}
