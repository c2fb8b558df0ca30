//! The contract of the store ports, over one server and over a cluster.

use crate::{
    Case,
    cluster::Cluster,
    server::{Server, patient},
};
use futures::{FutureExt as _, StreamExt as _, stream};
use lockkeeper_ports::{RuleRepository, SessionStore};
use lockkeeper_redis_store::RedisStore;
use lockkeeper_testkit::{
    budget::CASES as BUDGETS,
    peers::{CASES as PEERS, Three},
    rules::CASES as RULES,
    store::CASES,
};
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    let peers = PEERS.iter().map(|case| Case {
        name: format!("contract::peers::{}", case.name),
        obstacle: None,
        run: Box::new(|| {
            Box::pin(async {
                let server = Server::start(&[]).await;
                (case.check)(three(&server.url()).await).await;
            })
        }),
    });
    let budgets = BUDGETS.iter().map(|case| Case {
        name: format!("contract::budgets::{}", case.name),
        obstacle: None,
        run: Box::new(|| {
            Box::pin(async {
                let server = Server::start(&[]).await;
                (case.check)([Arc::new(server.store().await), Arc::new(server.store().await)]).await;
            })
        }),
    });
    let rules = RULES.iter().map(|case| Case {
        name: format!("contract::rules::{}", case.name),
        obstacle: None,
        run: Box::new(|| {
            Box::pin(async {
                let server = Server::start(&[]).await;
                (case.check)(Arc::new(server.store().await)).await;
            })
        }),
    });
    let single = one_server.chain(budgets).chain(rules);
    single.chain(peers).chain(crate::cases![cluster, peers_over_a_cluster]).collect()
}

/// Three servers that share a Redis.
async fn three(url: &str) -> Three {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let join = async |n: usize| {
        let store = RedisStore::connect(&patient(url)).await.unwrap();
        store.join(&format!("server {} {n}", NEXT.fetch_add(1, Ordering::Relaxed)))
    };
    [join(1).await, join(2).await, join(3).await]
}

async fn peers_over_a_cluster() {
    let cluster = Cluster::start().await;
    let mut failed = Vec::new();
    for case in PEERS {
        let check = (case.check)(three(&cluster.url()).await);
        if AssertUnwindSafe(check).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "of {} requirements a cluster does not meet {failed:?}", PEERS.len());
}

/// A cluster takes seconds to come up, so that all requirements share one.
async fn cluster() {
    const AT_ONCE: usize = 8;
    let cluster = Cluster::start().await;
    let redis = Arc::new(RedisStore::connect(&patient(cluster.url())).await.unwrap());
    for case in RULES {
        (case.check)(Arc::clone(&redis) as Arc<dyn RuleRepository>).await;
    }
    let store: Arc<dyn SessionStore> = redis;
    let check = |case: &lockkeeper_testkit::store::Case| {
        let (name, check) = (case.name, (case.check)(Arc::clone(&store)));
        async move { AssertUnwindSafe(check).catch_unwind().await.err().map(|_| name) }
    };
    // Those that remove records of all sessions come when no other uses the cluster.
    let is_apart =
        |case: &&lockkeeper_testkit::store::Case| case.name.contains("records_that") || case.name.contains("a_trail");
    let (apart, together): (Vec<_>, Vec<_>) = CASES.iter().partition(is_apart);
    let mut failed: Vec<_> =
        stream::iter(together).map(check).buffer_unordered(AT_ONCE).filter_map(async |name| name).collect().await;
    for case in apart {
        failed.extend(check(case).await);
    }
    assert!(failed.is_empty(), "of {} requirements a cluster does not meet {failed:?}", CASES.len());
    for case in BUDGETS {
        let ledger = async || Arc::new(RedisStore::connect(&patient(cluster.url())).await.unwrap());
        (case.check)([ledger().await, ledger().await]).await;
    }
    cluster.assert_used().await;
}
