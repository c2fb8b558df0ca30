//! What is said between this process and a supervisor: a kind, the length of the rest (32 bits, big-endian), and the rest.
//! The other side is `apps/workspace/src/supervise/frames.rs`.

use bytes::{Buf, Bytes, BytesMut};

/// How much of the process's input may be on its way before the supervisor has said that the process took it. The
/// supervisor holds as much, and so always hears the order to end.
pub(crate) const WINDOW: usize = 256 << 10;
/// The most that one frame carries.
pub(crate) const LARGEST: usize = 64 << 10;
const HEADER: usize = 5;

/// To the supervisor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order<'a> {
    /// For the process's standard input.
    Input(&'a [u8]),
    /// The end of it.
    EndOfInput,
    /// End the process and all that it started, at once. So does the end of the stream.
    Kill,
}

/// From the supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The process runs.
    Started,
    /// It cannot be run, for this reason.
    CannotExec(String),
    /// From its standard error.
    Stderr(Bytes),
    /// It took so many bytes more of its input.
    Taken(u32),
    /// It exited with this code, and nothing of it is left.
    Exited(i32),
    /// This signal ended it, and nothing of it is left.
    Signalled(i32),
}

/// What came is no frame.
#[derive(Debug, thiserror::Error)]
#[error("what came from the supervisor is no report")]
pub(crate) struct Garbled;

pub(crate) fn encode(order: Order<'_>) -> Vec<u8> {
    let (kind, rest): (u8, &[u8]) = match order {
        Order::Input(bytes) => (1, bytes),
        Order::EndOfInput => (2, &[]),
        Order::Kill => (3, &[]),
    };
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = Vec::with_capacity(HEADER + rest.len());
    frame.push(kind);
    frame.extend(length);
    frame.extend(rest);
    frame
}

/// The next report out of what has come so far.
pub(crate) fn decode(buffer: &mut BytesMut) -> Result<Option<Report>, Garbled> {
    let Some((header, _)) = buffer.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [kind, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if length > LARGEST {
        return Err(Garbled);
    }
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    buffer.advance(HEADER);
    let rest = buffer.split_to(length).freeze();
    let number = || <[u8; 4]>::try_from(&rest[..]).map(i32::from_be_bytes).map_err(|_| Garbled);
    Ok(Some(match kind {
        1 => Report::Started,
        2 => Report::CannotExec(String::from_utf8_lossy(&rest).into_owned()),
        3 => Report::Stderr(rest),
        4 => Report::Taken(number()?.cast_unsigned()),
        5 => Report::Exited(number()?),
        6 => Report::Signalled(number()?),
        _ => return Err(Garbled),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_supervisor_reads_them() {
        assert_eq!(encode(Order::Input(b"ab")), [1, 0, 0, 0, 2, b'a', b'b']);
        assert_eq!(encode(Order::EndOfInput), [2, 0, 0, 0, 0]);
        assert_eq!(encode(Order::Kill), [3, 0, 0, 0, 0]);
    }

    #[test]
    fn reports_are_read_however_they_are_cut() {
        let sent = [
            &[1, 0, 0, 0, 0][..],
            &[3, 0, 0, 0, 2, b'h', b'i'],
            &[4, 0, 0, 0, 4, 0, 1, 0, 0],
            &[6, 0, 0, 0, 4, 0, 0, 0, 9],
        ]
        .concat();
        let expected =
            [Report::Started, Report::Stderr(Bytes::from_static(b"hi")), Report::Taken(65_536), Report::Signalled(9)];
        for cut in 0..sent.len() {
            let mut buffer = BytesMut::new();
            let mut read = Vec::new();
            for part in [&sent[..cut], &sent[cut..]] {
                buffer.extend_from_slice(part);
                read.extend(std::iter::from_fn(|| decode(&mut buffer).expect("a report")));
            }
            assert_eq!(read, expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for garbage in [&[9, 0, 0, 0, 0][..], &[3, 255, 0, 0, 0], &[5, 0, 0, 0, 1, 0]] {
            assert!(decode(&mut BytesMut::from(garbage)).is_err(), "{garbage:?}");
        }
    }
}
