//! The one way in which a tool fails.

/// A failed tool call. The text goes to the model: what went wrong, and what to
/// do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ToolError(String);

impl ToolError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
