//! References within a schema.

use serde_json::Value;

/// What `reference` names within `root`: a JSON pointer (RFC 6901), an anchor, or the whole. `None` where it cannot be followed.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let own = root.get("$id").or_else(|| root.get("id")).and_then(Value::as_str).unwrap_or_default();
    let reference = if own.is_empty() { reference } else { reference.strip_prefix(own).unwrap_or(reference) };
    let fragment = match reference.strip_prefix('#') {
        Some(fragment) => fragment,
        None if reference.is_empty() => "",
        // Some generators leave the path to their definitions out.
        None => return definition(root, reference),
    };
    let fragment = decoded(fragment);
    let target = match fragment.as_str() {
        "" => Some(root),
        pointer if pointer.starts_with('/') => root.pointer(pointer),
        anchor => anchored(root, anchor, 0),
    };
    target.filter(|target| target.is_object() || target.is_boolean())
}

fn definition<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    ["$defs", "definitions"].iter().find_map(|defs| root.get(*defs)?.get(name)).filter(|target| target.is_object())
}

fn anchored<'a>(schema: &'a Value, anchor: &str, depth: usize) -> Option<&'a Value> {
    let is_it = |key| schema.get(key).is_some_and(|name| name == anchor);
    if is_it("$anchor") || is_it("$dynamicAnchor") || schema.get("id").is_some_and(|id| *id == format!("#{anchor}")) {
        return Some(schema);
    }
    if depth > 16 {
        return None;
    }
    match schema {
        Value::Object(fields) => fields.values().find_map(|below| anchored(below, anchor, depth + 1)),
        Value::Array(items) => items.iter().find_map(|below| anchored(below, anchor, depth + 1)),
        _ => None,
    }
}

/// Percent-encoded bytes as what they stand for.
fn decoded(fragment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), fragment.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_followed_by_pointer_anchor_and_name() {
        let root = json!({
            "$id": "https://a.example/s",
            "$defs": {"a b": {"type": "string"}, "c/d": {"$anchor": "here", "type": "null"}, "n": 7},
        });
        let target = |reference: &str| resolve(&root, reference).and_then(|found| found.get("type").cloned());
        assert_eq!(target("#/$defs/a%20b"), Some(json!("string")));
        assert_eq!(target("#/$defs/c~1d"), Some(json!("null")));
        assert_eq!(target("#here"), Some(json!("null")));
        assert_eq!(target("a b"), Some(json!("string")));
        assert_eq!(target("https://a.example/s#/$defs/a%20b"), Some(json!("string")));
        assert_eq!(resolve(&root, "#"), Some(&root));
        for lost in ["#/$defs/none", "other.json", "#/$defs/n", "#/", "https://b.example/x#/a"] {
            assert_eq!(resolve(&root, lost), None, "{lost}");
        }
    }
}
