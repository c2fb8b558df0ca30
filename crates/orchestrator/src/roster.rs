use lockkeeper_ports::McpServer;
use secrecy::ExposeSecret as _;
use std::sync::{Arc, PoisonError, RwLock};

/// The MCP servers that the next sandbox gets. A sandbox keeps those that it was started with.
#[derive(Debug)]
pub(crate) struct Roster {
    servers: RwLock<Arc<[McpServer]>>,
}

impl Roster {
    pub(crate) fn new(servers: Arc<[McpServer]>) -> Self {
        Self { servers: RwLock::new(servers) }
    }

    /// Those that hold now.
    pub(crate) fn servers(&self) -> Arc<[McpServer]> {
        Arc::clone(&self.servers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether these are the very ones that hold now.
    pub(crate) fn is_current(&self, servers: &Arc<[McpServer]>) -> bool {
        Arc::ptr_eq(&self.servers(), servers)
    }

    /// Has other ones hold. False when they are the same, and nothing changes.
    pub(crate) fn replace(&self, servers: Arc<[McpServer]>) -> bool {
        let mut current = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        let same =
            current.len() == servers.len() && current.iter().zip(&*servers).all(|(one, other)| is_same(one, other));
        if !same {
            *current = servers;
        }
        !same
    }
}

fn is_same(one: &McpServer, other: &McpServer) -> bool {
    let settings = |server: &McpServer| -> Vec<(String, String)> {
        server.env.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
    };
    (&one.name, &one.command, &one.tools) == (&other.name, &other.command, &other.tools)
        && settings(one) == settings(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::ServerName;

    fn servers(key: &str) -> Arc<[McpServer]> {
        let env = [("KEY".to_owned(), key.into())].into();
        [McpServer { name: ServerName::new("a"), command: vec!["a".to_owned()], env, tools: None, advice: None }].into()
    }

    #[test]
    fn the_same_servers_change_nothing_and_another_key_does() {
        let first = servers("one");
        let roster = Roster::new(Arc::clone(&first));
        assert!(!roster.replace(servers("one")) && roster.is_current(&first));
        assert!(roster.replace(servers("two")) && !roster.is_current(&first));
        assert!(roster.replace([].into()));
        assert!(roster.servers().is_empty());
    }
}
