use super::{decode, goldens, harm};
use crate::{Api, Config, Reading};
use lockkeeper_ports::{LlmError, ModelEvent};
use proptest::prelude::*;
use std::collections::VecDeque;

#[test]
fn an_answer_that_is_cut_after_any_byte_is_never_complete() {
    for (name, api, body) in goldens::all() {
        let (whole, failure) = decode(api, body.as_bytes(), body.len());
        let mut reading = Reading::new(&Config { api, ..Config::default() }, super::MODEL);
        let (mut events, mut error) = (VecDeque::new(), None);
        for (end, byte) in body.bytes().enumerate() {
            let cut = error.clone().or_else(|| reading.clone().end(&mut VecDeque::new()).err());
            let expected = matches!(cut, Some(LlmError::Cut(_))) || (cut.is_some() && cut == failure);
            assert!(expected, "{name} after {end} bytes: {cut:?}");
            assert!(events.iter().eq(whole.iter().take(events.len())), "{name} after {end} bytes says something else");
            let completed = events.iter().any(|event| matches!(event, ModelEvent::Completed(_)));
            assert!(!completed, "{name} is complete after {end} bytes");
            error = error.or_else(|| reading.push(&[byte], &mut events).err());
        }
    }
}

#[test]
fn fuzz_generate_content() {
    fuzz(Api::GenerateContent);
}

#[test]
fn fuzz_interactions() {
    fuzz(Api::Interactions);
}

fn fuzz(api: Api) {
    let ours = goldens::all().into_iter().filter(|(_, of, _)| *of == api);
    let bodies: Vec<_> = ours.map(|(name, _, body)| (name, body.into_bytes())).collect();
    harm::fuzz(&bodies, |name, body, size| {
        let whole = decode(api, body, body.len().max(1));
        prop_assert_eq!(&decode(api, body, size), &whole, "{} in pieces of {}", name, size);
        let completions = whole.0.iter().filter(|event| matches!(event, ModelEvent::Completed(_))).count();
        prop_assert_eq!(completions, usize::from(whole.1.is_none()), "either complete or an error");
        Ok(())
    });
}
