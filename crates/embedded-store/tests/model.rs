//! The store answers as the model does, also after its file was closed and opened.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use futures::{FutureExt as _, future::ready};
use lockkeeper_embedded_store::{Config, EmbeddedStore};
use lockkeeper_testkit::store::model::{check, ops};
use proptest::prelude::*;
use std::{path::Path, sync::Arc};
use tokio::runtime::Builder;

fn open(path: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(&Config { path: Some(path.to_owned()), ..Config::default() }).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_answers_as_the_model_does(ops in ops()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store = open(&path);
        let reopen = move |store| {
            // The old one goes first: it has the file.
            drop(store);
            ready((open(&path) as _, true)).boxed()
        };
        let compared = check(store, Box::new(reopen), &ops);
        Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(compared);
    }
}
