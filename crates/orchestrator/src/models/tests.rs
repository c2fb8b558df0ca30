use super::*;
use crate::{OwnKeys, Provider};
use async_trait::async_trait;
use lockkeeper_ports::{GenerateRequest, KeyedLlm, ModelStream};
use lockkeeper_testkit::clock::TokioClock;
use secrecy::ExposeSecret as _;
use std::net::Ipv4Addr;
use tokio::sync::Notify;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A vendor whose lists a test decides. Clones are the same vendor.
#[derive(Clone, Default)]
struct Vendor {
    keys: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<Result<&'static str, LlmError>>>>,
    gate: Option<Arc<Notify>>,
    key: String,
}

impl Vendor {
    /// Gives these answers, the last one for ever.
    fn new<const N: usize>(answers: [Result<&'static str, LlmError>; N]) -> Self {
        let answers = answers.into_iter().rev().collect();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    fn asked(&self) -> usize {
        lock(&self.keys).len()
    }

    fn catalog(&self) -> ModelCatalog {
        let agents = AgentFactory::new(Provider::Ready(Arc::new(self.clone())), None)
            .with_own_keys(OwnKeys::Taken(Arc::new(self.clone())));
        ModelCatalog::new(ModelsConfig::default(), agents, Arc::new(TokioClock::start()))
    }
}

#[async_trait]
impl LlmProvider for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn default_model(&self) -> &'static str {
        "best"
    }

    async fn generate(&self, _request: GenerateRequest) -> Result<ModelStream, LlmError> {
        Err(LlmError::BadRequest("nobody asks for answers here".to_owned()))
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        lock(&self.keys).push(self.key.clone());
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let answer = {
            let mut answers = lock(&self.answers);
            let last = answers.len() == 1;
            if last { answers[0].clone() } else { answers.pop().expect("an answer") }
        };
        answer.map(|id| vec![ModelInfo { id: id.to_owned(), display_name: id.to_uppercase() }])
    }
}

impl KeyedLlm for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn default_model(&self) -> &'static str {
        "best"
    }

    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        Ok(Arc::new(Self { key: key.expose_secret().to_owned(), ..self.clone() }))
    }
}

fn down() -> LlmError {
    LlmError::Overloaded("down".to_owned())
}

