//! Streams in the documented form, each for one feature.

use crate::Api;

/// The chunks of a `generateContent` stream, whose line ends are those of the vendor.
fn chunks(chunks: &[&str]) -> String {
    chunks.iter().flat_map(|chunk| ["data: ", chunk, "\r\n\r\n"]).collect()
}

/// The events of an interaction.
fn events(events: &[&str]) -> String {
    let frame = |event: &&str| {
        let kind = event.split("\"event_type\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a type");
        format!("event: {kind}\ndata: {event}\n\n")
    };
    events.iter().map(frame).collect()
}

/// All goldens, each with its name.
pub(super) fn all() -> Vec<(&'static str, Api, String)> {
    let generate = [
        ("text", text()),
        ("thinking_and_signed_calls", thinking_and_signed_calls()),
        ("a_signature_at_the_end", a_signature_at_the_end()),
        ("arguments_in_pieces", arguments_in_pieces()),
        ("a_call_without_its_end", a_call_without_its_end()),
        ("code_that_the_vendor_runs", code_that_the_vendor_runs()),
        ("a_malformed_call", a_malformed_call()),
        ("a_call_cut_by_the_limit", a_call_cut_by_the_limit()),
        ("a_blocked_prompt", a_blocked_prompt()),
        ("a_blocked_answer", a_blocked_answer()),
        ("an_unknown_stop", an_unknown_stop()),
        ("a_continuation", a_continuation()),
        ("a_missing_signature", a_missing_signature()),
        ("missing_fields", missing_fields()),
        ("an_error_after_text", an_error_after_text()),
    ];
    let interactions = [
        ("interaction_with_text", interaction_with_text()),
        ("interaction_with_a_call", interaction_with_a_call()),
        ("interaction_cut_by_the_limit", interaction_cut_by_the_limit()),
        ("interaction_with_an_error", interaction_with_an_error()),
        ("interaction_that_goes_on_elsewhere", interaction_that_goes_on_elsewhere()),
        ("interaction_that_failed_for_a_reason", interaction_that_failed_for_a_reason()),
        ("interaction_with_a_blocked_step", interaction_with_a_blocked_step()),
        ("interaction_with_files", interaction_with_files()),
    ];
    let generate = generate.into_iter().map(|(name, body)| (name, Api::GenerateContent, body));
    generate.chain(interactions.into_iter().map(|(name, body)| (name, Api::Interactions, body))).collect()
}

fn text() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Grüße, "}]},"index":0}],"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}}"#,
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"world 🔒"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"cachedContentTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":20}}"#,
    ])
}

fn thinking_and_signed_calls() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"Two files.","thought":true}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"I "},{"text":"look."},{"functionCall":{"id":"c1","name":"fs__read","args":{"path":"a.txt"}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"c2","name":"fs__read","args":{"path":"b.txt"}}},{"functionCall":{"name":"clock__now"}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP","finishMessage":"Model generated function call(s)."}],"usageMetadata":{"promptTokenCount":9,"toolUsePromptTokenCount":1,"candidatesTokenCount":30,"thoughtsTokenCount":20}}"#,
    ])
}

fn a_signature_at_the_end() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"So."}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"c2ln"}]},"finishReason":"STOP"}]}"#,
    ])
}

fn arguments_in_pieces() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"fs__read","willContinue":true},"thoughtSignature":"c2ln"}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.path","stringValue":"a.","willContinue":true}],"willContinue":true}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.path","stringValue":"txt"},{"jsonPath":"$.lines[0]","numberValue":3}],"willContinue":true}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"clock__now"}}]},"finishReason":"STOP"}]}"#,
    ])
}

fn a_call_without_its_end() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"fs__write","willContinue":true}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"clock__now","args":{}}}]},"finishReason":"STOP"}]}"#,
    ])
}

fn code_that_the_vendor_runs() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"executableCode":{"language":"PYTHON","code":"1+1"}}]},"finishReason":"STOP"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"2"}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"It is 2."}]},"finishReason":"STOP"}]}"#,
    ])
}

