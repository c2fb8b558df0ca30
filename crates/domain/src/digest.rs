use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;

/// A SHA-256 over a value in its one canonical form (RFC 8785): two values have the same digest if they are the same JSON,
/// whatever the order of their members. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; Self::BYTES]);

/// Why a text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest must be 64 hexadecimal digits, in lower case")]
pub struct InvalidDigest;

impl Digest {
    const BYTES: usize = 32;
    /// How many digits of a digest people compare by eye.
    const SHORT: usize = 8;

    /// The digest of a value. Its maps have texts as keys, or it is a defect of this program.
    pub fn of(value: &impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("what is digested is JSON with string keys");
        Self::of_bytes(&canonical(&value))
    }

    /// The digest of these bytes as they are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The one whose bytes these are.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Its first eight digits, for people to compare by eye. A program compares the whole.
    pub fn fingerprint(&self) -> String {
        self.to_string()[..Self::SHORT].to_owned()
    }

    /// Whether both are the same. The time that it takes says nothing about where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// JSON in the form of RFC 8785. That form writes all numbers as a double has them, so those beyond the integers that a double
/// holds exactly follow as they were written, each on a line of its own: else two different ones could have one digest.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    let mut text = serde_json_canonicalizer::to_vec(value).expect("a value is JSON with string keys");
    append_wide_numbers(value, &mut text);
    text
}

fn append_wide_numbers(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| append_wide_numbers(item, out)),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (_, member) in members {
                append_wide_numbers(member, out);
            }
        }
        Value::Number(number) if is_wide(number) => {
            out.push(b'\n');
            out.extend(number.to_string().into_bytes());
        }
        _ => {}
    }
}

/// Whether a double may hold another number in its place.
fn is_wide(number: &serde_json::Number) -> bool {
    /// Up to here, 2^53, every integer has a double of its own.
    const FIRST_SHARED: f64 = 9_007_199_254_740_992.0;
    number.as_f64().is_none_or(|double| double.abs() >= FIRST_SHARED)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidDigest),
        };
        let mut bytes = [0; Self::BYTES];
        if text.len() != 2 * Self::BYTES {
            return Err(InvalidDigest);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_value_has_one_digest_and_two_have_two() {
        let digest = |value: Value| Digest::of(&value);
        assert_eq!(digest(json!({"a": 1, "b": [1.0, "é"]})), digest(json!({"b": [1, "é"], "a": 1.0})));
        let values = [
            json!({}),
            json!({"a": null}),
            json!({"a": "1"}),
            json!({"a": 1}),
            json!({"a": -1}),
            json!({"a": 9_007_199_254_740_992_u64}),
            json!({"a": 9_007_199_254_740_993_u64}),
            json!({"a": 9_007_199_254_740_994_u64}),
            json!({"a": -9_007_199_254_740_993_i64}),
            json!({"a": [9_007_199_254_740_993_u64, 9_007_199_254_740_992_u64]}),
            json!({"a": [9_007_199_254_740_992_u64, 9_007_199_254_740_993_u64]}),
            json!({"a": u64::MAX}),
            json!({"a": "\n9007199254740993"}),
        ];
        let digests: std::collections::HashSet<_> = values.iter().cloned().map(digest).collect();
        assert_eq!(digests.len(), values.len());
    }

    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        // The example of its section 3.2.2, with the members sorted as in 3.2.3.
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
        )
        .expect("JSON");
        // What follows the form itself is ours: a number in which a double may have lost something.
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}\n1e+30";
        assert_eq!(String::from_utf8(canonical(&value)).expect("text"), expected);
    }

    #[test]
    fn a_digest_is_written_in_hexadecimal_and_read_back() {
        let digest = Digest::of_bytes(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.to_string().as_str(), digest.fingerprint().as_str()), (text, "ba7816bf"));
        assert_eq!(text.parse(), Ok(digest));
        assert!(digest.matches(&text.parse().expect("a digest")));
        assert!(!digest.matches(&Digest::of_bytes(b"abd")));
        for bad in ["", "ba78", &text[1..], &format!("{}g", &text[1..]), &text.to_uppercase(), &format!("{text}0")] {
            assert_eq!(bad.parse::<Digest>(), Err(InvalidDigest), "{bad}");
        }
    }
}
