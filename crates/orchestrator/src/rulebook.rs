use lockkeeper_domain::{Code, Failure, Policy};
use std::sync::Arc;
use tokio::sync::watch;

/// The gate's rules as they are now. They may be exchanged while sessions run; every judgement after that is by the new ones.
/// Clones are the same book.
#[derive(Clone, Debug)]
pub struct Rulebook {
    rules: watch::Sender<Arc<Policy>>,
    /// Whether newer rules were offered that cannot be used.
    stale: watch::Sender<bool>,
}

impl Rulebook {
    /// A book of these rules.
    pub fn new(policy: Policy) -> Self {
        Self { rules: watch::Sender::new(Arc::new(policy)), stale: watch::Sender::new(false) }
    }

    /// The rules in force.
    pub fn now(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.borrow())
    }

    /// Puts these rules in force. Whether they are others than before.
    pub fn replace(&self, policy: Policy) -> bool {
        self.stale.send_replace(false);
        self.rules.send_if_modified(|rules| {
            let changed = **rules != policy;
            if changed {
                *rules = Arc::new(policy);
            }
            changed
        })
    }

    /// Newer rules were offered and cannot be used: those before them stay in force.
    pub fn keep(&self) {
        self.stale.send_replace(true);
    }

    /// What an operator should know, though the rules in force are good.
    pub fn warning(&self) -> Option<Failure> {
        let stale = *self.stale.borrow();
        stale.then(|| {
            Failure::new(Code::PolicyInvalid, "The changed rules cannot be used; those before them stay in force.")
                .with_hint("The log names what is wrong with them, and so does `lockkeeper policy check`.")
        })
    }

    /// Tells of each exchange from now on.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Policy>> {
        self.rules.subscribe()
    }
}

impl From<Policy> for Rulebook {
    fn from(policy: Policy) -> Self {
        Self::new(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::Rule;

    #[test]
    fn rules_that_cannot_be_used_leave_those_before_them_and_a_warning() {
        let book = Rulebook::from(Policy::default());
        let mut told = book.follow();
        assert!(!book.replace(Policy::default()), "the same rules are no change");
        book.keep();
        assert_eq!(book.warning().map(|warning| warning.code), Some(Code::PolicyInvalid));
        assert!(book.now().is_empty() && !told.has_changed().expect("the book is open"));
        assert!(book.clone().replace(Policy::new(vec![Rule::default()])));
        assert_eq!(book.warning(), None);
        assert_eq!(told.borrow_and_update().len(), 1);
    }
}
