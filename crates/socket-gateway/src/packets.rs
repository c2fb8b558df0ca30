//! Counts the packets that no other limit sees: everything but events of the main namespace.
//!
//! `CONNECT`, pings, pongs, acknowledgements, packets of unknown namespaces, binary ones, and frames that are none cost the
//! client nothing and reach no handler. An honest client sends a handful. The bytes are looked at before the library has them.

use crate::rates::Rate;

/// The packets of one connection, or of one polling request.
#[derive(Debug)]
pub(crate) struct PacketMeter {
    rate: Rate,
    /// Parts of binary events, many of which may belong to one that is refused as a whole.
    binary: Rate,
}

/// The client sends far more packets than an honest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many packets that are no events")]
pub(crate) struct TooMany;

/// How many bytes of a packet tell what it is.
pub(crate) const HEAD: usize = 3;

impl PacketMeter {
    /// How many parts of binary events count as one packet.
    const PARTS: u32 = 16;

    pub(crate) fn new(burst: u32, per_sec: u32) -> Self {
        let binary = Rate::new(burst.saturating_mul(Self::PARTS), per_sec.saturating_mul(Self::PARTS));
        Self { rate: Rate::new(burst, per_sec), binary }
    }

    /// Counts a packet that begins with `head`, unless it is an event: events have limits of their own.
    pub(crate) fn count(&self, head: &[u8]) -> Result<(), TooMany> {
        let is_taken = match head {
            _ if is_event(head) => true,
            [b'4', b'5', b'0'..=b'9'] | [b'b', ..] => self.binary.take(),
            _ => self.rate.take(),
        };
        if is_taken { Ok(()) } else { Err(TooMany) }
    }

    /// Counts a binary frame.
    fn count_binary(&self) -> Result<(), TooMany> {
        if self.binary.take() { Ok(()) } else { Err(TooMany) }
    }
}

/// `42["name", ..]`, perhaps with the id of an acknowledgement. `42/name,[..]` is one of another namespace.
fn is_event(head: &[u8]) -> bool {
    matches!(head, [b'4', b'2', b'[' | b'0'..=b'9'])
}

/// Finds the packets of a polling request's body, which `\x1e` separates.
#[derive(Debug)]
pub(crate) struct Payload {
    meter: PacketMeter,
    head: Vec<u8>,
    counted: bool,
}

impl Payload {
    const SEPARATOR: u8 = 0x1e;

    pub(crate) fn new(meter: PacketMeter) -> Self {
        Self { meter, head: Vec::with_capacity(HEAD), counted: false }
    }

