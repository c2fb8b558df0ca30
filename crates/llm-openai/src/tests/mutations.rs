//! Answers that no vendor means: whatever the bytes, nothing panics and the rules of an answer hold. Each search goes
//! on for a second, or for as many as `LOCKKEEPER_FUZZ_SECS` says.

use super::{JSON, SSE, hear, runtime, wire};
use crate::{Api, answer::Decoder};
use lockkeeper_ports::ModelEvent;
use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How many cases run between two looks at the clock.
const ROUND: u32 = 32;

fn seeds() -> Vec<(Api, String)> {
    let responses = [
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"Hm"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs","encrypted_content":"ENC"}}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Grüß ☃"}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"x\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"c","name":"f"}}"#,
        r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":1}}}"#,
    ];
    let chat = [
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"Grüß ☃"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
        "[DONE]",
    ];
    let refused = [
        r#"{"type":"response.refusal.delta","output_index":0,"delta":"I will"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"refusal","refusal":"I will not."}]}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"custom_tool_call","call_id":"c","name":"f","input":"x"}}"#,
        r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
    ];
    let failed = [
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hel"}"#,
        r#"{"type":"error","error":{"type":"server_error","code":"server_is_overloaded","message":"busy"}}"#,
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}}"#,
    ];
    let routed = [
        r#"{"choices":[{"delta":{"reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","index":0,"text":"Hm"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"Hi"}],"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]}}]}"#,
        r#"{"choices":[{"message":{"refusal":"No"},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":3}}"#,
        r#"{"error":{"code":429,"message":"Please try again in 1s"}}"#,
        "[DONE]",
    ];
    vec![
        (Api::Responses, wire(&responses)),
        (Api::Chat, wire(&chat)),
        (Api::Responses, wire(&refused)),
        (Api::Responses, wire(&failed)),
        (Api::Chat, wire(&routed)),
    ]
}

/// Looks for a case that `check` does not pass, until the time is over.
fn search<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let end = Instant::now() + budget();
    while Instant::now() < end {
        let config = ProptestConfig { cases: ROUND, source_file: Some(file!()), ..ProptestConfig::default() };
        let mut runner = TestRunner::new(config);
        if let Err(found) = runner.run(strategy, &check) {
            panic!("{found}\n{runner}");
        }
    }
}

fn budget() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a test's executable is an edge: nobody hands it a configuration")]
    let secs = std::env::var("LOCKKEEPER_FUZZ_SECS").ok();
    Duration::from_secs(secs.and_then(|secs| secs.parse().ok()).unwrap_or(1))
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
    Insert(usize, Vec<u8>),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || 0_usize..2_000;
    let words: Vec<&[u8]> =
        vec![b"\n\n", b"null", b"-1", b"[]", b"{}", b"\"\"", b"99999999999999999999", b"1e999", b"\xff"];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), 1_usize..80).prop_map(|(at, len)| Mutation::Cut(at, len)),
        (at(), 1_usize..200).prop_map(|(at, len)| Mutation::Repeat(at, len)),
        (at(), proptest::sample::select(words)).prop_map(|(at, word)| Mutation::Insert(at, word.to_vec())),
    ]
}

fn apply(wire: &mut Vec<u8>, mutation: Mutation) {
    let len = wire.len().max(1);
    let range = |at: usize, size: usize| at % len..(at % len + size).min(len);
    match mutation {
        _ if wire.is_empty() => {}
        Mutation::Set(at, byte) => wire[at % len] = byte,
        Mutation::Cut(at, size) => drop(wire.drain(range(at, size))),
        Mutation::Repeat(at, size) => {
            let piece = wire[range(at, size)].to_vec();
            wire.splice(at % len..at % len, piece);
        }
        Mutation::Insert(at, word) => drop(wire.splice(at % len..at % len, word)),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let words =
        ["response.completed", "response.output_item.done", "function_call", "message", "error", "stop", "{}", ""];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    let keys = [
        "type",
        "item",
        "delta",
        "output_index",
        "item_id",
        "response",
        "status",
        "output",
        "choices",
        "tool_calls",
        "function",
        "arguments",
        "name",
        "id",
        "finish_reason",
        "error",
        "message",
        "usage",
        "content",
        "index",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(keys.to_vec()), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

#[test]
fn a_mangled_stream_keeps_the_rules() {
    let seed = proptest::sample::select(seeds());
    let mutations = proptest::collection::vec(mutation(), 1..6);
    let strategy = (seed, mutations, 1_usize..100, proptest::bool::weighted(0.1));
    search(&strategy, |((api, wire), mutations, size, is_json)| {
        let mut wire = wire.into_bytes();
        for mutation in mutations {
            apply(&mut wire, mutation);
        }
        let kind = if is_json { JSON } else { SSE };
        runtime().block_on(hear(api, kind, &wire, size)).keeps_the_rules();
        Ok(())
    });
}

#[test]
fn any_json_at_all_is_survived() {
    let strategy = (proptest::collection::vec(any_json(), 0..12), any::<bool>());
    search(&strategy, |(events, done)| {
        for api in [Api::Responses, Api::Chat] {
            let mut decoder = Decoder::new(api, "m", true);
            let fed = events.iter().try_for_each(|event| decoder.feed(event));
            let closed = fed.and_then(|()| decoder.close(done));
            let said: Vec<_> = std::iter::from_fn(|| decoder.next_piece()).collect();
            let completed = said.iter().filter(|event| matches!(event, ModelEvent::Completed(_))).count();
            prop_assert!(completed <= 1);
            prop_assert!(completed == 1 || closed.is_err());
        }
        Ok(())
    });
}

#[test]
fn a_fixture_for_the_mutations_is_what_it_is_meant_to_be() {
    let heard = seeds().into_iter().map(|(api, wire)| runtime().block_on(hear(api, SSE, wire.as_bytes(), 4_096)));
    let lines: Vec<String> = heard.map(|heard| heard.line()).collect();
    for (line, part) in
        std::iter::zip(&lines, ["c:f{\"x\":1}", "a:f{\"x\":1}", "MaxTokens", "Overloaded", "RateLimited"])
    {
        assert!(line.contains(part), "{line} lacks {part}");
    }
}
