//! Answers that no vendor means: whatever the bytes, nothing panics and the rules of an answer hold.

use super::{JSON, SSE, hear, runtime, wire};
use crate::{Api, answer::Decoder};
use lockkeeper_ports::ModelEvent;
use proptest::prelude::*;
use serde_json::{Value, json};

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
    vec![(Api::Responses, wire(&responses)), (Api::Chat, wire(&chat))]
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_mangled_stream_keeps_the_rules(
        seed in 0_usize..2,
        mutations in proptest::collection::vec(mutation(), 1..6),
        size in 1_usize..100,
        is_json in proptest::bool::weighted(0.1),
    ) {
        let (api, wire) = seeds().swap_remove(seed);
        let mut wire = wire.into_bytes();
        for mutation in mutations {
            apply(&mut wire, mutation);
        }
        let kind = if is_json { JSON } else { SSE };
        runtime().block_on(hear(api, kind, &wire, size)).keeps_the_rules();
    }

    #[test]
    fn any_json_at_all_is_survived(events in proptest::collection::vec(any_json(), 0..12), done in any::<bool>()) {
        for api in [Api::Responses, Api::Chat] {
            let mut decoder = Decoder::new(api, "m", true);
            let fed = events.iter().try_for_each(|event| decoder.feed(event));
            let closed = fed.and_then(|()| decoder.close(done));
            let said: Vec<_> = std::iter::from_fn(|| decoder.next_piece()).collect();
            let completed = said.iter().filter(|event| matches!(event, ModelEvent::Completed(_))).count();
            prop_assert!(completed <= 1);
            prop_assert!(completed == 1 || closed.is_err());
        }
    }
}

#[test]
fn a_fixture_for_the_mutations_is_a_whole_answer() {
    for (api, wire) in seeds() {
        let heard = runtime().block_on(hear(api, SSE, wire.as_bytes(), 4_096));
        let calls = heard.completion().map(|completion| completion.calls.clone()).unwrap_or_default();
        assert_eq!(calls.first().map(|call| call.args.clone()), Some(json!({"x": 1})), "{api:?}: {heard:?}");
    }
}
