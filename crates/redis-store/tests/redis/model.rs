//! The store answers as the model does, and so as the embedded store does.

use crate::{
    Case,
    server::{Server, patient},
};
use futures::FutureExt as _;
use lockkeeper_redis_store::RedisStore;
use lockkeeper_testkit::store::model::{check, ops};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config, TestRunner},
};
use std::sync::Arc;

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![store_answers_as_the_model_does]
}

async fn store_answers_as_the_model_does() {
    const CASES: usize = 48;
    let server = Server::start(&[]).await;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for _ in 0..CASES {
        let ops = ops().new_tree(&mut runner).unwrap().current();
        // Each case begins with an empty server: the names of the sessions are the same.
        server.ask(&["FLUSHALL"]).await;
        let url = server.url();
        let store = Arc::new(RedisStore::connect(&patient(url.clone())).await.unwrap());
        let reopen = move |_| {
            let url = url.clone();
            async move { (Arc::new(RedisStore::connect(&patient(url)).await.unwrap()) as _, false) }.boxed()
        };
        check(store, Box::new(reopen), &ops).await;
    }
}