fn ids(list: &ModelList) -> Vec<&str> {
    list.models.iter().map(|model| model.id.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_kept_for_its_time_and_then_asked_for_anew() {
    let vendor = Vendor::new([Ok("one"), Ok("two")]);
    let catalog = vendor.catalog();
    let first = catalog.list(HERE, None).await.expect("a list");
    assert_eq!((first.provider, first.default.as_str(), ids(&first)), ("vendor", "best", vec!["one"]));
    tokio::time::advance(Duration::from_secs(299)).await;
    let kept = catalog.list(HERE, None).await.expect("a list");
    assert_eq!((ids(&kept), kept.age.as_secs(), vendor.asked()), (vec!["one"], 299, 1));
    assert_eq!(kept.fetched_at, first.fetched_at);
    tokio::time::advance(Duration::from_secs(1)).await;
    let renewed = catalog.list(HERE, None).await.expect("a list");
    assert_eq!((ids(&renewed), renewed.age.as_secs(), vendor.asked()), (vec!["two"], 0, 2));
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_at_once_are_one_question() {
    let gate = Arc::new(Notify::new());
    let vendor = Vendor { gate: Some(Arc::clone(&gate)), ..Vendor::new([Ok("one")]) };
    let catalog = vendor.catalog();
    let lists = futures::future::join_all((0..50).map(|_| catalog.list(HERE, None)));
    let open = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        gate.notify_one();
    };
    let (lists, ()) = tokio::join!(lists, open);
    assert!(lists.iter().all(|list| list.as_ref().is_ok_and(|list| ids(list) == ["one"])));
    assert_eq!(vendor.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_goes_on_when_those_who_asked_are_gone() {
    let gate = Arc::new(Notify::new());
    let vendor = Vendor { gate: Some(Arc::clone(&gate)), ..Vendor::new([Ok("one")]) };
    let catalog = vendor.catalog();
    for _ in 0..20 {
        assert!(timeout(Duration::from_millis(1), catalog.list(HERE, None)).await.is_err(), "it waits");
    }
    gate.notify_one();
    assert!(catalog.list(HERE, None).await.is_ok());
    assert_eq!(vendor.asked(), 1, "leaving is no way to have the vendor asked again");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_fails_is_left_alone_for_a_while() {
    let vendor = Vendor::new([Err(down()), Ok("one")]);
    let catalog = vendor.catalog();
    for _ in 0..100 {
        let failure = catalog.list(HERE, None).await.expect_err("down");
        assert_eq!(failure.code, Code::ProviderOverloaded);
    }
    assert_eq!(vendor.asked(), 1);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(catalog.list(HERE, None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_old_list_is_better_than_none_and_says_how_old_it_is() {
    let vendor = Vendor::new([Ok("one"), Err(down())]);
    let catalog = vendor.catalog();
    catalog.list(HERE, None).await.expect("a list");
    tokio::time::advance(Duration::from_secs(400)).await;
    for _ in 0..2 {
        let old = catalog.list(HERE, None).await.expect("the old one");
        assert_eq!((ids(&old), old.age.as_secs()), (vec!["one"], 400));
        assert_eq!(old.problem.map(|problem| problem.code), Some(Code::ProviderOverloaded));
    }
    assert_eq!(vendor.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_says_nothing_is_late() {
    let vendor = Vendor { gate: Some(Arc::default()), ..Vendor::new([Ok("never")]) };
    let started = Instant::now();
    for key in [None, Some("k".to_owned().into())] {
        let failure = vendor.catalog().list(HERE, key).await.expect_err("late");
        assert_eq!(failure.code, Code::ProviderTimeout);
    }
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn lists_of_users_keys_are_asked_for_each_time_and_shown_to_nobody_else() {
    let vendor = Vendor::new([Ok("anns"), Ok("bobs"), Ok("servers")]);
    let catalog = vendor.catalog();
    let of = |key: &str| catalog.list(HERE, Some(key.to_owned().into()));
    assert_eq!(ids(&of("ann").await.expect("a list")), ["anns"]);
    assert_eq!(ids(&of("bob").await.expect("a list")), ["bobs"]);
    assert_eq!(ids(&catalog.list(HERE, None).await.expect("a list")), ["servers"]);
    assert_eq!(*lock(&vendor.keys), ["ann", "bob", ""]);
}

#[tokio::test(start_paused = true)]
async fn questions_with_users_keys_have_a_limit_for_each_address() {
    let vendor = Vendor::new([Err(LlmError::Authentication("no".to_owned()))]);
    let catalog = vendor.catalog();
    let of = |caller| catalog.list(caller, Some("guess".to_owned().into()));
    for _ in 0..10 {
        assert_eq!(of(HERE).await.map_err(|failure| failure.code), Err(Code::ProviderAuthentication));
    }
    assert_eq!(of(HERE).await.map_err(|failure| failure.code), Err(Code::RateLimited));
    assert_eq!(vendor.asked(), 10);
    let elsewhere = of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))).await;
    assert_eq!(elsewhere.map_err(|failure| failure.code), Err(Code::ProviderAuthentication));
}

#[tokio::test]
async fn without_a_key_and_where_keys_are_refused_the_list_says_so() {
    let missing = Provider::MissingKey { name: "claude", variable: "ANTHROPIC_API_KEY" };
    let clock = Arc::new(TokioClock::start());
    let catalog = ModelCatalog::new(ModelsConfig::default(), AgentFactory::new(missing, None), clock);
    assert_eq!(catalog.list(HERE, None).await.map_err(|failure| failure.code), Err(Code::MissingKey));
    let refused = catalog.list(HERE, Some("k".to_owned().into())).await;
    assert_eq!(refused.map_err(|failure| failure.code), Err(Code::Forbidden));
}
