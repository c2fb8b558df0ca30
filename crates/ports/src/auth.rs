use async_trait::async_trait;
use lockkeeper_domain::{Powers, PrincipalId, Timestamp, Via};
use secrecy::SecretString;
use std::net::IpAddr;

/// What a connecting client says of itself.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The token of its handshake, if it sent one. Never logged.
    pub token: Option<SecretString>,
    /// The caller's own provider key, if it sent one. Never logged, never stored.
    pub key: Option<SecretString>,
    /// Where it connects from.
    pub address: IpAddr,
}

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its id: sessions belong to it.
    pub id: PrincipalId,
    /// What it may do.
    pub powers: Powers,
    /// From when on its token is good for nothing any more; none where that does not happen.
    pub expires_at: Option<Timestamp>,
    /// How it came.
    pub via: Via,
}

impl Principal {
    /// One with the powers that everyone has, for good.
    pub fn known(id: PrincipalId) -> Self {
        Self { id, powers: Powers::default(), expires_at: None, via: Via::default() }
    }
}

/// Why a client is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The token is missing, unknown, or no longer valid. The text may be shown to the client; it holds no secret.
    #[error("{0}")]
    Refused(String),
    /// Nobody can tell at the moment: the client may come again.
    #[error("the authenticator is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Tells who a client is.
///
/// Runs before anything is created for the client. Comparisons with secrets take constant time.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The principal behind `credentials`.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError>;

    /// The provider key among `credentials`: by default the one that is named so. Where the key is who the client is, it may
    /// come as the token.
    fn provider_key(&self, credentials: &Credentials) -> Option<SecretString> {
        credentials.key.clone()
    }
}
