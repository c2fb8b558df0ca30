//! The bytes of a message between servers.

use bytes::Bytes;

/// A request, or news: its number, who says it, and what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Names the request in its answer; 0 for news.
    pub(super) id: u128,
    pub(super) asker: String,
    pub(super) request: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Said(Vec<u8>),
    /// It has so many bytes.
    TooLarge(usize),
    Dropped,
}

/// The form of the messages. Another one is not read.
const FORM: u8 = 1;

const SAID: u8 = 0;
const TOO_LARGE: u8 = 1;
const DROPPED: u8 = 2;

impl Frame {
    /// Form, number, length of the name, name, words.
    pub(super) fn write(&self) -> Bytes {
        let length = u16::try_from(self.asker.len()).unwrap_or(u16::MAX);
        let name = &self.asker.as_bytes()[..usize::from(length)];
        [&[FORM][..], &self.id.to_be_bytes(), &length.to_be_bytes(), name, &self.request].concat().into()
    }

    pub(super) fn read(said: &[u8]) -> Option<Self> {
        let (id, rest) = numbered(said)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (asker, request) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        Some(Self { id, asker: String::from_utf8(asker.to_vec()).ok()?, request: request.to_vec() })
    }
}

/// Form, number, kind, and what the kind has.
pub(super) fn write_answer(id: u128, answer: &Answer) -> Bytes {
    let length;
    let (kind, rest) = match answer {
        Answer::Said(words) => (SAID, words.as_slice()),
        Answer::TooLarge(bytes) => {
            length = u64::try_from(*bytes).unwrap_or(u64::MAX).to_be_bytes();
            (TOO_LARGE, &length[..])
        }
        Answer::Dropped => (DROPPED, &[][..]),
    };
    [&[FORM][..], &id.to_be_bytes(), &[kind], rest].concat().into()
}

pub(super) fn read_answer(said: &[u8]) -> Option<(u128, Answer)> {
    let (id, rest) = numbered(said)?;
    let (kind, rest) = rest.split_first()?;
    let answer = match *kind {
        SAID => Answer::Said(rest.to_vec()),
        TOO_LARGE => Answer::TooLarge(usize::try_from(u64::from_be_bytes(rest.try_into().ok()?)).ok()?),
        DROPPED => Answer::Dropped,
        _ => return None,
    };
    Some((id, answer))
}

fn numbered(said: &[u8]) -> Option<(u128, &[u8])> {
    let (form, rest) = said.split_first()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    (*form == FORM).then(|| (u128::from_be_bytes(*id), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let frame = Frame { id: 7, asker: "ä-1".to_owned(), request: vec![0, 255, 10] };
        assert_eq!(Frame::read(&frame.write()), Some(frame));
        for answer in [Answer::Said(vec![1, 2]), Answer::Said(Vec::new()), Answer::TooLarge(5 << 20), Answer::Dropped] {
            assert_eq!(read_answer(&write_answer(u128::MAX, &answer)), Some((u128::MAX, answer)));
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_passed_over() {
        let whole = Frame { id: 7, asker: "name".to_owned(), request: Vec::new() }.write();
        for end in 0..whole.len() {
            assert_eq!(Frame::read(&whole[..end]), None);
        }
        assert_eq!(Frame::read(b"\x02 another form of a message, long enough"), None);
        assert_eq!(read_answer(b"hello"), None);
    }
}
