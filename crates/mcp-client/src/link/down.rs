use crate::text;
use lockkeeper_domain::Code;
use lockkeeper_ports::ExecStatus;
use tokio::time::Instant;

/// Why a connection is over.
#[derive(Clone, Debug)]
pub(crate) struct Down {
    /// What the calls in flight get.
    pub(crate) code: Code,
    /// Why, for people, as the end of a sentence that begins with the server.
    pub(crate) reason: String,
    /// When.
    pub(crate) at: Instant,
}

impl Down {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), at: Instant::now() }
    }

    pub(crate) fn ended(status: &ExecStatus) -> Self {
        match status {
            ExecStatus::Exited(code) => Self::new(Code::ToolCrashed, format!("ended with exit status {code}")),
            ExecStatus::Signalled(9) => Self::new(Code::ToolCrashed, "was killed (signal 9), perhaps for its memory"),
            ExecStatus::Signalled(signal) => Self::new(Code::ToolCrashed, format!("was ended by signal {signal}")),
            ExecStatus::Lost(why) => {
                Self::new(Code::OutcomeUnknown, format!("was lost with its sandbox: {}", text::clean(why, 256)))
            }
        }
    }
}
