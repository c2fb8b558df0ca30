//! The contract of [`RuleRepository`]: one test for each sentence of its documentation.
//!
//! Owners are named anew in each run, so that the stores of an adapter may share a server.

#![expect(clippy::unwrap_used, reason = "what fails in a contract's test fails the test")]

use futures::future::{BoxFuture, join_all};
use lockkeeper_domain::{ArgumentRule, DecisionRule, PrincipalId, Rule, RuleId, StoredRule, Timestamp};
use lockkeeper_ports::RuleRepository;
use serde_json::json;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

type Rules = Arc<dyn RuleRepository>;

/// Makes a test of each requirement. `$fresh` is an async function that returns an `Arc<dyn RuleRepository>`.
#[macro_export]
macro_rules! rule_contract {
    ($fresh:path) => {
        $crate::rule_contract! { @cases each $fresh }
    };
    (@cases $how:ident $($fresh:path)?) => {
        $crate::rule_contract! {
            @$how $($fresh)?;
            a_stored_rule_is_read_back,
            the_same_id_again_changes_nothing,
            the_first_stored_comes_first,
            rules_of_owners_are_apart,
            a_use_is_remembered_and_never_goes_back,
            a_use_of_no_rule_stores_nothing,
            a_removed_rule_is_gone_and_may_come_again,
            of_many_at_once_none_is_lost,
        }
    };
    (@each $fresh:path; $($name:ident,)*) => {
        mod rules {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::rules::$name($fresh().await).await;
                }
            )*
        }
    };
    (@list; $($name:ident,)*) => {
        &[$(Case { name: stringify!($name), check: |fresh| Box::pin($name(fresh)) }),*]
    };
}

/// One requirement.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Panics where it is not met.
    pub check: fn(Rules) -> BoxFuture<'static, ()>,
}

/// All requirements, for a test harness of one's own.
pub const CASES: &[Case] = rule_contract!(@cases list);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + secs * 1_000)
}

fn owner() -> PrincipalId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed));
    PrincipalId::parse(format!("owner {{of}} {unique:016x}")).unwrap()
}

fn rule(tool: &str, secs: i64) -> StoredRule {
    let within = ArgumentRule { within: Some("notes/\u{fc}".to_owned()), ..ArgumentRule::default() };
    let one_of = ArgumentRule { one_of: Some(vec![json!(1), json!({"a": [null]})]), ..ArgumentRule::default() };
    let rule = Rule {
        server: "box".to_owned(),
        tool: tool.to_owned(),
        user: "ann".to_owned(),
        args: [("path".to_owned(), within), ("n".to_owned(), one_of)].into(),
        fingerprint: Some("f".to_owned()),
        decision: DecisionRule::Allow,
        ..Rule::default()
    };
    StoredRule::new(rule, at(secs))
}

async fn ids(rules: &Rules, owner: &PrincipalId) -> Vec<RuleId> {
    rules.rules(owner).await.unwrap().into_iter().map(|rule| rule.id).collect()
}

/// See the name.
pub async fn a_stored_rule_is_read_back(rules: Rules) {
    let owner = owner();
    assert_eq!(rules.rules(&owner).await.unwrap(), []);
    let stored = rule("read", 0);
    rules.put_rule(&owner, &stored).await.unwrap();
    assert_eq!(rules.rules(&owner).await.unwrap(), [stored]);
}

/// See the name.
pub async fn the_same_id_again_changes_nothing(rules: Rules) {
    let owner = owner();
    let first = rule("read", 0);
    rules.put_rule(&owner, &first).await.unwrap();
    rules.rule_used(&owner, &first.id, at(5)).await.unwrap();
    rules.put_rule(&owner, &rule("read", 9)).await.unwrap();
    let found = rules.rules(&owner).await.unwrap();
    assert_eq!(found, [StoredRule { last_used_at: Some(at(5)), ..first }]);
}

/// See the name.
pub async fn the_first_stored_comes_first(rules: Rules) {
    let owner = owner();
    let all = [rule("b", 3), rule("c", 1), rule("a", 2)];
    for rule in &all {
        rules.put_rule(&owner, rule).await.unwrap();
    }
    assert_eq!(ids(&rules, &owner).await, [&all[1], &all[2], &all[0]].map(|rule| rule.id.clone()));
}

/// See the name.
pub async fn rules_of_owners_are_apart(rules: Rules) {
    let one = owner();
    let other = PrincipalId::parse(format!("{one} ")).unwrap();
    let stored = rule("read", 0);
    rules.put_rule(&one, &stored).await.unwrap();
    assert_eq!(ids(&rules, &other).await, []);
    rules.rule_used(&other, &stored.id, at(1)).await.unwrap();
    rules.remove_rule(&other, &stored.id).await.unwrap();
    assert_eq!(rules.rules(&one).await.unwrap(), [stored]);
}

/// See the name.
pub async fn a_use_is_remembered_and_never_goes_back(rules: Rules) {
    let owner = owner();
    let stored = rule("read", 0);
    rules.put_rule(&owner, &stored).await.unwrap();
    for (used, last) in [(3, 3), (2, 3), (7, 7)] {
        rules.rule_used(&owner, &stored.id, at(used)).await.unwrap();
        assert_eq!(rules.rules(&owner).await.unwrap()[0].last_used_at, Some(at(last)));
    }
}

/// See the name.
pub async fn a_use_of_no_rule_stores_nothing(rules: Rules) {
    let owner = owner();
    let stored = rule("read", 0);
    rules.rule_used(&owner, &stored.id, at(3)).await.unwrap();
    assert_eq!(ids(&rules, &owner).await, []);
    rules.put_rule(&owner, &stored).await.unwrap();
    assert_eq!(rules.rules(&owner).await.unwrap()[0].last_used_at, None);
}

/// See the name.
pub async fn a_removed_rule_is_gone_and_may_come_again(rules: Rules) {
    let owner = owner();
    let (stored, stays) = (rule("read", 0), rule("list", 1));
    rules.put_rule(&owner, &stored).await.unwrap();
    rules.put_rule(&owner, &stays).await.unwrap();
    rules.rule_used(&owner, &stored.id, at(3)).await.unwrap();
    for _ in 0..2 {
        rules.remove_rule(&owner, &stored.id).await.unwrap();
        assert_eq!(ids(&rules, &owner).await, std::slice::from_ref(&stays.id));
    }
    rules.put_rule(&owner, &stored).await.unwrap();
    assert_eq!(rules.rules(&owner).await.unwrap(), [stored, stays], "nothing is left of its use before");
}

/// See the name.
pub async fn of_many_at_once_none_is_lost(rules: Rules) {
    const MANY: i64 = 32;
    let owner = owner();
    let all: Vec<_> = (0..MANY).map(|n| rule(&format!("tool-{n}"), n)).collect();
    join_all(all.iter().flat_map(|rule| [rules.put_rule(&owner, rule), rules.put_rule(&owner, rule)])).await;
    join_all(all.iter().map(|rule| rules.rule_used(&owner, &rule.id, at(MANY)))).await;
    let found = rules.rules(&owner).await.unwrap();
    assert_eq!(found.len(), all.len());
    assert!(found.iter().all(|rule| rule.last_used_at == Some(at(MANY))));
}
