use crate::{
    Algorithm, Config,
    claims::{self, Claims, Rejected},
    header,
    jwks::{Jwks, KeyError},
};
use async_trait::async_trait;
use jsonwebtoken::{DecodingKey, Validation};
use lockkeeper_ports::{AuthError, Authenticator, Clock, Credentials, Principal};
use secrecy::ExposeSecret;
use std::{fmt, sync::Arc};

/// Why there is no authenticator.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration must change.
    #[error("{}", .0.iter().map(|(key, what)| format!("{key} {what}")).collect::<Vec<_>>().join("; "))]
    Config(Vec<(&'static str, String)>),
    /// The system's certificates cannot be used.
    #[error("the client for the key set")]
    Client(#[from] reqwest::Error),
}

/// Knows clients by the tokens of an issuer.
pub struct JwtAuthenticator {
    config: Config,
    taken: Vec<Algorithm>,
    secret: Option<DecodingKey>,
    jwks: Option<Arc<Jwks>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthenticator").field("taken", &self.taken).field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

impl JwtAuthenticator {
    /// Takes the tokens that the configuration describes.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Self::with_keys(config, clock, None)
    }

    /// Returns the authenticator of a changed configuration. It keeps the key set that was fetched, if that still is the
    /// one to use.
    pub fn reconfigured(&self, config: Config) -> Result<Self, SetupError> {
        Self::with_keys(config, Arc::clone(&self.clock), self.jwks.as_ref())
    }

    fn with_keys(config: Config, clock: Arc<dyn Clock>, known: Option<&Arc<Jwks>>) -> Result<Self, SetupError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(SetupError::Config(problems));
        }
        let secret = Some(config.secret.expose_secret()).filter(|secret| !secret.is_empty());
        let secret = secret.map(|secret| DecodingKey::from_secret(secret.as_bytes()));
        let jwks = match &config.jwks_url {
            None => None,
            Some(url) => match known.filter(|known| known.is_for(url, &config)) {
                Some(known) => Some(Arc::clone(known)),
                None => Some(Arc::new(Jwks::new(url.clone(), &config)?)),
            },
        };
        Ok(Self { taken: config.taken(), secret, jwks, config, clock })
    }

    async fn check(&self, token: &str) -> Result<Principal, Refusal> {
        if token.len() > self.config.max_bytes {
            return Err(Refusal::Token("it is too long"));
        }
        let header = header::read(token, &self.taken).map_err(Refusal::Token)?;
        let key = match (header.algorithm, &self.secret, &self.jwks) {
            (Algorithm::Hs256, Some(secret), _) => secret.clone(),
            (Algorithm::Hs256, None, _) | (_, _, None) => {
                return Err(Refusal::Token("its algorithm is not taken here"));
            }
            (_, _, Some(jwks)) => jwks.key(&header).await.map_err(|error| match error {
                KeyError::Unknown => Refusal::Token("no key of the issuer fits it"),
                unavailable @ KeyError::Unavailable(_) => Refusal::Unavailable(Box::new(unavailable)),
            })?,
        };
        // The claims are checked below: by our clock, and all of them.
        let mut signature = Validation::new(header.algorithm.foreign());
        (signature.validate_exp, signature.validate_nbf, signature.validate_aud) = (false, false, false);
        signature.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &signature).map_err(|error| {
            Refusal::Token(match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => "its signature is wrong",
                _ => "it cannot be read, or lacks sub or exp",
            })
        })?;
        claims::check(&claims.claims, &self.config, self.clock.now()).map_err(Refusal::Claims)
    }
}

enum Refusal {
    Token(&'static str),
    Claims(Rejected),
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let Some(token) = &credentials.token else {
            return Err(AuthError::Refused("A token is needed: send it as auth.token.".to_owned()));
        };
        self.check(token.expose_secret()).await.map_err(|refusal| match refusal {
            Refusal::Claims(why) => AuthError::Refused(format!("The token is not accepted: {why}.")),
            Refusal::Token(why) => AuthError::Refused(format!("The token is not accepted: {why}.")),
            Refusal::Unavailable(why) => AuthError::Unavailable(why),
        })
    }
}
