//! The contract of the store ports, over one server.

use crate::server::Server;
use lockkeeper_ports::SessionStore;
use std::sync::Arc;

mod one_server {
    use super::*;

    async fn fresh() -> Arc<dyn SessionStore> {
        // It ends with this process.
        let server = Box::leak(Box::new(Server::start(&[]).await));
        Arc::new(server.store().await)
    }

    lockkeeper_testkit::store_contract!(fresh);
}
