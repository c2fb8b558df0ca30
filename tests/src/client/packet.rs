use crate::Event;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A packet of Engine.IO 4 with Socket.IO 5 in it, as far as a server sends them.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    Open,
    Ping,
    Connected,
    Disconnected,
    Refused(String),
    Event(Event),
    Ack(u64, Value),
    Noop,
}

impl Packet {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let read = |json: &str| serde_json::from_str::<Value>(json).with_context(|| format!("in the packet {text:?}"));
        Ok(match text.get(..1) {
            Some("0") => Self::Open,
            Some("1") => Self::Disconnected,
            Some("2") => Self::Ping,
            Some("6") => Self::Noop,
            Some("4") => match text.get(1..2) {
                Some("0") => Self::Connected,
                Some("1") => Self::Disconnected,
                Some("2") => Self::Event(Event::from_packet(read(&text[2..])?)?),
                Some("3") => {
                    let array = text.find('[').context("an acknowledgement without an array")?;
                    Self::Ack(text[2..array].parse()?, read(&text[array..])?[0].take())
                }
                Some("4") => Self::Refused(text[2..].to_owned()),
                _ => bail!("{text:?} is no Socket.IO packet"),
            },
            _ => bail!("{text:?} is no Engine.IO packet"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn packets_are_told_apart() {
        let event = Event { name: "a".into(), payload: json!({ "b": 1 }), meta: json!({ "id": "1-2" }) };
        for (text, packet) in [
            ("0{\"sid\":\"x\"}", Packet::Open),
            ("2", Packet::Ping),
            ("40{\"sid\":\"x\"}", Packet::Connected),
            ("41", Packet::Disconnected),
            ("42[\"a\",{\"b\":1},{\"id\":\"1-2\"}]", Packet::Event(event)),
            ("4317[{\"ok\":true}]", Packet::Ack(17, json!({ "ok": true }))),
            ("44{\"message\":\"no\"}", Packet::Refused("{\"message\":\"no\"}".into())),
        ] {
            assert_eq!(Packet::parse(text).expect(text), packet);
        }
        for bad in ["", "9", "4", "47", "42{}", "42[1]", "43[", "42[\"a\""] {
            assert!(Packet::parse(bad).is_err(), "{bad}");
        }
    }
}