fn a_malformed_call() -> String {
    chunks(&[
        r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"Malformed function call: print(f())"}]}"#,
    ])
}

fn a_call_cut_by_the_limit() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"I write."},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"MAX_TOKENS"}]}"#,
    ])
}

fn a_blocked_prompt() -> String {
    chunks(&[
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"Not this."},"usageMetadata":{"promptTokenCount":9}}"#,
    ])
}

fn a_blocked_answer() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"Well"}]}}]}"#,
        r#"{"candidates":[{"content":{},"finishReason":"SAFETY","finishMessage":"Nor that.","safetyRatings":[{"blocked":true}]}]}"#,
    ])
}

fn an_unknown_stop() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]},"finishReason":"A_REASON_TO_COME"}]}"#,
    ])
}

fn a_continuation() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"The first part"}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[]},"finishReason":"CONTINUATION","continuationToken":"dG9r"}]}"#,
    ])
}

fn a_missing_signature() -> String {
    chunks(&[
        r#"{"candidates":[{"finishReason":"MISSING_THOUGHT_SIGNATURE","finishMessage":"Part 3 is not signed."}]}"#,
    ])
}

fn interaction_that_goes_on_elsewhere() -> String {
    events(&[
        CREATED,
        r#"{"index":0,"step":{"type":"model_output","content":[{"type":"text","text":"Half"}]},"event_type":"step.start"}"#,
        r#"{"index":0,"event_type":"step.stop"}"#,
        r#"{"index":1,"step":{"type":"function_call","id":"c","name":"f","arguments":{}},"event_type":"step.start"}"#,
        r#"{"index":1,"event_type":"step.stop"}"#,
        r#"{"interaction":{"status":"a_status_to_come","errors":[{"code":"x","message":"Not now."}]},"event_type":"interaction.completed"}"#,
    ])
}

fn interaction_that_failed_for_a_reason() -> String {
    let address = "https://errors.example/v1/resource-exhausted";
    let end = format!(
        r#"{{"interaction":{{"status":"failed","errors":[{{"code":"{address}","message":"Too many at once."}}]}},"event_type":"interaction.completed"}}"#
    );
    events(&[CREATED, &end])
}

fn interaction_with_a_blocked_step() -> String {
    events(&[
        CREATED,
        r#"{"index":0,"step":{"type":"model_output","error":{"code":7,"message":"Not this."}},"event_type":"step.start"}"#,
        r#"{"index":0,"event_type":"step.stop"}"#,
        r#"{"interaction":{"status":"completed"},"event_type":"interaction.completed"}"#,
    ])
}

fn interaction_with_files() -> String {
    events(&[
        CREATED,
        r#"{"index":0,"step":{"type":"thought"},"event_type":"step.start"}"#,
        r#"{"index":0,"delta":{"type":"thought_summary","content":{"type":"image","data":"AAAA","mime_type":"image/png"}},"event_type":"step.delta"}"#,
        r#"{"index":0,"event_type":"step.stop"}"#,
        r#"{"index":1,"step":{"type":"model_output"},"event_type":"step.start"}"#,
        r#"{"index":1,"delta":{"type":"text","text":"See."},"event_type":"step.delta"}"#,
        r#"{"index":1,"delta":{"type":"text_annotation_delta","annotations":[{"type":"url_citation","url":"u"}]},"event_type":"step.delta"}"#,
        r#"{"index":1,"delta":{"type":"image","data":"AAAB","mime_type":"image/png"},"event_type":"step.delta"}"#,
        r#"{"index":1,"event_type":"step.stop"}"#,
        r#"{"interaction":{"status":"completed"},"event_type":"interaction.completed"}"#,
    ])
}

