//! The packets of Engine.IO 4 and Socket.IO 5 that a client over WebSocket needs: text, the main namespace, no binary.

use serde_json::{Value, json};
use std::time::Duration;

/// A packet from the server.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packet {
    /// The connection is open; a server that is silent for longer than this is gone.
    Open { silence: Duration },
    /// The server wants a pong.
    Ping,
    /// The namespace is joined.
    Connected,
    /// The namespace is refused.
    Refused(String),
    /// The server ends the namespace, or the connection.
    Closed,
    /// An event.
    Event { name: String, args: Vec<Value> },
    /// The answer to the event that was sent under this id.
    Ack { id: u64, args: Vec<Value> },
    /// Nothing to act on.
    Ignored,
}

/// A text that is no packet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent what is no Socket.IO packet: {0}")]
pub(super) struct BadPacket(&'static str);

/// Reads a packet.
pub(super) fn decode(text: &str) -> Result<Packet, BadPacket> {
    let mut chars = text.chars();
    match chars.next() {
        Some('0') => open(chars.as_str()),
        Some('1') => Ok(Packet::Closed),
        Some('2') => Ok(Packet::Ping),
        Some('4') => message(chars.as_str()),
        Some('3' | '6') => Ok(Packet::Ignored),
        _ => Err(BadPacket("an unknown Engine.IO type")),
    }
}

/// The request to join the main namespace.
pub(super) fn connect(auth: &Value) -> String {
    format!("40{auth}")
}

/// An event that wants an acknowledgement under `id`.
pub(super) fn event(id: u64, name: &str, payload: Option<&Value>) -> String {
    let args = match payload {
        Some(payload) => json!([name, payload]),
        None => json!([name]),
    };
    format!("42{id}{args}")
}

/// The answer to a ping.
pub(super) const PONG: &str = "3";

fn open(text: &str) -> Result<Packet, BadPacket> {
    let handshake: Value = serde_json::from_str(text).map_err(|_| BadPacket("a handshake that is not JSON"))?;
    let millis = |key| handshake.get(key).and_then(Value::as_u64).ok_or(BadPacket("a handshake without ping times"));
    let silence = millis("pingInterval")?.saturating_add(millis("pingTimeout")?);
    Ok(Packet::Open { silence: Duration::from_millis(silence) })
}

fn message(text: &str) -> Result<Packet, BadPacket> {
    let mut chars = text.chars();
    let kind = chars.next();
    let rest = chars.as_str();
    if rest.starts_with('/') {
        return Ok(Packet::Ignored);
    }
    match kind {
        Some('0') => Ok(Packet::Connected),
        Some('1') => Ok(Packet::Closed),
        Some('2') => {
            let (_, args) = numbered(rest)?;
            let mut args = args.into_iter();
            match args.next() {
                Some(Value::String(name)) => Ok(Packet::Event { name, args: args.collect() }),
                _ => Err(BadPacket("an event without a name")),
            }
        }
        Some('3') => match numbered(rest)? {
            (Some(id), args) => Ok(Packet::Ack { id, args }),
            (None, _) => Err(BadPacket("an acknowledgement without an id")),
        },
        Some('4') => {
            let error: Value = serde_json::from_str(rest).unwrap_or_default();
            let reason = error.get("message").and_then(Value::as_str).or_else(|| error.as_str());
            Ok(Packet::Refused(reason.unwrap_or("no reason given").to_owned()))
        }
        Some('5' | '6') => Err(BadPacket("a binary packet, which is not part of the contract")),
        _ => Err(BadPacket("an unknown Socket.IO type")),
    }
}

/// An optional id and a JSON array.
fn numbered(text: &str) -> Result<(Option<u64>, Vec<Value>), BadPacket> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (id, args) = text.split_at(digits);
    let args = serde_json::from_str(args).map_err(|_| BadPacket("arguments that are no JSON array"))?;
    if id.is_empty() {
        return Ok((None, args));
    }
    Ok((Some(id.parse().map_err(|_| BadPacket("an id that is too large"))?), args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read() {
        let cases = [
            (
                r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":9}"#,
                Packet::Open { silence: Duration::from_secs(45) },
            ),
            ("1", Packet::Closed),
            ("2", Packet::Ping),
            ("6", Packet::Ignored),
            (r#"40{"sid":"y"}"#, Packet::Connected),
            ("41", Packet::Closed),
            (r#"44{"message":"no"}"#, Packet::Refused("no".to_owned())),
            (r#"42["a",1,{"b":2}]"#, Packet::Event { name: "a".to_owned(), args: vec![json!(1), json!({"b": 2})] }),
            (r#"427["a"]"#, Packet::Event { name: "a".to_owned(), args: vec![] }),
            (r#"4312[{"ok":true}]"#, Packet::Ack { id: 12, args: vec![json!({"ok": true})] }),
            (r#"42/other,["a"]"#, Packet::Ignored),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        for text in
            ["", "x", "4", "47", "42", "42{}", "42[1]", "43[1]", "4399999999999999999999[]", "0{}", "0x", "451-[]"]
        {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn packets_are_written() {
        assert_eq!(connect(&json!({"token": "t"})), r#"40{"token":"t"}"#);
        assert_eq!(event(3, "message", Some(&json!("hi"))), r#"423["message","hi"]"#);
        assert_eq!(event(0, "turn:cancel", None), r#"420["turn:cancel"]"#);
    }
}
