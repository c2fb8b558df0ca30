//! The contract of the store ports, over one server and over a cluster.

use crate::{
    Case,
    cluster::Cluster,
    server::{Server, patient},
};
use futures::{FutureExt as _, StreamExt as _, stream};
use lockkeeper_ports::SessionStore;
use lockkeeper_redis_store::RedisStore;
use lockkeeper_testkit::store::CASES;
use std::{panic::AssertUnwindSafe, sync::Arc};

pub(crate) fn cases() -> Vec<Case> {
    let one_server = CASES.iter().map(|case| Case {
        name: format!("contract::one_server::{}", case.name),
        obstacle: None,
        run: Box::new(|| {
            Box::pin(async {
                let server = Server::start(&[]).await;
                (case.check)(Arc::new(server.store().await)).await;
            })
        }),
    });
    one_server.chain(crate::cases![cluster]).collect()
}

/// A cluster takes seconds to come up, so that all requirements share one.
async fn cluster() {
    const AT_ONCE: usize = 8;
    let cluster = Cluster::start().await;
    let store: Arc<dyn SessionStore> = Arc::new(RedisStore::connect(&patient(cluster.url())).await.unwrap());
    let check = |case: &lockkeeper_testkit::store::Case| {
        let (name, check) = (case.name, (case.check)(Arc::clone(&store)));
        async move { AssertUnwindSafe(check).catch_unwind().await.err().map(|_| name) }
    };
    let failed: Vec<_> = stream::iter(CASES).map(check).buffer_unordered(AT_ONCE).filter_map(async |name| name).collect().await;
    assert!(failed.is_empty(), "of {} requirements a cluster does not meet {failed:?}", CASES.len());
    cluster.assert_used().await;
}
