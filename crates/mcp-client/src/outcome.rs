//! What a server answers to `tools/call`, as the one result of the call.

use crate::{link::Down, text::clean};
use lockkeeper_domain::{Code, Content, Outcome, ServerName, ToolResult};
use serde_json::Value;

const MAX_MESSAGE: usize = 4096;
/// What must be said of every call that was sent and got no answer.
const UNKNOWN: &str = "The call had been sent: it is unknown whether it took effect.";

/// The result of a call that was answered.
pub(crate) fn answered(server: &ServerName, answer: Value) -> ToolResult {
    decode(answer).unwrap_or_else(|| {
        let message =
            format!("MCP server {server} answered with something that is no result of a tool call. {UNKNOWN}");
        ToolResult::failed(Code::ToolProtocol, message)
    })
}

/// The result of a call that was answered with an error of JSON-RPC.
pub(crate) fn refused(message: &str, code: i32) -> ToolResult {
    ToolResult::failed(Code::ToolFailed, format!("{} (error {code})", clean(message, MAX_MESSAGE)))
}

/// The result of a call whose answer was over the limit.
pub(crate) fn too_large(server: &ServerName, max: usize) -> ToolResult {
    let message = format!("MCP server {server} answered with more than {max} bytes; the tool ran, its answer is lost");
    ToolResult::failed(Code::ToolOutputTooLarge, message)
}

/// The result of a call that may be the one whose answer was over the limit and could not be matched.
pub(crate) fn unmatched(server: &ServerName, max: usize) -> ToolResult {
    let message = format!(
        "MCP server {server} sent more than {max} bytes that name no request, while several were in flight; \
         the call was cancelled. {UNKNOWN}"
    );
    ToolResult::failed(Code::OutcomeUnknown, message)
}

/// The result of a call that was in flight when its connection ended.
pub(crate) fn cut_off(server: &ServerName, down: &Down) -> ToolResult {
    ToolResult::failed(down.code, format!("MCP server {server} {} during the call. {UNKNOWN}", down.reason))
}

/// The result of a call that took too long.
pub(crate) fn timed_out(server: &ServerName, limit: &str) -> ToolResult {
    let message = format!("MCP server {server} did not answer within {limit}; it was told to stop. {UNKNOWN}");
    ToolResult::failed(Code::ToolTimeout, message)
}

/// The result of a cancelled call that had been sent.
pub(crate) fn cancelled(server: &ServerName) -> ToolResult {
    let message = format!("the call was cancelled, and MCP server {server} was told. {UNKNOWN}");
    ToolResult::failed(Code::Cancelled, message)
}

/// The result of a call that was never sent.
pub(crate) fn not_sent(code: Code, why: &str) -> ToolResult {
    ToolResult::failed(code, format!("the call was not sent: {why}"))
}

fn decode(mut answer: Value) -> Option<ToolResult> {
    let answer = answer.as_object_mut()?;
    // Revision 2026-07-28 knows results that ask for more input, which we never offer to give.
    if answer.get("resultType").is_some_and(|kind| kind != "complete") {
        return None;
    }
    let structured = answer.remove("structuredContent").filter(|structured| !structured.is_null());
    let content = match answer.remove("content") {
        Some(Value::Array(blocks)) => blocks.into_iter().map(block).collect::<Option<Vec<_>>>()?,
        None if structured.is_some() => Vec::new(),
        _ => return None,
    };
    let outcome = match answer.get("isError") {
        None | Some(Value::Bool(false) | Value::Null) => Outcome::Succeeded,
        Some(Value::Bool(true)) => Outcome::Failed(Code::ToolFailed),
        Some(_) => return None,
    };
    Some(ToolResult { outcome, content, structured })
}

fn block(block: Value) -> Option<Content> {
    block.get("type")?.as_str()?;
    serde_json::from_value(block).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decoded(answer: Value) -> ToolResult {
        answered(&ServerName::new("fs"), answer)
    }

    #[test]
    fn content_is_kept_in_the_form_that_it_has() {
        let content =
            json!([{"type": "text", "text": "a"}, {"type": "audio", "data": "AA==", "mimeType": "audio/wav"}]);
        let result = decoded(json!({"content": content, "structuredContent": {"a": 1}, "isError": true}));
        assert_eq!(result.outcome, Outcome::Failed(Code::ToolFailed));
        assert_eq!(serde_json::to_value(&result.content).expect("json"), content);
        assert_eq!(result.structured, Some(json!({"a": 1})));
    }

    #[test]
    fn structured_content_may_stand_alone() {
        let result = decoded(json!({"structuredContent": [1]}));
        assert_eq!((result.outcome, result.structured), (Outcome::Succeeded, Some(json!([1]))));
    }

    #[test]
    fn what_is_no_result_is_a_breach_of_the_protocol() {
        for answer in [
            json!(42),
            json!({}),
            json!({"content": 42}),
            json!({"content": [42]}),
            json!({"content": [{"text": "a"}]}),
            json!({"content": [], "isError": "no"}),
            json!({"content": [], "resultType": "input_required"}),
        ] {
            assert_eq!(decoded(answer.clone()).outcome, Outcome::Failed(Code::ToolProtocol), "{answer}");
        }
    }
}
