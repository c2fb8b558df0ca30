//! References within a schema.

use crate::OverBudget;
use serde_json::{Map, Value};

/// Where references lead.
pub(crate) struct Names<'a> {
    root: &'a Value,
    id: Option<&'a str>,
    anchors: Vec<(&'a str, &'a Value)>,
    /// `$id` below the root.
    has_embedded_id: bool,
    /// `id` below the root, which counts in old drafts.
    has_old_id: bool,
    is_old: bool,
}

impl<'a> Names<'a> {
    pub(crate) fn of(root: &'a Value) -> Self {
        let text = |name| root.get(name).and_then(Value::as_str);
        let id = text("$id").or_else(|| text("id")).map(|id| id.trim_end_matches('#'));
        let mut names =
            Self { root, id, anchors: Vec::new(), has_embedded_id: false, has_old_id: false, is_old: false };
        let mut rest = vec![root];
        while let Some(value) = rest.pop() {
            match value {
                Value::Object(object) => {
                    names.note(value, object);
                    rest.extend(object.values());
                }
                Value::Array(items) => rest.extend(items),
                _ => {}
            }
        }
        names
    }

    fn note(&mut self, value: &'a Value, object: &'a Map<String, Value>) {
        let draft = object.get("$schema").and_then(Value::as_str);
        self.is_old |= draft.is_some_and(|draft| draft.contains("draft-04") || draft.contains("draft-03"));
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(Value::String(name)) = object.get(keyword) {
                self.anchors.push((name, value));
            }
        }
        for keyword in ["$id", "id"] {
            if let Some(Value::String(id)) = object.get(keyword) {
                match id.strip_prefix('#') {
                    Some(name) if !name.is_empty() => self.anchors.push((name, value)),
                    // In data it is no identifier, but a validator may take it for one.
                    _ if std::ptr::eq(value, self.root) => {}
                    _ if keyword == "$id" => self.has_embedded_id = true,
                    _ => self.has_old_id = true,
                }
            }
        }
    }

    /// The values that the reference may lead to.
    pub(crate) fn resolve(&self, reference: &str) -> Result<Vec<&'a Value>, OverBudget> {
        if self.has_embedded_id || (self.is_old && self.has_old_id) {
            return Err(OverBudget::EmbeddedId);
        }
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if !base.is_empty() && Some(base) != self.id {
            return Err(OverBudget::Reference);
        }
        let fragment = percent_decoded(fragment).ok_or(OverBudget::Reference)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(&fragment).map(|target| vec![target]).ok_or(OverBudget::Reference);
        }
        let named: Vec<_> =
            self.anchors.iter().filter(|(name, _)| *name == fragment).map(|(_, value)| *value).collect();
        if named.is_empty() { Err(OverBudget::Reference) } else { Ok(named) }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}
