//! What a server answers, taken apart.

use crate::failure::corrupt;
use bytes::Bytes;
use fred::types::Value;
use lockkeeper_ports::StoreError;
use std::vec;

/// The answer of a script: a word, and what comes with it.
pub(crate) struct Reply {
    pub(crate) word: Bytes,
    pub(crate) rest: vec::IntoIter<Value>,
}

impl Reply {
    pub(crate) fn of(value: Value) -> Result<Self, StoreError> {
        let mut rest = array(value)?.into_iter();
        let word = bytes(rest.next().unwrap_or(Value::Null))?;
        Ok(Self { word, rest })
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        text(self.rest.next().unwrap_or(Value::Null))
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self) -> Result<T, StoreError> {
        number(&self.text()?)
    }

    /// An answer that the script does not have.
    pub(crate) fn unknown(&self) -> StoreError {
        corrupt("answer", format!("a script answered {}", String::from_utf8_lossy(&self.word)))
    }
}

pub(crate) fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Null => Ok(Vec::new()),
        other => Err(corrupt("answer", format!("it is {:?} and no array", other.kind()))),
    }
}

pub(crate) fn bytes(value: Value) -> Result<Bytes, StoreError> {
    match value {
        Value::String(text) => Ok(text.into_inner()),
        Value::Bytes(bytes) => Ok(bytes),
        Value::Integer(number) => Ok(number.to_string().into()),
        other => Err(corrupt("answer", format!("it is {:?} and no text", other.kind()))),
    }
}

pub(crate) fn text(value: Value) -> Result<String, StoreError> {
    String::from_utf8(bytes(value)?.into()).map_err(|error| corrupt("text", error))
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt("number", format!("`{text}` is none")))
}
