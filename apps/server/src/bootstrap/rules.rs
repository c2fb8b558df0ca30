//! The gate's rules, as they change while the server runs.

use crate::{
    config::{self, Inputs, Loaded, policy},
    reload::{Hangups, Source},
};
use lockkeeper_orchestrator::Rulebook;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Reads the rules anew whenever they have changed, and puts them in force where nothing is wrong with them.
pub(super) async fn keep_current(book: Rulebook, loaded: Loaded, hangups: Hangups, soft: CancellationToken) {
    let period = Duration::from_secs(loaded.config.policy.reload_secs);
    let mut source = Source::new(hangups, policy::file_of(&loaded), period);
    while soft.run_until_cancelled(source.is_new()).await.is_some() {
        let again = read(&book, &loaded.inputs);
        source.look_at(policy::file_of(&again));
    }
}

fn read(book: &Rulebook, inputs: &Inputs) -> Loaded {
    let loaded = config::load(inputs);
    let policy::Rules { policy, mut problems } = policy::rules(&loaded);
    problems.extend(loaded.problems.iter().cloned());
    if problems.is_empty() {
        let rules = policy.len();
        if book.replace(policy) {
            tracing::info!(rules, "the rules have changed; every judgement from now on is by the new ones");
        }
        return loaded;
    }
    book.keep();
    for problem in problems {
        tracing::error!(
            code = "policy_invalid",
            key = problem.key,
            origin = %problem.origin,
            fix = problem.fix,
            "the rules cannot be changed, and those before stay in force: {}",
            problem.what
        );
    }
    loaded
}
