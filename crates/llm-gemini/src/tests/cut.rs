use super::{decode, goldens};
use lockkeeper_ports::{LlmError, ModelEvent};
use proptest::prelude::*;

#[test]
fn an_answer_that_is_cut_after_any_byte_is_never_complete() {
    for (name, api, body) in goldens::all() {
        let body = body.as_bytes();
        let (whole, failure) = decode(api, body, body.len());
        for end in 0..body.len() {
            let (events, error) = decode(api, &body[..end], 97);
            let completed = events.iter().any(|event| matches!(event, ModelEvent::Completed(_)));
            assert!(!completed, "{name} is complete after {end} bytes");
            let expected = matches!(error, Some(LlmError::Cut(_))) || (error.is_some() && error == failure);
            assert!(expected, "{name} after {end} bytes: {error:?}");
            assert!(whole.starts_with(&events), "{name} after {end} bytes says something else");
        }
    }
}

/// What happens to a body on its way.
#[derive(Clone, Debug)]
enum Harm {
    Replace(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Swap(&'static str, &'static str),
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<prop::sample::Index>;
    let values = prop::sample::select(vec![
        ("0", "-1"),
        ("0", "18446744073709551616"),
        ("1", "1e400"),
        ("\"text\"", "null"),
        ("{\"type\"", "[\"type\""),
        ("\"index\":", "\"indeks\":"),
        ("{}", "[]"),
        ("\"tool_use\"", "{\"a\":[]}"),
        ("\"STOP\"", "7"),
        ("\"functionCall\"", "\"text\""),
        ("\"parts\":[", "\"parts\":[null,7,[],"),
        ("\n\n", "\n"),
        ("data: ", "data"),
    ]);
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Harm::Replace(at, byte)),
        (place(), 1..200_usize).prop_map(|(at, len)| Harm::Remove(at, len)),
        (place(), 1..200_usize).prop_map(|(at, len)| Harm::Repeat(at, len)),
        values.prop_map(|(from, to)| Harm::Swap(from, to)),
    ]
}

fn harmed(body: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut body = body.to_vec();
    for harm in harms {
        if body.is_empty() {
            break;
        }
        match harm {
            Harm::Replace(at, byte) => {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            Harm::Remove(at, len) => {
                let at = at.index(body.len());
                let end = body.len().min(at + len);
                body.drain(at..end);
            }
            Harm::Repeat(at, len) => {
                let at = at.index(body.len());
                let piece = body[at..body.len().min(at + len)].to_vec();
                body.splice(at..at, piece);
            }
            Harm::Swap(from, to) => body = String::from_utf8_lossy(&body).replace(from, to).into_bytes(),
        }
    }
    body
}

proptest! {
    #[test]
    fn a_harmed_answer_is_decoded_or_refused(
        golden in 0..goldens::all().len(),
        harms in prop::collection::vec(harm(), 1..6),
        size in 1..200_usize,
    ) {
        let (_, api, body) = &goldens::all()[golden];
        let (api, body) = (*api, harmed(body.as_bytes(), &harms));
        let whole = decode(api, &body, body.len().max(1));
        // A chunk that is no text is refused as a whole, with what was before it in the same chunk.
        if std::str::from_utf8(&body).is_ok() {
            prop_assert_eq!(&decode(api, &body, size), &whole);
        }
        let completions = whole.0.iter().filter(|event| matches!(event, ModelEvent::Completed(_))).count();
        prop_assert_eq!(completions, usize::from(whole.1.is_none()), "either complete or an error");
    }
}
