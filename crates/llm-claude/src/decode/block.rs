use serde_json::{Map, Value, json};

/// A block of an answer, of whatever type, as it has to go back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    fields: Map<String, Value>,
    /// The JSON of the input, as far as it has come.
    input: String,
    /// The words in place of the input, where they are not JSON.
    words: Option<String>,
    closed: bool,
}

impl Block {
    /// A block that came in one piece.
    pub(crate) fn whole(value: &Value) -> Self {
        let mut block = Self::begun(value);
        block.close();
        block
    }

    /// A block of which more will come.
    pub(crate) fn begun(value: &Value) -> Self {
        Self { fields: value.as_object().cloned().unwrap_or_default(), ..Self::default() }
    }

    /// The block to which a delta of this type belongs, where its start never came.
    pub(crate) fn implied(delta_type: &str) -> Self {
        match delta_type {
            "text_delta" => Self::begun(&json!({"type": "text", "text": ""})),
            "thinking_delta" => Self::begun(&json!({"type": "thinking", "thinking": ""})),
            _ => Self::default(),
        }
    }

    pub(crate) fn kind(&self) -> &str {
        self.string("type")
    }

    pub(crate) fn string(&self, key: &str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it asks us for a call. Tools that run at the vendor's are none of our calls.
    pub(crate) fn is_call(&self) -> bool {
        self.kind() == "tool_use"
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The arguments of a call; the model's words where they are not JSON.
    pub(crate) fn args(&self) -> Value {
        match &self.words {
            Some(words) => Value::String(words.clone()),
            None => self.fields.get("input").cloned().unwrap_or_else(|| json!({})),
        }
    }

    pub(crate) fn extend(&mut self, delta: &Value) {
        let Some(delta) = delta.as_object() else { return };
        match delta.get("type").and_then(Value::as_str) {
            Some("input_json_delta") => {
                self.input.push_str(delta.get("partial_json").and_then(Value::as_str).unwrap_or_default());
            }
            Some("citations_delta") => self.cite(delta.get("citation")),
            _ => self.append(delta),
        }
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        let json = std::mem::take(&mut self.input);
        if !json.trim().is_empty() {
            match serde_json::from_str::<Value>(&json) {
                Ok(input) => self.set("input", input),
                Err(_) => self.words = Some(json),
            }
        }
        // A tool without arguments streams none, and some servers leave the field out besides.
        if self.is_call() && self.fields.get("input").is_none_or(Value::is_null) {
            self.set("input", json!({}));
        }
    }

    /// The block as the vendor wants it back, where an input is always an object.
    pub(crate) fn into_value(mut self) -> Value {
        if let Some(words) = self.words.take() {
            self.set("input", json!({"unreadable": words}));
        } else if self.is_call() && !self.fields.get("input").is_some_and(Value::is_object) {
            let input = self.fields.get("input").cloned().unwrap_or_default();
            self.set("input", json!({"value": input}));
        }
        Value::Object(self.fields)
    }

    /// What a delta says of text goes to the end of the block's, and everything else takes its place. This holds for
    /// the deltas that are known (text, thinking, signatures, compaction) and is the best guess for those to come.
    fn append(&mut self, delta: &Map<String, Value>) {
        let kind = delta.get("type").and_then(Value::as_str).unwrap_or_default();
        // What a known delta says besides, such as a count of tokens, is none of the block's: it goes back as it came.
        let known = match kind {
            "text_delta" => Some("text"),
            "thinking_delta" => Some("thinking"),
            "signature_delta" => Some("signature"),
            "compaction_delta" => Some("content"),
            _ => None,
        };
        let fits = |key: &str| known.map_or(key != "type", |known| key == known);
        for (key, value) in delta.iter().filter(|(key, value)| fits(key) && !value.is_null()) {
            match (self.fields.get_mut(key), value) {
                (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
                _ => self.set(key, value.clone()),
            }
        }
    }

    fn cite(&mut self, citation: Option<&Value>) {
        let Some(citation) = citation else { return };
        match self.fields.get_mut("citations") {
            Some(Value::Array(citations)) => citations.push(citation.clone()),
            _ => self.set("citations", json!([citation])),
        }
    }

    fn set(&mut self, key: &str, value: Value) {
        self.fields.insert(key.to_owned(), value);
    }
}
