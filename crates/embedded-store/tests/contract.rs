//! The contracts of the store ports, over a file and over memory.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lockkeeper_embedded_store::{Config, EmbeddedStore};
use lockkeeper_ports::{RuleRepository, SessionStore};
use std::sync::Arc;

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
        let folder = tempfile::tempdir().unwrap();
        let config = Config { path: Some(folder.path().join("store.redb")), ..Config::default() };
        // The file lives on without a name until it is closed.
        Arc::new(EmbeddedStore::open(&config).unwrap())
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