fn missing_fields() -> String {
    chunks(&[
        r"{}",
        r#"{"candidates":[]}"#,
        r#"{"candidates":[{}]}"#,
        r#"{"candidates":[{"content":{"parts":[{},null,7,{"functionCall":{}},{"functionCall":{"args":{}}},{"a_part_to_come":{"a":1}},{"text":7}]}}]}"#,
        "[DONE]",
        r#"{"candidates":[{"finishReason":"STOP"}]}"#,
    ])
}

fn an_error_after_text() -> String {
    chunks(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}"#,
        r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
    ])
}

const CREATED: &str = r#"{"interaction":{"id":"","status":"in_progress"},"event_type":"interaction.created"}"#;

fn interaction_with_text() -> String {
    events(&[
        CREATED,
        r#"{"interaction_id":"","status":"in_progress","event_type":"interaction.status_update"}"#,
        r#"{"index":0,"step":{"type":"thought"},"event_type":"step.start"}"#,
        r#"{"index":0,"delta":{"type":"thought_summary","content":{"type":"text","text":"Easy."}},"event_type":"step.delta"}"#,
        r#"{"index":0,"delta":{"type":"thought_signature","signature":"c2ln"},"event_type":"step.delta"}"#,
        r#"{"index":0,"event_type":"step.stop"}"#,
        r#"{"index":1,"step":{"type":"model_output"},"event_type":"step.start"}"#,
        r#"{"index":1,"delta":{"type":"text","text":"Par"},"event_type":"step.delta"}"#,
        r#"{"index":1,"delta":{"type":"text","text":"is."},"event_type":"step.delta"}"#,
        r#"{"index":1,"event_type":"step.stop"}"#,
        r#"{"interaction":{"status":"completed","usage":{"total_input_tokens":53,"total_cached_tokens":3,"total_output_tokens":15,"total_tool_use_tokens":2,"total_thought_tokens":41}},"event_type":"interaction.completed"}"#,
    ])
}

fn interaction_with_a_call() -> String {
    events(&[
        CREATED,
        r#"{"index":0,"step":{"id":"c1","signature":"c2ln","type":"function_call","name":"fs__read","arguments":{}},"event_type":"step.start"}"#,
        r#"{"index":0,"delta":{"arguments":"{\"path\":","type":"arguments_delta"},"event_type":"step.delta"}"#,
        r#"{"index":0,"delta":{"arguments":"\"a.txt\"}","type":"arguments_delta"},"event_type":"step.delta"}"#,
        r#"{"index":0,"event_type":"step.stop"}"#,
        r#"{"index":1,"step":{"id":"c2","type":"function_call","name":"clock__now"},"event_type":"step.start"}"#,
        r#"{"index":1,"event_type":"step.stop"}"#,
        r#"{"index":2,"step":{"id":"g","type":"google_search_call"},"event_type":"step.start"}"#,
        r#"{"index":2,"delta":{"type":"google_search_call","id":"g","arguments":{"queries":["x"]}},"event_type":"step.delta"}"#,
        r#"{"index":2,"event_type":"step.stop"}"#,
        r#"{"event_type":"an.event.to.come"}"#,
        r#"{"interaction":{"status":"requires_action"},"event_type":"interaction.completed"}"#,
    ])
}

fn interaction_cut_by_the_limit() -> String {
    events(&[
        r#"{"index":0,"step":{"type":"model_output","content":[{"type":"text","text":"I write."}]},"event_type":"step.start"}"#,
        r#"{"index":0,"event_type":"step.stop"}"#,
        r#"{"index":1,"step":{"id":"c1","type":"function_call","name":"f"},"event_type":"step.start"}"#,
        r#"{"index":1,"event_type":"step.stop"}"#,
        r#"{"interaction":{"status":"incomplete"},"event_type":"interaction.completed"}"#,
    ])
}

fn interaction_with_an_error() -> String {
    events(&[
        CREATED,
        r#"{"index":0,"delta":{"type":"text","text":"Hel"},"event_type":"step.delta"}"#,
        r#"{"error":{"code":"resource_exhausted","message":"slower"},"event_type":"error"}"#,
    ])
}
