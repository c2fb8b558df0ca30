use lockkeeper_domain::{PrincipalId, SessionId};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Whose sessions are, as far as it was seen: so that a heartbeat goes to the owner's index along with the step, and
/// not after it. A hint: each step's answer says who it is.
#[derive(Default)]
pub(crate) struct Owners(Mutex<HashMap<SessionId, PrincipalId>>);

/// How many are remembered. Beyond that all are forgotten, and learned again.
const MOST: usize = 50_000;

impl Owners {
    pub(crate) fn of(&self, id: &SessionId) -> Option<PrincipalId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn learn(&self, id: &SessionId, owner: &PrincipalId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id.clone(), owner.clone());
    }

    pub(crate) fn forget(&self, id: &SessionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
