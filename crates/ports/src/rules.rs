use crate::StoreError;
use async_trait::async_trait;
use lockkeeper_domain::{PrincipalId, RuleId, StoredRule, Timestamp};

/// The rules that approvals for always have stored, each under the principal whose calls it lets run.
///
/// Every operation is atomic. What it did is durable when it returns, as far as the store's configuration allows.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait RuleRepository: Send + Sync {
    /// Stores a rule. One that the owner has by this id already stays as it is, so that the same approval again stores nothing
    /// more.
    async fn put_rule(&self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), StoreError>;

    /// The owner's rules, the first stored first. Empty for an owner without any.
    async fn rules(&self, owner: &PrincipalId) -> Result<Vec<StoredRule>, StoreError>;

    /// Says that a rule let a call run at `at`. Never goes back; nothing happens if the owner has no rule by this id.
    async fn rule_used(&self, owner: &PrincipalId, id: &RuleId, at: Timestamp) -> Result<(), StoreError>;

    /// Removes a rule. Idempotent: nothing happens if the owner has none by this id.
    async fn remove_rule(&self, owner: &PrincipalId, id: &RuleId) -> Result<(), StoreError>;
}
