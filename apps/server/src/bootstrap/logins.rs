//! Who may connect, as the configuration says now: tokens and their powers are read again while the server runs.

use super::identity::{Known, authenticator_from_config};
use crate::{
    config::{self, Auth, Config, Inputs, Kind, Loaded, Mode, Problem},
    reload::{Hangups, Source},
};
use anyhow::Result;
use async_trait::async_trait;
use lockkeeper_orchestrator::ModelCatalog;
use lockkeeper_ports::{AuthError, Authenticator, Credentials, Principal};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The authenticator of the configuration that is in force.
pub(super) struct Logins {
    known: RwLock<Known>,
    /// The token of a `dev` server that has no other.
    made_up: Option<SecretString>,
    catalog: ModelCatalog,
}

#[async_trait]
impl Authenticator for Logins {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let Known { authenticator, .. } = self.known();
        authenticator.authenticate(credentials).await
    }

    fn provider_key(&self, credentials: &Credentials) -> Option<SecretString> {
        self.known().authenticator.provider_key(credentials)
    }
}

impl Logins {
    /// Those of the configuration at the start.
    pub(super) fn of(config: &Config, made_up: Option<SecretString>, catalog: ModelCatalog) -> Result<Self> {
        let known = RwLock::new(authenticator_from_config(config, made_up.as_ref(), &catalog, None)?);
        Ok(Self { known, made_up, catalog })
    }

    /// Reads the configuration again whenever it has changed, and puts its logins in force where nothing is wrong with them.
    /// After that, `recheck` has all connections authenticate again.
    pub(super) fn keep_current(
        self: Arc<Self>,
        loaded: &Loaded,
        mode: Mode,
        recheck: impl Fn() + Send + Sync + 'static,
        hangups: Hangups,
        soft: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let period = Duration::from_secs(loaded.config.auth.reload_secs);
        let mut source = Source::new(hangups, loaded.files(), period);
        let (inputs, mut current) = (loaded.inputs.clone(), Current::of(&loaded.config.auth));
        async move {
            while soft.run_until_cancelled(source.is_new()).await.is_some() {
                source.look_at(self.read(&inputs, mode, &mut current, &recheck));
            }
        }
    }

    /// Reads the configuration again. Returns its files.
    fn read(&self, inputs: &Inputs, mode: Mode, current: &mut Current, recheck: &impl Fn()) -> Vec<PathBuf> {
        let loaded = config::load(inputs);
        let new = Current::of(&loaded.config.auth);
        let mut problems = loaded.problems.clone();
        // A problem elsewhere is reported by who reads that; one that keeps a value from being read counts here.
        problems.extend(config::check(&loaded, mode).into_iter().filter(|problem| problem.key.starts_with("auth.")));
        problems.extend(new.fixed_problem(current, &loaded));
        for problem in &problems {
            tracing::error!(
                code = "auth_invalid",
                key = problem.key,
                origin = %problem.origin,
                fix = problem.fix,
                "the logins cannot be changed, and those before stay in force: {}",
                problem.what
            );
        }
        if problems.is_empty() && new != *current {
            let before = self.known();
            match authenticator_from_config(&loaded.config, self.made_up.as_ref(), &self.catalog, before.jwt.as_deref())
            {
                Ok(known) => {
                    *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                    recheck();
                    let tokens = loaded.config.auth.tokens.len();
                    tracing::info!(tokens, "the logins have changed; all connections are authenticated again");
                    *current = new;
                }
                Err(error) => {
                    tracing::error!(
                        code = "auth_invalid",
                        error = format!("{error:#}"),
                        "the logins cannot be changed, and those before stay in force"
                    );
                }
            }
        }
        loaded.files()
    }

