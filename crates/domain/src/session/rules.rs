use crate::HistoryLimits;
use std::time::Duration;

/// The limits that a session keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many messages may wait while a turn runs. 4 by default.
    pub max_queued: usize,
    /// How many times a turn may ask the model. 16 by default.
    pub max_steps: u32,
    /// How many calls of one step are considered; the others are refused. 8 by default.
    pub max_calls_per_step: usize,
    /// How many calls of a turn are considered. 64 by default.
    pub max_calls_per_turn: u32,
    /// How much the calls of a turn may say before no more of them run, in bytes. 4 MiB by default.
    pub max_turn_output: u64,
    /// How many tokens a turn may read and write before the model is not asked again. A million by default.
    pub max_turn_tokens: u64,
    /// How long a turn may take, without the time in which it waits for humans. 900 s by default.
    pub max_turn: Duration,
    /// How long a human has to answer. 300 s by default.
    pub approval_ttl: Duration,
    /// How often a turn is taken up again after its server was lost. 3 by default.
    pub max_resumes: u32,
    /// Whether an answer must say by its digest which question it is to. False by default: older clients know none.
    pub require_digest: bool,
    /// How much history is kept and shown.
    pub history: HistoryLimits,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_queued: 4,
            max_steps: 16,
            max_calls_per_step: 8,
            max_calls_per_turn: 64,
            max_turn_output: 4 << 20,
            max_turn_tokens: 1_000_000,
            max_turn: Duration::from_mins(15),
            approval_ttl: Duration::from_mins(5),
            max_resumes: 3,
            require_digest: false,
            history: HistoryLimits::default(),
        }
    }
}
