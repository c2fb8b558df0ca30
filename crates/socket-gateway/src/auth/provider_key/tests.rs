use super::*;
use lockkeeper_orchestrator::{AgentFactory, ModelsConfig, OwnKeys, Provider};
use lockkeeper_ports::{LlmError, ModelInfo, mocks::MockKeyedLlm, mocks::MockLlmProvider};
use lockkeeper_testkit::clock::TokioClock;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

fn secret(text: &str) -> IdentitySecret {
    IdentitySecret::new(text.repeat(32).into()).expect("long enough")
}

fn credentials(token: Option<&str>, key: Option<&str>) -> Credentials {
    let secret = |text: &str| SecretString::from(text.to_owned());
    Credentials { token: token.map(secret), key: key.map(secret), address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

async fn name(by: &ProviderKeyAuthenticator, token: Option<&str>, key: Option<&str>) -> Result<String, String> {
    let outcome = by.authenticate(&credentials(token, key)).await;
    outcome.map(|principal| principal.id.to_string()).map_err(|error| error.to_string())
}

/// A vendor that says this of every key, and how often it was asked.
fn vendor(answer: Result<(), LlmError>) -> (ModelCatalog, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut keyed = MockKeyedLlm::new();
    keyed.expect_default_model().return_const("m".to_owned());
    keyed.expect_with_key().returning(move |_| {
        let (count, answer) = (Arc::clone(&count), answer.clone());
        let mut provider = MockLlmProvider::new();
        provider.expect_models().returning(move || {
            count.fetch_add(1, Ordering::Relaxed);
            answer.clone().map(|()| vec![ModelInfo { id: "m".to_owned(), display_name: "M".to_owned() }])
        });
        Ok(Arc::new(provider))
    });
    let missing = Provider::MissingKey { name: "claude", variable: "ANTHROPIC_API_KEY" };
    let agents = AgentFactory::new(missing, None).with_own_keys(OwnKeys::Taken(Arc::new(keyed)));
    (ModelCatalog::new(ModelsConfig::default(), agents, Arc::new(TokioClock::start())), asked)
}

#[tokio::test]
async fn a_key_is_a_name_that_does_not_show_it() {
    let by = ProviderKeyAuthenticator::new(secret("a"), "claude", None);
    let ann = name(&by, None, Some("sk-of-ann")).await.expect("known");
    assert!(ann.starts_with("key_") && ann.len() == 36 && !ann.contains("ann"), "{ann}");
    assert_eq!(name(&by, None, Some("sk-of-ann")).await.as_ref(), Ok(&ann));
    assert_eq!(name(&by, Some("sk-of-ann"), None).await.as_ref(), Ok(&ann), "as the token, as older frontends do");
    assert_ne!(name(&by, None, Some("sk-of-bob")).await.expect("known"), ann);
    let elsewhere = ProviderKeyAuthenticator::new(secret("b"), "claude", None);
    assert_ne!(name(&elsewhere, None, Some("sk-of-ann")).await.expect("known"), ann, "another deployment");
    let other = ProviderKeyAuthenticator::new(secret("a"), "openai", None);
    assert_ne!(name(&other, None, Some("sk-of-ann")).await.expect("known"), ann, "another provider");
}

#[tokio::test]
async fn without_a_key_nobody_is_known() {
    let by = ProviderKeyAuthenticator::new(secret("a"), "claude", None);
    for token in [None, Some(""), Some(" "), Some("two words")] {
        let refusal = name(&by, token, None).await.expect_err("refused");
        assert!(refusal.contains("auth.apiKey"), "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_vendor_does_not_know_is_refused_and_not_asked_about_again_at_once() {
    let (catalog, asked) = vendor(Err(LlmError::Authentication("no".to_owned())));
    let by = ProviderKeyAuthenticator::new(secret("a"), "claude", Some(catalog));
    for _ in 0..5 {
        assert_eq!(name(&by, None, Some("guess")).await, Err("The provider does not take this key.".to_owned()));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(name(&by, None, Some("guess")).await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn the_vendors_word_for_a_key_is_kept_for_a_while() {
    for answer in [Ok(()), Err(LlmError::Quota("used up".to_owned()))] {
        let (catalog, asked) = vendor(answer);
        let by = ProviderKeyAuthenticator::new(secret("a"), "claude", Some(catalog));
        for _ in 0..50 {
            name(&by, None, Some("good")).await.expect("known");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(Duration::from_mins(10)).await;
        name(&by, None, Some("good")).await.expect("known");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_vendor_that_cannot_be_asked_lets_nobody_in_and_is_no_refusal_of_the_key() {
    let (catalog, _) = vendor(Err(LlmError::Network("down".to_owned())));
    let by = ProviderKeyAuthenticator::new(secret("a"), "claude", Some(catalog));
    let outcome = by.authenticate(&credentials(None, Some("good"))).await;
    assert!(matches!(outcome, Err(AuthError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn guesses_of_one_address_are_bounded() {
    let (catalog, asked) = vendor(Err(LlmError::Authentication("no".to_owned())));
    let by = ProviderKeyAuthenticator::new(secret("a"), "claude", Some(catalog));
    for guess in 0..100 {
        assert!(name(&by, None, Some(&format!("guess-{guess}"))).await.is_err());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 10);
}

#[test]
fn a_short_secret_is_none_and_no_print_shows_one() {
    assert_eq!(IdentitySecret::new("x".repeat(31).into()).err(), Some(ShortSecret(31)));
    let print = format!("{:?}", ProviderKeyAuthenticator::new(secret("canary"), "claude", None));
    assert!(!print.contains("canary"), "{print}");
}
