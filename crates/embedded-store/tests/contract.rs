//! The contracts of the store ports, over a file and over memory.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lockkeeper_embedded_store::{Config, EmbeddedStore};
use lockkeeper_ports::{BudgetLedger, RuleRepository, SessionStore};
use std::sync::Arc;

/// A file by this store's name in a folder that is gone when it is closed.
fn in_file() -> EmbeddedStore {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { path: Some(folder.path().join("store.redb")), ..Config::default() };
    // The file lives on without a name until it is closed.
    EmbeddedStore::open(&config).unwrap()
}

/// A file has one user, so both of the contract's servers are that one.
#[tokio::test]
async fn the_budget_ledger_keeps_its_contract() {
    for store in [EmbeddedStore::in_memory(), in_file()] {
        let ledger: Arc<dyn BudgetLedger> = Arc::new(store);
        for case in lockkeeper_testkit::budget::CASES {
            (case.check)([Arc::clone(&ledger), Arc::clone(&ledger)]).await;
        }
    }
}

mod memory {
    use super::*;

    async fn fresh() -> Arc<dyn SessionStore> {
        Arc::new(EmbeddedStore::in_memory())
    }

    async fn no_rules() -> Arc<dyn RuleRepository> {
        Arc::new(EmbeddedStore::in_memory())
    }

    lockkeeper_testkit::store_contract!(fresh);
    lockkeeper_testkit::rule_contract!(no_rules);
}

mod file {
    use super::*;

    fn open() -> Arc<EmbeddedStore> {
        Arc::new(in_file())
    }

    async fn fresh() -> Arc<dyn SessionStore> {
        open()
    }

    async fn no_rules() -> Arc<dyn RuleRepository> {
        open()
    }

    lockkeeper_testkit::store_contract!(fresh);
    lockkeeper_testkit::rule_contract!(no_rules);
}
