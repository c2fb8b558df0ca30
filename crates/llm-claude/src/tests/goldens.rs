//! Streams in the documented form, each for one feature.

/// The events of a stream, each with its type as its name.
fn sse(events: &[&str]) -> String {
    let frame = |event: &&str| {
        let kind = event.split("\"type\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a type");
        format!("event: {kind}\ndata: {event}\n\n")
    };
    events.iter().map(frame).collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":20,"cache_creation_input_tokens":300,"cache_read_input_tokens":4000,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

/// All goldens, each with its name.
pub(super) fn all() -> Vec<(&'static str, String)> {
    vec![
        ("text", text()),
        ("thinking_and_parallel_calls", thinking_and_parallel_calls()),
        ("blocks_that_nobody_knows", blocks_that_nobody_knows()),
        ("a_call_that_is_not_json", a_call_that_is_not_json()),
        ("a_call_cut_by_the_limit", a_call_cut_by_the_limit()),
        ("a_refusal", a_refusal()),
        ("an_unknown_stop", an_unknown_stop()),
        ("an_unknown_stop_after_text", an_unknown_stop_after_text()),
        ("deltas_that_count", deltas_that_count()),
        ("missing_fields", missing_fields()),
        ("an_error_after_text", an_error_after_text()),
    ]
}

fn text() -> String {
    // Twice the same start, a ping, and line ends of another platform.
    let events = [
        START,
        START,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße, "}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"world 🔒"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9,"input_tokens":null}}"#,
        STOP,
    ];
    sse(&events).replace('\n', "\r\n")
}

fn thinking_and_parallel_calls() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Two files."}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"b3BhcXVl"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"I look."}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"fs__read","input":{},"caller":{"type":"direct"}}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"path\": \"a"}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":".txt\"}"}}"#,
        r#"{"type":"content_block_stop","index":3}"#,
        r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_2","name":"clock__now","input":{}}}"#,
        r#"{"type":"content_block_stop","index":4}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":50,"output_tokens_details":{"thinking_tokens":30}}}"#,
        STOP,
    ])
}

fn blocks_that_nobody_knows() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"x\"}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"compaction","content":null}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"compaction_delta","content":"What was said."}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Found."}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"web","url":"https://a.example"}}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":"\n"}}"#,
        r#"{"type":"content_block_stop","index":3}"#,
        r#"{"type":"an_event_to_come","anything":[1]}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"pause_turn"},"usage":{"output_tokens":5}}"#,
        STOP,
    ])
}

fn a_call_that_is_not_json() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{path: a"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":5}}"#,
        STOP,
    ])
}

fn a_call_cut_by_the_limit() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"I write."}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":5}}"#,
        STOP,
    ])
}

fn a_refusal() -> String {
    sse(&[
        START,
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"No."}},"usage":{"output_tokens":2}}"#,
        STOP,
    ])
}

fn an_unknown_stop() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"a_reason_to_come"},"usage":{"output_tokens":5}}"#,
        STOP,
    ])
}

fn an_unknown_stop_after_text() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Half of"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"a_reason_to_come","stop_details":{"explanation":"Too late."}}}"#,
        STOP,
    ])
}

fn deltas_that_count() -> String {
    // What a beta adds to a delta is none of the block, which has to go back as it came.
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm.","estimated_tokens":3}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln","key_id":"k"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"So.","logprob":-1}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
        STOP,
    ])
}

fn missing_fields() -> String {
    // As servers that speak the API leave them out: no index, no input, no starts, no usage, thinking without a signature.
    sse(&[
        r#"{"type":"message_start"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        r#"{"type":"content_block_stop"}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Yes."}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{}}"#,
        r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f"}}"#,
        r#"{"type":"content_block_stop"}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
        STOP,
    ])
}

fn an_error_after_text() -> String {
    sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hel"}}"#,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    ])
}