    fn known(&self) -> Known {
        // Each change is one assignment, so that a panic elsewhere leaves it whole.
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is compared of `[auth]`.
#[derive(PartialEq)]
struct Current {
    mode: config::AuthMode,
    /// What takes a restart: how clients of their own keys are known.
    fixed: (Option<String>, bool),
    tokens: Vec<(String, String)>,
    /// Everything else but the secrets.
    settings: String,
    secret: String,
}

impl Current {
    fn of(auth: &Auth) -> Self {
        let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
        Self {
            mode: auth.mode(),
            fixed: (auth.identity_secret.as_ref().map(exposed), auth.verify_keys),
            tokens: auth.tokens.iter().map(|(name, token)| (name.clone(), exposed(token))).collect(),
            settings: format!("{:?} {:?}", auth.powers, auth.jwt),
            secret: exposed(&auth.jwt.secret),
        }
    }

    /// The problem that these logins are of another kind than those before.
    fn fixed_problem(&self, before: &Self, loaded: &Loaded) -> Option<Problem> {
        if self.mode == before.mode && self.fixed == before.fixed {
            return None;
        }
        let (key, what) = if self.mode == before.mode {
            ("auth.identity_secret", "how principals are made of provider keys cannot change while the server runs")
        } else {
            ("auth.mode", "how clients are known cannot change while the server runs")
        };
        Some(Problem {
            kind: Kind::Conflict,
            key: key.to_owned(),
            origin: loaded.origin(key),
            what: what.to_owned(),
            fix: "restart the server, or, to revoke the last token, replace it by a new one".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::Power;
    use lockkeeper_orchestrator::{AgentFactory, Provider};
    use std::{
        fs,
        net::{IpAddr, Ipv4Addr},
        sync::atomic::{AtomicUsize, Ordering},
    };

    const ANN: &str = "0123456789abcdef-of-ann";
    const BOB: &str = "0123456789abcdef-of-bob";

    /// A server's logins, with a folder for its configuration.
    struct World {
        dir: tempfile::TempDir,
        inputs: Inputs,
        logins: Logins,
        current: Current,
        rechecks: AtomicUsize,
    }

    impl World {
        fn start(text: &str) -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            fs::write(dir.path().join("lockkeeper.toml"), text).expect("written");
            let inputs = Inputs { dir: dir.path().to_owned(), ..Inputs::default() };
            let config = config::load(&inputs).config;
            let agents = AgentFactory::new(Provider::MissingKey { name: "none", variable: "NONE" }, None);
            let catalog = crate::bootstrap::agents::catalog_from_config(&config, &agents);
            let logins = Logins::of(&config, None, catalog).expect("good");
            Self { dir, inputs, logins, current: Current::of(&config.auth), rechecks: AtomicUsize::new(0) }
        }

        /// Reads the configuration after it has become `text`. Returns whether the logins have changed.
        fn change(&mut self, text: &str) -> bool {
            fs::write(self.dir.path().join("lockkeeper.toml"), text).expect("written");
            let (rechecks, before) = (&self.rechecks, self.rechecks.load(Ordering::Relaxed));
            let recheck = || {
                rechecks.fetch_add(1, Ordering::Relaxed);
            };
            self.logins.read(&self.inputs, Mode::Dev, &mut self.current, &recheck);
            self.rechecks.load(Ordering::Relaxed) > before
        }

        async fn ask(&self, token: &str) -> Option<Principal> {
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let credentials = Credentials { token: Some(token.into()), key: None, address };
            self.logins.authenticate(&credentials).await.ok()
        }
    }

    /// Covers: S3-revocation
    #[tokio::test]
    async fn removed_token_is_refused_after_the_file_is_read() {
        let both = format!("[auth.tokens]\nann = '{ANN}'\nbob = '{BOB}'\n");
        let mut world = World::start(&both);
        assert!(world.ask(ANN).await.is_some() && world.ask(BOB).await.is_some());
        assert!(!world.change(&both), "nothing has changed");
        assert!(world.change(&format!("[auth.tokens]\nbob = '{BOB}'\n")));
        assert!(world.ask(ANN).await.is_none() && world.ask(BOB).await.is_some());
        assert!(world.change(&format!("[auth]\ntokens.bob = '{BOB}'\npowers.bob = ['observe']\n")));
        let bob = world.ask(BOB).await.expect("known");
        assert!(bob.powers.may(Power::Observe) && !bob.powers.may(Power::Drive));
    }

    /// Covers: S3-revocation
    #[tokio::test]
    async fn wrong_configuration_leaves_the_logins_as_they_were() {
        let mut world = World::start(&format!("[auth.tokens]\nann = '{ANN}'\n"));
        for wrong in [
            "[auth.tokens\n",
            "[auth.tokens]\nann = 'short'\n",
            "[auth.tokens]\n",
            "",
            "[auth]\nmode = 'none'\n",
            "[auth]\nmode = 'jwt'\njwt.secret = '0123456789abcdef0123456789abcdef'\n",
            &format!("[auth]\ntokens.ann = '{BOB}'\npowers.bob = ['drive']\n"),
            &format!("[auth]\ntokens.ann = '{BOB}'\npowers.ann = ['fly']\n"),
            &format!("[auth]\ntokens.\"ann\u{200b}\" = '{BOB}'\n"),
        ] {
            assert!(!world.change(wrong), "{wrong}");
            assert!(world.ask(ANN).await.is_some() && world.ask(BOB).await.is_none(), "{wrong}");
        }
        assert!(world.change(&format!("[auth.tokens]\nann = '{BOB}'\n")), "a good one is taken after that");
        assert!(world.ask(ANN).await.is_none() && world.ask(BOB).await.is_some());
    }

    /// Covers: S3-revocation
    #[tokio::test]
    async fn json_web_token_is_revoked_by_its_name_or_its_age() {
        let jwt = "[auth]\nmode = 'jwt'\njwt.secret = '0123456789abcdef0123456789abcdef'\n";
        let mut world = World::start(jwt);
        let config = config::load(&world.inputs).config.auth.jwt;
        let now = lockkeeper_ports::Clock::now(&crate::clock::SystemClock);
        let mint = |id| {
            let request = lockkeeper_jwt_auth::TokenRequest { subject: "ann", secs: 60, id, powers: &[] };
            let token = lockkeeper_jwt_auth::mint(&config, request, now).expect("made");
            token.expose_secret().to_owned()
        };
        let (one, two) = (mint("one"), mint("two"));
        assert!(world.ask(&one).await.is_some() && world.ask(&two).await.is_some());
        assert!(world.change(&format!("{jwt}jwt.revoked_tokens = ['one']\n")));
        assert!(world.ask(&one).await.is_none() && world.ask(&two).await.is_some());
        let later = now.as_millis() / 1000 + 1;
        assert!(world.change(&format!("{jwt}jwt.not_before.ann = {later}\n")));
        assert!(world.ask(&one).await.is_none() && world.ask(&two).await.is_none());
        assert!(world.change(&jwt.replace("0123", "9876")), "another secret");
        assert!(world.ask(&two).await.is_none());
    }
}
