use crate::places::Connections;
use lockkeeper_domain::Code;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What there is and what was refused, for whoever wants to know. Clones share it.
#[derive(Clone)]
pub struct Tally {
    connections: Connections,
    refusals: Refusals,
}

impl Tally {
    pub(crate) fn new(connections: Connections, refusals: Refusals) -> Self {
        Self { connections, refusals }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.open().0
    }

    /// How often what was refused since the start, with which code: `connection`s and `command`s.
    pub fn refusals(&self) -> Vec<(&'static str, Code, u64)> {
        let counts = self.refusals.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().copied().collect()
    }
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tally").field("refusals", &self.refusals()).finish_non_exhaustive()
    }
}

/// Counts refusals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    counts: Arc<Mutex<Counts>>,
}

/// By what was refused and the code as it is written: how often.
type Counts = BTreeMap<(&'static str, &'static str), (&'static str, Code, u64)>;

impl Refusals {
    /// A connection is refused.
    pub(crate) fn connection(&self, code: Code) {
        self.count("connection", code);
    }

    /// A command is refused.
    pub(crate) fn command(&self, code: Code) {
        self.count("command", code);
    }

    fn count(&self, of: &'static str, code: Code) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry((of, code.as_str())).or_insert((of, code, 0)).2 += 1;
    }
}
