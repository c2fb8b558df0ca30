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
    /// The same without a word of the server's own: what may be told outside of its session.
    pub(crate) brief: String,
    /// When.
    pub(crate) at: Instant,
}

impl Down {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, brief: reason.clone(), reason, at: Instant::now() }
    }

    /// The same, with fewer words for those outside of the session: the reason quotes the server.
    pub(crate) fn briefly(self, brief: &str) -> Self {
        Self { brief: brief.to_owned(), ..self }
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
