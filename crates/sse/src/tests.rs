use super::*;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { event_bytes: 64, body_bytes: 1_000 };

/// What comes of a body that arrives in pieces of `size` bytes and then ends.
fn read(body: &[u8], size: usize) -> (Vec<String>, Result<(), Error>) {
    let (mut reader, mut events) = (Reader::new(LIMITS), Vec::new());
    let outcome = body.chunks(size).try_for_each(|piece| reader.push(piece, &mut events));
    let outcome = outcome.and_then(|()| reader.end());
    (events, outcome)
}

#[track_caller]
fn check(body: &str, expected: &[&str]) {
    for size in 1..=body.len() {
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(read(body.as_bytes(), size), (expected, Ok(())), "{body:?} by {size}");
    }
}

#[test]
fn events_are_the_same_whatever_the_line_ends_are_and_however_the_body_is_cut() {
    let body = "data: one\n\n: a comment\n\nevent: x\ndata: two\ndata: lines\n\n";
    check(body, &["one", "two\nlines"]);
    check(&body.replace('\n', "\r\n"), &["one", "two\nlines"]);
    check(&body.replace('\n', "\r"), &["one", "two\nlines"]);
    check("\u{feff}data:one\n\n\n\nid: 7\ndata: two\r\ndata: lines\n\r\n", &["one", "two\nlines"]);
    check("data: größe 🔒\n\n", &["größe 🔒"]);
}

#[test]
fn fields_are_read_as_the_specification_has_them() {
    check("data:  two spaces\n\n", &[" two spaces"]);
    check("data\ndata\n\n", &["\n"]);
    check("data: a: b\n\n", &["a: b"]);
    check("data\n\ndata:\n\nevent: alone\n\n", &[]);
    check("Data: x\n\n data: y\n\ndatum: z\n\nretry: 5\n\n", &[]);
    check(": a comment at the end\n", &[]);
    check("data: \u{feff}x\n\n\u{feff}data: y\n\n", &["\u{feff}x"]);
}

#[test]
fn a_body_that_ends_within_an_event_is_cut() {
    for whole in ["data: one\n\ndata: two\n\n", "data: one\r\n\r\ndata: two\r\n\r\n"] {
        let first = whole.find("data: two").expect("a second event");
        for end in first + 1..whole.len() {
            assert_eq!(read(&whole.as_bytes()[..end], 3), (vec!["one".to_owned()], Err(Error::Cut)), "{end}");
        }
    }
    for body in ["d", ":", "event: x\n", "event: x\r\n\r"] {
        assert_eq!(read(body.as_bytes(), 1), (vec![], Err(Error::Cut)), "{body:?}");
    }
}

#[test]
fn an_event_beyond_the_limit_is_refused_before_it_is_kept() {
    let event = |len: usize| format!("data: {}\n\n", "x".repeat(len));
    assert_eq!(read((event(58) + &event(58)).as_bytes(), 5).1, Ok(()));
    assert_eq!(read(event(59).as_bytes(), 5).1, Err(Error::LargeEvent(64)));
    assert_eq!(read("data: x\n".repeat(10).as_bytes(), 5).1, Err(Error::LargeEvent(64)));
    assert_eq!(read(":".repeat(65).as_bytes(), 65).1, Err(Error::LargeEvent(64)));
    let (events, outcome) = read("data: x\n\n".repeat(200).as_bytes(), 50);
    assert_eq!((events.len(), outcome), (111, Err(Error::LargeBody(1_000))));
}

#[test]
fn bytes_that_are_no_text_are_refused_after_the_events_before_them() {
    for size in [1, 9, 64] {
        let got = read(b"data: one\n\n: \xff\ndata: two\n\ndata: \xff\xfe\n\ndata: three\n\n", size);
        assert_eq!(got, (vec!["one".to_owned(), "two".to_owned()], Err(Error::NotText)));
    }
}

/// `LOCKKEEPER_FUZZ_SECS` says for how long; a second by default.
#[test]
fn fuzz_bytes_of_every_kind() {
    #[expect(clippy::disallowed_methods, reason = "a test's only way to learn how long it may take")]
    let seconds = std::env::var("LOCKKEEPER_FUZZ_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(seconds);
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["data", ":", " ", "\n", "\r", "\r\n", "\n\n", "x", "event: ", "\u{feff}", "🔒"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    let body = prop::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat());
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    while Instant::now() < until {
        let mut runner = TestRunner::new(config.clone());
        let law = |(body, size): (Vec<u8>, usize)| {
            let whole = read(&body, body.len().max(1));
            prop_assert_eq!(&read(&body, size), &whole, "in pieces of {}", size);
            prop_assert_eq!(expected(&body), whole);
            Ok(())
        };
        runner.run(&(body.clone(), 1..40_usize), law).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// The same by another way: line by line over the whole body.
fn expected(body: &[u8]) -> (Vec<String>, Result<(), Error>) {
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = body.iter().copied().peekable();
    let mut crlf = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                let paired = bytes.next_if_eq(&b'\n').is_some();
                let cut = !paired && bytes.peek().is_none();
                // The last empty line of a body with CR LF may lack its second half, and is then none.
                if cut && crlf && lines.last().is_some_and(Vec::is_empty) {
                    break;
                }
                crlf |= paired;
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            other => lines.last_mut().expect("a line").push(other),
        }
    }
    let rest = lines.pop().expect("a line");
    let mut events = Vec::new();
    let (mut data, mut size, mut open) = (Vec::<Vec<u8>>::new(), 0, false);
    for (number, line) in lines.iter().enumerate() {
        size += line.len();
        if size > LIMITS.event_bytes {
            return (events, Err(Error::LargeEvent(LIMITS.event_bytes)));
        }
        if line.is_empty() {
            let text = std::mem::take(&mut data).join(&b'\n');
            (size, open) = (0, false);
            match String::from_utf8(text) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => events.push(text),
                Err(_) => return (events, Err(Error::NotText)),
            }
            continue;
        }
        let line = if number == 0 { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
        open |= !line.is_empty() && !line.starts_with(b":");
        match line.strip_prefix(b"data") {
            Some(b"") => data.push(Vec::new()),
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => data.push(value.to_vec()),
            _ => {}
        }
    }
    if size + rest.len() > LIMITS.event_bytes {
        return (events, Err(Error::LargeEvent(LIMITS.event_bytes)));
    }
    let whole = !open && rest.is_empty();
    (events, if whole { Ok(()) } else { Err(Error::Cut) })
}
