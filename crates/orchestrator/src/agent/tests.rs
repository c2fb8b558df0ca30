use super::*;
use lockkeeper_ports::{
    LlmError,
    mocks::{MockKeyedLlm, MockLlmProvider},
};

const MISSING: Provider = Provider::MissingKey { name: "claude", variable: "ANTHROPIC_API_KEY" };

fn provider() -> MockLlmProvider {
    let mut provider = MockLlmProvider::new();
    provider.expect_name().return_const("claude");
    provider.expect_default_model().return_const("default".to_owned());
    provider
}

fn factory(model: Option<&str>) -> AgentFactory {
    AgentFactory::new(Provider::Ready(Arc::new(provider())), model.map(str::to_owned))
}

/// Takes every key but `bad`.
fn taken() -> OwnKeys {
    use secrecy::ExposeSecret as _;
    let mut vendor = MockKeyedLlm::new();
    vendor.expect_default_model().return_const("own-default".to_owned());
    vendor.expect_with_key().returning(|key| match key.expose_secret() {
        "bad" => Err(LlmError::Authentication("no key".to_owned())),
        _ => Ok(Arc::new(provider())),
    });
    OwnKeys::Taken(Arc::new(vendor))
}

fn key(key: &str) -> SecretString {
    key.to_owned().into()
}

#[test]
fn the_clients_wish_comes_before_the_configuration_and_that_before_the_default() {
    let model = |configured, wish| factory(configured).of_server(wish).model;
    assert_eq!(model(None, None), "default");
    assert_eq!(model(Some("set"), None), "set");
    assert_eq!(model(Some("set"), Some("wished")), "wished");
}

#[test]
fn a_missing_key_is_named_and_an_own_one_is_the_other_way() {
    let failure = |keys| AgentFactory::new(MISSING, None).with_own_keys(keys).of_server(None).provider.err();
    let refused = failure(OwnKeys::Refused).expect("no key");
    assert_eq!(refused.code, Code::MissingKey);
    assert!(refused.message.contains("ANTHROPIC_API_KEY"), "{refused:?}");
    assert!(!refused.hint.expect("a hint").contains("apiKey"));
    let hint = failure(taken()).and_then(|failure| failure.hint).expect("a hint");
    assert!(hint.contains("auth.apiKey") && hint.contains("ANTHROPIC_API_KEY"), "{hint}");
}

#[test]
fn an_own_key_stands_in_for_the_servers_and_its_loss_is_no_reason_to_take_the_servers() {
    let keyless = AgentFactory::new(MISSING, None).with_own_keys(taken());
    let agent = keyless.of_user(None, Some(key("k")));
    assert_eq!((agent.name, agent.model.as_str(), agent.provider.is_ok()), ("claude", "own-default", true));
    let lost = factory(None).with_own_keys(taken()).of_user(None, None).provider.err().expect("lost");
    assert_eq!(lost.code, Code::MissingKey);
    assert!(lost.hint.expect("a hint").contains("auth.apiKey"));
    for keys in [OwnKeys::Refused, OwnKeys::Needless] {
        let lost = factory(None).with_own_keys(keys).of_user(None, Some(key("k"))).provider.err().expect("not taken");
        assert_eq!(lost.code, Code::MissingKey);
    }
}

#[test]
fn a_key_is_taken_dropped_or_refused_as_the_configuration_says() {
    let wish = |keys, k| factory(None).with_own_keys(keys).wish(None, Some(key(k))).map(|wish| wish.key.is_some());
    assert_eq!(wish(taken(), "k"), Ok(true));
    assert_eq!(wish(OwnKeys::Needless, "k"), Ok(false));
    assert_eq!(wish(OwnKeys::Refused, "k").map_err(|failure| failure.code), Err(Code::Forbidden));
    assert_eq!(wish(taken(), "bad").map_err(|failure| failure.code), Err(Code::InvalidPayload));
}

#[test]
fn a_model_is_named_as_vendors_name_theirs() {
    let named = |model: &str| factory(None).wish(Some(model.to_owned()), None).map_err(|failure| failure.code);
    let good = ["claude-sonnet-5-5", "vendor/name:7b", "ft:gpt-6:org::id", "models/gemini-3.8-flash", "a@2026+x_1"];
    for model in good.into_iter().chain([&*"m".repeat(128)]) {
        assert!(named(model).is_ok(), "{model}");
    }
    let bad = ["", "../secret", "a/../b", "/a", "a//b", "a b", "a?x=1", "a%2e", "a\n", "ä", "-x", ".x", "a#b", "{a}"];
    for model in bad.into_iter().chain([&*"m".repeat(129)]) {
        assert_eq!(named(model).err(), Some(Code::InvalidPayload), "{model}");
    }
}

#[test]
fn a_debug_print_holds_no_key() {
    let factory = factory(None).with_own_keys(taken());
    let print = format!("{:?} {factory:?}", factory.wish(None, Some(key("canary"))));
    assert!(!print.contains("canary"), "{print}");
}
