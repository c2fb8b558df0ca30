mod provider_key;

pub use provider_key::{IdentitySecret, ProviderKeyAuthenticator, ShortSecret};

use async_trait::async_trait;
use lockkeeper_domain::{Powers, PrincipalId};
use lockkeeper_ports::{AuthError, Authenticator, Credentials, Principal};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Takes everyone for the principal `local`. Only for a listener on loopback, which the caller has checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAuthenticator;

#[async_trait]
impl Authenticator for OpenAuthenticator {
    async fn authenticate(&self, _credentials: &Credentials) -> Result<Principal, AuthError> {
        Ok(Principal::known(PrincipalId::parse("local").expect("it is a valid id")))
    }
}

/// Knows principals by tokens of the configuration.
///
/// Keeps digests alone. A token is compared with all of them, each in constant time, so that the time that an answer
/// takes says nothing about how much of a token was right, or whose it was.
pub struct StaticAuthenticator {
    known: Vec<(Digested, Principal)>,
}

/// The SHA-256 of a token: of the same length whatever the token's.
type Digested = [u8; 32];

impl StaticAuthenticator {
    /// Knows these principals by these tokens. An empty token lets nobody in; of two principals with one token the last counts.
    pub fn new(tokens: impl IntoIterator<Item = (PrincipalId, SecretString)>) -> Self {
        let tokens = tokens.into_iter().filter(|(_, token)| !token.expose_secret().is_empty());
        let known = tokens.map(|(id, token)| (digest(&token), Principal::known(id))).collect();
        Self { known }
    }

    /// The same, with other powers for those who are named. A name that nobody has changes nothing.
    #[must_use]
    pub fn with_powers(mut self, powers: &BTreeMap<PrincipalId, Powers>) -> Self {
        for (_, principal) in &mut self.known {
            if let Some(powers) = powers.get(&principal.id) {
                principal.powers = powers.clone();
            }
        }
        self
    }

    fn find(&self, token: &SecretString) -> Option<&Principal> {
        let asked = digest(token);
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (index, (digest, _)) in (0_u64..).zip(&self.known) {
            let equal = digest.ct_eq(&asked);
            place.conditional_assign(&index, equal);
            found |= equal;
        }
        let place = usize::try_from(place).ok()?;
        bool::from(found).then(|| self.known.get(place).map(|(_, principal)| principal)).flatten()
    }
}

impl std::fmt::Debug for StaticAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticAuthenticator").field("tokens", &self.known.len()).finish()
    }
}

#[async_trait]
impl Authenticator for StaticAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let Some(token) = &credentials.token else {
            return Err(AuthError::Refused("A token is required: send it as auth.token.".to_owned()));
        };
        let unknown = || AuthError::Refused("The token is not known.".to_owned());
        self.find(token).cloned().ok_or_else(unknown)
    }
}

fn digest(token: &SecretString) -> Digested {
    Sha256::digest(token.expose_secret().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const GOOD: &str = "lk_3sB9-Qy_Zx81mWfVt0Lr7KdUe2HcNp4a";

    fn id(name: &str) -> PrincipalId {
        PrincipalId::parse(name).expect("valid")
    }

    fn known() -> StaticAuthenticator {
        let tokens = [("alice", GOOD), ("bob", "another-token-of-bob"), ("nobody", "")];
        StaticAuthenticator::new(tokens.map(|(name, token)| (id(name), token.to_owned().into())))
    }

    async fn check(token: Option<&str>) -> Result<String, String> {
        let token = token.map(|token| token.to_owned().into());
        let credentials = Credentials { token, key: None, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let outcome = known().authenticate(&credentials).await;
        outcome.map(|principal| principal.id.to_string()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_token_names_its_principal() {
        assert_eq!(check(Some(GOOD)).await.as_deref(), Ok("alice"));
        assert_eq!(check(Some("another-token-of-bob")).await.as_deref(), Ok("bob"));
    }

    #[tokio::test]
    async fn nothing_but_the_exact_token_is_let_in() {
        let mut bad: Vec<String> = (0..GOOD.len()).map(|end| GOOD[..end].to_owned()).collect();
        bad.extend((1..GOOD.len()).map(|start| GOOD[start..].to_owned()));
        let variants = [
            GOOD.to_uppercase(),
            GOOD.to_lowercase(),
            format!("{GOOD} "),
            format!(" {GOOD}"),
            format!("{GOOD}\n"),
            format!("{GOOD}\0"),
            format!("{GOOD}{GOOD}"),
            format!("Bearer {GOOD}"),
            GOOD.replace('-', "+"),
            GOOD.replace('_', "/"),
            GOOD.replace('l', "I"),
            "null".to_owned(),
            "undefined".to_owned(),
            "[object Object]".to_owned(),
            "local".to_owned(),
            "alice".to_owned(),
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_owned(),
            "x".repeat(100_000),
            "\u{202e}".to_owned(),
        ];
        bad.extend(variants);
        assert!(bad.len() >= 40);
        for token in bad {
            assert_eq!(check(Some(&token)).await, Err("The token is not known.".to_owned()), "{token:?}");
        }
        assert_eq!(check(None).await, Err("A token is required: send it as auth.token.".to_owned()));
    }

    #[test]
    fn a_debug_print_holds_no_token() {
        let print = format!("{:?}", known());
        assert!(!print.contains(GOOD), "{print}");
    }
}
