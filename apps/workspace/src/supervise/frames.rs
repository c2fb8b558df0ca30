//! What is said between a supervisor and a peer that has no other way to order and to be told: a kind, the length of the
//! rest (32 bits, big-endian), and the rest. The other side is `crates/docker-runtime/src/exec/frames.rs`.

/// How much of the command's input may be on its way before the peer has heard that the command took it. As much is held
/// here, so that the order to end is always heard.
pub(super) const WINDOW: usize = 256 * 1024;
/// The most that one frame carries.
pub(super) const LARGEST: usize = 64 * 1024;
const HEADER: usize = 5;

/// From the peer, on standard input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// For the command's standard input.
    Input(Vec<u8>),
    /// The end of it.
    EndOfInput,
    /// End everything, at once.
    Kill,
}

/// To the peer, on standard error.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report<'a> {
    /// The command runs.
    Started,
    /// It cannot be run, for this reason.
    CannotExec(&'a str),
    /// From its standard error.
    Stderr(&'a [u8]),
    /// It took so many bytes more of its input.
    Taken(u32),
    /// It exited with this code, and nothing of it is left.
    Exited(i32),
    /// This signal ended it, and nothing of it is left.
    Signalled(i32),
}

/// What came is no frame.
#[derive(Debug)]
pub(super) struct Garbled;

pub(super) fn encode(report: Report<'_>) -> Vec<u8> {
    let number = |number: i32| number.to_be_bytes().to_vec();
    let (kind, rest) = match report {
        Report::Started => (1, Vec::new()),
        Report::CannotExec(reason) => (2, reason.as_bytes().to_vec()),
        Report::Stderr(bytes) => (3, bytes.to_vec()),
        Report::Taken(bytes) => (4, bytes.to_be_bytes().to_vec()),
        Report::Exited(code) => (5, number(code)),
        Report::Signalled(signal) => (6, number(signal)),
    };
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind], &length[..], &rest].concat()
}

/// Takes the next order out of what has come so far.
pub(super) fn decode(buffer: &mut Vec<u8>) -> Result<Option<Order>, Garbled> {
    let Some((header, _)) = buffer.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [kind, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if length > LARGEST {
        return Err(Garbled);
    }
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    let rest = buffer.drain(..HEADER + length).skip(HEADER).collect();
    match kind {
        1 => Ok(Some(Order::Input(rest))),
        2 => Ok(Some(Order::EndOfInput)),
        3 => Ok(Some(Order::Kill)),
        _ => Err(Garbled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_as_the_peer_reads_them() {
        assert_eq!(encode(Report::Started), [1, 0, 0, 0, 0]);
        assert_eq!(encode(Report::Stderr(b"hi")), [3, 0, 0, 0, 2, b'h', b'i']);
        assert_eq!(encode(Report::Taken(65_536)), [4, 0, 0, 0, 4, 0, 1, 0, 0]);
        assert_eq!(encode(Report::Signalled(9)), [6, 0, 0, 0, 4, 0, 0, 0, 9]);
    }

    #[test]
    fn orders_are_read_however_they_are_cut() {
        let sent = [1, 0, 0, 0, 2, b'a', b'b', 2, 0, 0, 0, 0, 3, 0, 0, 0, 0];
        for cut in 0..sent.len() {
            let (mut buffer, mut read) = (Vec::new(), Vec::new());
            for part in [&sent[..cut], &sent[cut..]] {
                buffer.extend_from_slice(part);
                read.extend(std::iter::from_fn(|| decode(&mut buffer).expect("an order")));
            }
            assert_eq!(read, [Order::Input(b"ab".to_vec()), Order::EndOfInput, Order::Kill], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for garbage in [[7, 0, 0, 0, 0], [1, 255, 0, 0, 0]] {
            assert!(decode(&mut garbage.to_vec()).is_err(), "{garbage:?}");
        }
    }
}