    /// Counts the packets that begin in these bytes, which follow those before.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), TooMany> {
        for byte in bytes {
            if *byte == Self::SEPARATOR {
                self.end()?;
                self.counted = false;
            } else if !self.counted {
                self.head.push(*byte);
                if self.head.len() == HEAD {
                    self.end()?;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), TooMany> {
        if !self.counted {
            self.counted = true;
            self.meter.count(&self.head)?;
        }
        self.head.clear();
        Ok(())
    }
}

/// Finds the frames of a WebSocket in what its client sends.
#[derive(Debug)]
pub(crate) struct Frames {
    meter: PacketMeter,
    header: Vec<u8>,
    /// The payload that is still to come.
    left: u64,
    /// Where the payload is and what its first bytes are, while they are wanted.
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    mask: [u8; 4],
    bytes: Vec<u8>,
}

impl Frames {
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;

    pub(crate) fn new(meter: PacketMeter) -> Self {
        Self { meter, header: Vec::with_capacity(14), left: 0, head: None }
    }

    /// Counts the frames that begin in these bytes, which follow those before.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Result<(), TooMany> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left == 0 {
                self.header.push(*first);
                bytes = rest;
                self.begin()?;
            } else if let Some(head) = &mut self.head {
                let at = head.bytes.len();
                head.bytes.push(first ^ head.mask.get(at).copied().unwrap_or_default());
                self.left -= 1;
                bytes = rest;
                if at + 1 == HEAD || self.left == 0 {
                    self.meter.count(&head.bytes)?;
                    self.head = None;
                }
            } else {
                let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Begins a frame once its header is whole.
    fn begin(&mut self) -> Result<(), TooMany> {
        let [first, second, extended @ ..] = self.header.as_slice() else { return Ok(()) };
        let (short, masked) = (second & 0x7f, second & 0x80 != 0);
        let (size, of_length) = match short {
            126 => (2, extended.get(..2)),
            127 => (8, extended.get(..8)),
            _ => (0, Some(&[][..])),
        };
        let of_mask = if masked { 4 } else { 0 };
        let (Some(length), Some(mask)) = (of_length, extended.get(size..size + of_mask)) else { return Ok(()) };
        let length = length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        self.left = if size == 0 { u64::from(short) } else { length };
        let mask = mask.try_into().unwrap_or_default();
        let opcode = first & 0x0f;
        let is_text = opcode == Self::TEXT;
        self.header.clear();
        if is_text && self.left > 0 {
            self.head = Some(Head { mask, bytes: Vec::with_capacity(HEAD) });
            return Ok(());
        }
        if opcode == Self::BINARY { self.meter.count_binary() } else { self.meter.count(&[]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> PacketMeter {
        PacketMeter::new(3, 1)
    }

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 2, 3];
        let length = u16::try_from(payload.len()).expect("short");
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(0x80 | u8::try_from(length).expect("short")),
            _ => frame.extend([&[0xfe][..], &length.to_be_bytes()].concat()),
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Covers: S3-packets
    #[tokio::test(start_paused = true)]
    async fn frames_that_are_no_events_are_counted() {
        let others: [(u8, &[u8]); 8] = [
            (1, b"40{}"),
            (1, b"40/aaaa,"),
            (1, b"42/aaaa,[\"x\"]"),
            (1, b"2"),
            (1, b"3"),
            (1, b""),
            (0, b""),
            (9, b"42["),
        ];
        for (opcode, payload) in others {
            let mut frames = Frames::new(meter());
            let frame = frame(opcode, payload);
            for _ in 0..3 {
                assert_eq!(frames.read(&frame), Ok(()), "{opcode} {payload:?}");
            }
            assert_eq!(frames.read(&frame), Err(TooMany), "{opcode} {payload:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn parts_of_binary_events_are_counted_apart() {
        let header = frame(1, b"451-[\"message\",{\"_placeholder\":true,\"num\":0}]");
        let parts = [header, frame(2, b"bytes")].concat();
        let mut frames = Frames::new(meter());
        // Three packets at once, of sixteen parts each.
        for _ in 0..24 {
            assert_eq!(frames.read(&parts), Ok(()));
        }
        assert_eq!(frames.read(&parts), Err(TooMany));
        let body = ["bAAAA"; 49].join("\u{1e}");
        assert_eq!(Payload::new(meter()).read(body.as_bytes()), Err(TooMany));
        let few = ["bAAAA"; 48].join("\u{1e}");
        assert_eq!(Payload::new(meter()).read(few.as_bytes()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_not_counted_however_they_are_cut() {
        let long = format!("42[\"message\",\"{}\"]", "x".repeat(1_000));
        let all =
            [frame(1, b"42[\"message\",\"a\"]"), frame(1, b"4217[\"message\"]"), frame(1, long.as_bytes())].concat();
        for size in 1..40 {
            let mut frames = Frames::new(meter());
            for _ in 0..10 {
                for chunk in all.chunks(size) {
                    assert_eq!(frames.read(chunk), Ok(()));
                }
            }
        }
    }

    /// Covers: S3-packets
    #[tokio::test(start_paused = true)]
    async fn packets_of_a_polling_body_are_counted() {
        for other in ["40{}", "3", "", "42/x,[]"] {
            let body = [other; 10].join("\u{1e}");
            assert_eq!(Payload::new(meter()).read(body.as_bytes()), Err(TooMany), "{other}");
        }
        let body = ["42[\"message\",\"a\"]"; 10].join("\u{1e}");
        let mut payload = Payload::new(meter());
        for byte in body.as_bytes() {
            assert_eq!(payload.read(&[*byte]), Ok(()));
        }
    }
}
