use super::{check as check_api, check_json as check_json_api, wire};
use crate::Api;

fn check(events: &[&str], expected: &str) {
    check_api(Api::Responses, &wire(events), expected);
}

const CREATED: &str = r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress","output":[]}}"#;
const DONE: &str = r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":3}}}}"#;

#[test]
fn text_streams_and_unknown_events_are_skipped() {
    check(
        &[
            CREATED,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"m1","content":[]}}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Grüß "}"#,
            r#"{"type":"response.quantum_state.delta","superposition":[1,null]}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"dich ☃"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","id":"m1","content":[{"type":"output_text","text":"Grüß dich ☃"}]}}"#,
            DONE,
        ],
        r#""Grüß dich ☃" EndTurn 10(4)+7(3)"#,
    );
}

#[test]
fn parallel_calls_whose_pieces_mingle_keep_their_arguments_and_order() {
    check(
        &[
            CREATED,
            r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc1","call_id":"c1","name":"read","arguments":""}}"#,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"fc0","call_id":"c0","name":"list","arguments":""}}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":1,"item_id":"fc1","delta":"{\"path\":"}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"fc0","delta":"{}"}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":1,"item_id":"fc1","delta":"\"a\"}"}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"c1","name":"read"}}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c0","name":"list","arguments":"{}"}}"#,
            DONE,
        ],
        r#""" c0:list{} c1:read{"path":"a"} EndTurn 10(4)+7(3)"#,
    );
}

#[test]
fn items_are_told_apart_by_id_where_there_is_no_place() {
    check(
        &[
            r#"{"type":"response.output_item.added","item":{"type":"function_call","id":"fc1","call_id":"c1","name":"f","arguments":""}}"#,
            r#"{"type":"response.output_item.added","item":{"type":"function_call","id":"fc2","call_id":"c2","name":"g","arguments":""}}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc2","delta":"{\"y\":2}"}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc1","delta":"{\"x\":1}"}"#,
            r#"{"type":"response.output_item.done","item":{"type":"function_call","id":"fc1","call_id":"c1","name":"f"}}"#,
            r#"{"type":"response.output_item.done","item":{"type":"function_call","id":"fc2","call_id":"c2","name":"g"}}"#,
            r#"{"type":"response.completed","response":{}}"#,
        ],
        r#""" c1:f{"x":1} c2:g{"y":2} EndTurn 0(0)+0(0)"#,
    );
}

#[test]
fn ids_that_change_with_each_event_do_not_matter_where_there_is_a_place() {
    check(
        &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"r1","call_id":"c1","name":"f","arguments":""}}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"r2","delta":"{\"x\""}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"r3","delta":":1}"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"r4","call_id":"c1","name":"f"}}"#,
            DONE,
        ],
        r#""" c1:f{"x":1} EndTurn 10(4)+7(3)"#,
    );
}

#[test]
fn a_reasoning_summary_streams_with_a_gap_between_its_parts() {
    check(
        &[
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"**One"}"#,
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"**"}"#,
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"Two"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"**One**"},{"type":"summary_text","text":"Two"}],"encrypted_content":"ENC"}}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"Whole."}]}}"#,
            DONE,
        ],
        r#""Whole." thinking "**One**\n\nTwo" EndTurn 10(4)+7(3)"#,
    );
}

#[test]
fn a_refusal_is_said_and_told() {
    check(
        &[
            r#"{"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"I can"}"#,
            r#"{"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"not."}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"refusal","refusal":"I cannot."}]}}"#,
            DONE,
        ],
        r#""I cannot." Refusal 10(4)+7(3)"#,
    );
}

#[test]
fn an_answer_that_reached_a_limit_runs_no_call() {
    let call = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1","status":"incomplete"}}"#;
    let whole = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":"{}","status":"completed"}}"#;
    let length = r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":1,"output_tokens":16}}}"#;
    check(&[call, length], r#""" MaxTokens 1(0)+16(0)"#);
    check(&[whole, length], r#""" MaxTokens 1(0)+16(0)"#);
    let filter = r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}}"#;
    check(&[call, filter], r#""" Safety 0(0)+0(0)"#);
    check(&[whole, r#"{"type":"response.incomplete","response":{}}"#], r#""" Cut("incomplete: ")"#);
}

#[test]
fn a_call_that_never_ended_is_not_run() {
    check(
        &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c1","name":"f"}}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{}"}"#,
            DONE,
        ],
        r#""" BadResponse("a call that began did not end")"#,
    );
}

#[test]
fn errors_within_the_stream_are_understood_in_all_their_forms() {
    let flat = r#"{"type":"error","code":"rate_limit_exceeded","message":"Please try again in 2s.","param":null}"#;
    check(
        &[CREATED, flat],
        r#""" RateLimited { message: "Please try again in 2s. (rate_limit_exceeded)", retry_after: Some(2s) }"#,
    );
    let nested = r#"{"type":"error","error":{"type":"service_unavailable_error","code":"server_is_overloaded","message":"Busy."}}"#;
    check(&[nested], r#""" Overloaded("Busy. (server_is_overloaded)")"#);
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"insufficient_quota","message":"Pay."}}}"#;
    check(&[CREATED, failed], r#""" Quota("Pay. (insufficient_quota)")"#);
    check(
        &[CREATED, r#"{"type":"response.cancelled","response":{"status":"cancelled"}}"#],
        r#""" Cut("the response is cancelled")"#,
    );
    check(
        &[r#"{"error":{"message":"No such thing","type":"invalid_request_error"}}"#],
        r#""" BadRequest("No such thing")"#,
    );
}

#[test]
fn a_type_that_only_the_events_name_tells_is_understood() {
    let wire = "event: response.output_text.delta\r\ndata: {\"delta\":\"Hi\"}\r\n\r\n: comment\r\n\r\nevent: error\r\ndata: {\"message\":\"Gone\"}\n\n";
    check_api(Api::Responses, wire, r#""Hi" Overloaded("Gone")"#);
    check_api(Api::Responses, "event: error\ndata: out of memory\n\n", r#""" Overloaded("out of memory")"#);
}

#[test]
fn a_response_that_comes_whole_is_understood() {
    check_json_api(
        Api::Responses,
        r#"{"object":"response","status":"completed","error":null,"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]},{"type":"message","content":[{"type":"output_text","text":"A"}]},{"type":"message","content":[{"type":"output_text","text":"B"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{\"x\":1}"}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#""A\n\nB" thinking "Hm" c:f{"x":1} EndTurn 1(0)+2(0)"#,
    );
    check_json_api(
        Api::Responses,
        r#"{"error":{"message":"No","code":"model_not_found","type":"invalid_request_error"}}"#,
        r#""" BadRequest("No (model_not_found)")"#,
    );
}

#[test]
fn arguments_that_are_no_json_stay_the_models_words() {
    let call = |item: &str| format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{item}}}"#);
    let broken = call(r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{\"x\":"}"#);
    check(&[&broken, DONE], r#""" c:f"{\"x\":" EndTurn 10(4)+7(3)"#);
    let empty = call(r#"{"type":"function_call","id":"fc","name":"f","arguments":""}"#);
    check(&[&empty, DONE], r#""" fc:f{} EndTurn 10(4)+7(3)"#);
    let custom = call(r#"{"type":"custom_tool_call","call_id":"c","name":"f","input":"as is"}"#);
    check(&[&custom, DONE], r#""" c:f"as is" EndTurn 10(4)+7(3)"#);
}
