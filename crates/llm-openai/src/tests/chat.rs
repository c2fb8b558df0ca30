use super::{check as check_api, check_json as check_json_api, wire};
use crate::Api;

fn check(chunks: &[&str], expected: &str) {
    let mut events = chunks.to_vec();
    events.push("[DONE]");
    check_api(Api::Chat, &wire(&events), expected);
}

const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens":7,"completion_tokens_details":{"reasoning_tokens":3}}}"#;

#[test]
fn text_streams_and_usage_comes_in_the_last_chunk() {
    check(
        &[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Grüß "},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"dich"},"finish_reason":""}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            USAGE,
        ],
        r#""Grüß dich" EndTurn 10(4)+7(3)"#,
    );
}

#[test]
fn calls_come_in_pieces_or_whole() {
    check(
        &[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}},{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        ],
        r#""" a:f{"x":1} b:g{} EndTurn 0(0)+0(0)"#,
    );
    // Ollama: whole, with the reason that the model stopped.
    check(
        &[
            r#"{"choices":[{"delta":{"content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"","function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}"#,
        ],
        r#""" a:f{"x":1} -:f{} EndTurn 0(0)+0(0)"#,
    );
}

#[test]
fn reasoning_is_told_from_text_whatever_it_is_called() {
    check(
        &[
            r#"{"choices":[{"delta":{"reasoning_content":"Hm, "}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"yes."}}]}"#,
            r#"{"choices":[{"delta":{"content":"A"},"finish_reason":"stop"}]}"#,
        ],
        r#""A" thinking "Hm, yes." EndTurn 0(0)+0(0)"#,
    );
    check(
        &[
            r#"{"choices":[{"delta":{"content":"","reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"!"}]},{"type":"text","text":"A"}]},"finish_reason":"eos"}]}"#,
        ],
        r#""A" thinking "Hm!" EndTurn 0(0)+0(0)"#,
    );
}

#[test]
fn every_reason_to_stop_has_its_meaning() {
    let call = r#"{"choices":[{"delta":{"content":"x","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let stop = |reason: &str| format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
    for (reason, expected) in [
        ("function_call", r#""x" a:f{} EndTurn 0(0)+0(0)"#),
        ("length", r#""x" MaxTokens 0(0)+0(0)"#),
        ("content_filter", r#""x" Safety 0(0)+0(0)"#),
        ("stop_sequence", r#""x" StopSequence 0(0)+0(0)"#),
        ("refusal", r#""x" Refusal 0(0)+0(0)"#),
        ("error", r#""x" Overloaded("it stopped: error")"#),
        ("abort", r#""x" Cut("it stopped: abort")"#),
        ("new_reason", r#""x" BadResponse("calls, and an unknown end \"new_reason\"")"#),
    ] {
        check(&[call, &stop(reason)], expected);
    }
    check(&[r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"new_reason"}]}"#], r#""x" EndTurn 0(0)+0(0)"#);
    check(&[r#"{"choices":[{"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#], r#""No." Refusal 0(0)+0(0)"#);
}

#[test]
fn errors_within_the_stream_are_understood_in_all_their_forms() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    for (error, expected) in [
        (r#"data: {"error":{"code":429,"message":"Slow."}}"#, r#"RateLimited { message: "Slow.", retry_after: None }"#),
        (
            r#"data: {"error":{"code":502,"message":"Bad"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            r#"Overloaded("Bad")"#,
        ),
        (
            r#"data: {"object":"error","message":"maximum context length is 5","code":400}"#,
            r#"ContextTooLong("maximum context length is 5")"#,
        ),
        (r#"error: {"code":500,"message":"Slot lost","type":"server_error"}"#, r#"Overloaded("Slot lost")"#),
        ("data: nonsense", r#"BadResponse("an event is not JSON: a mistake at line 1, column 2")"#),
    ] {
        check_api(Api::Chat, &format!("{text}{error}\n\n"), &format!(r#""x" {expected}"#));
    }
}

#[test]
fn a_stream_without_its_last_marker_is_cut() {
    let events = [
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
        USAGE,
    ];
    check_api(Api::Chat, &wire(&events), r#""" Cut("it ended before the completion did")"#);
    check_api(Api::Chat, "data: [DONE]\n\n", r#""" Cut("it ended before the completion did")"#);
}

#[test]
fn a_completion_that_comes_whole_is_understood() {
    check_json_api(
        Api::Chat,
        r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"Hm","tool_calls":[{"id":"","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#""" thinking "Hm" -:f{} EndTurn 1(0)+2(0)"#,
    );
}

#[test]
fn an_answer_of_nothing_is_complete_and_empty() {
    check(&[r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#], r#""" EndTurn 0(0)+0(0)"#);
    check(&[r#"{"choices":[{"delta":{"content":" \n"},"finish_reason":"stop"}]}"#], r#"" \n" EndTurn 0(0)+0(0)"#);
}

#[test]
fn reasoning_in_tags_is_none_of_the_answer() {
    let events = [
        r#"{"choices":[{"delta":{"content":"<thi"}}]}"#,
        r#"{"choices":[{"delta":{"content":"nk>\nHm.</thi"}}]}"#,
        r#"{"choices":[{"delta":{"content":"nk>\n\nYes."},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ];
    check_api(Api::Chat, &wire(&events), r#""Yes." thinking "Hm." EndTurn 0(0)+0(0)"#);
}

#[test]
fn one_mark_of_the_end_is_enough_where_nothing_was_cut() {
    let hear = |events: &[&str]| {
        let wire = wire(events);
        super::runtime().block_on(super::hear(Api::Chat, super::SSE, wire.as_bytes(), 4_096)).line()
    };
    let text = r#"{"choices":[{"delta":{"content":"Yes."},"finish_reason":null}]}"#;
    assert_eq!(hear(&[text, "[DONE]"]), r#""Yes." EndTurn 0(0)+0(0)"#);
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    assert_eq!(hear(&[call, "[DONE]"]), r#""" a:f{} EndTurn 0(0)+0(0)"#);
    let cut = call.replace("{}\"", "{\"");
    assert!(hear(&[&cut, "[DONE]"]).contains("Cut"));
    assert!(hear(&["[DONE]"]).contains("Cut"), "nothing is no answer");
}

#[test]
fn a_call_of_the_oldest_form_is_one() {
    let events = [
        r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{\"a\""}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":":1}"}},"finish_reason":"function_call"}]}"#,
        "[DONE]",
    ];
    check_api(Api::Chat, &wire(&events), r#""" -:f{"a":1} EndTurn 0(0)+0(0)"#);
}
