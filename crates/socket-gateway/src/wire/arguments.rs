use lockkeeper_domain::CallId;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::fmt;

/// The arguments of an event: its name and its first argument. More are read and thrown away.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) event: String,
    pub(crate) payload: Option<Value>,
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event and its arguments")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Arguments, A::Error> {
                let event = items.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let payload = items.next_element()?;
                while items.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Arguments { event, payload })
            }
        }
        from.deserialize_seq(Visitor)
    }
}

/// The name of an event, without a look at its arguments. `None` where the text is not an event.
pub(crate) fn event_name(arguments: &str) -> Option<String> {
    let rest = arguments.trim_start().strip_prefix('[')?;
    serde_json::Deserializer::from_str(rest).into_iter::<String>().next()?.ok()
}

/// The call that the payload of an event names.
pub(crate) fn answered_call(arguments: &str) -> Option<CallId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        call_id: CallId,
    }
    #[derive(Deserialize)]
    struct Event(de::IgnoredAny, Answer);
    serde_json::from_str(arguments).ok().map(|Event(_, answer)| answer.call_id)
}

/// Whether the JSON in `text` is nested no deeper than `most`. Looks at brackets alone: what is not JSON fails later.
pub(crate) fn is_shallow(text: &str, most: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_a_name_and_at_most_one_payload_that_counts() {
        let read = |text: &str| serde_json::from_str::<Arguments>(text).ok().map(|a| (a.event, a.payload));
        assert_eq!(read(r#"["message"]"#), Some(("message".to_owned(), None)));
        assert_eq!(read(r#"["message","a",{"b":[1]}]"#), Some(("message".to_owned(), Some(json!("a")))));
        for bad in ["[]", "{}", "[1]", "[null,1]", "[\"a\"", "7", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_calls_are_read_without_the_rest() {
        assert_eq!(event_name(" [\"tool:approval\", {broken").as_deref(), Some("tool:approval"));
        assert_eq!(event_name("[7]"), None);
        assert_eq!(event_name("{}"), None);
        let call = |text: &str| answered_call(text).map(|call| call.to_string());
        let answer = r#"["tool:approval",{"callId":"call_1_0_0","approved":true}]"#;
        assert_eq!(call(answer).as_deref(), Some("call_1_0_0"));
        for other in [r#"["tool:approval"]"#, r#"["tool:approval",{"callId":7}]"#, r#"["tool:approval",null]"#, "["] {
            assert_eq!(call(other), None, "{other}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(is_shallow(r#"["a",{"b":[1]}]"#, 3));
        assert!(!is_shallow(r#"["a",{"b":[1]}]"#, 2));
        assert!(is_shallow(r#"["[[[[[\"[[[[",1]"#, 1));
        assert!(!is_shallow(&"[".repeat(100_000), 32));
        assert!(is_shallow("[][][][]", 1));
    }
}
