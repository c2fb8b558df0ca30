use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// The steps of a plan, each with its actions in a short form.
fn steps(text: &str) -> Vec<Vec<String>> {
    let short = |action: &Action| match action {
        Action::List { path } => format!("list {path}"),
        Action::Read { path } => format!("read {path}"),
        Action::Write { path, content } => format!("write {path}={content}"),
        Action::Run { command } => format!("run {command}"),
        Action::Call { name, args } => format!("call {name} {args}"),
    };
    match Intent::of(text, false) {
        Intent::Plan(plan) => plan.steps.iter().map(|step| step.iter().map(short).collect()).collect(),
        other => vec![vec![format!("{other:?}")]],
    }
}

#[track_caller]
fn check(text: &str, expected: &[&[&str]]) {
    assert_eq!(steps(text), expected, "{text:?}");
}

#[test]
fn a_sentence_asks_for_one_call() {
    for (text, expected) in [
        ("list files", "list ."),
        ("List the files, please!", "list ."),
        ("LIST FILES IN src", "list src"),
        ("list all files in the folder src/bin.", "list src/bin"),
        ("list the contents of 'my dir'", "list my dir"),
        ("list files in the workspace", "list ."),
        ("list files here", "list ."),
        ("list", "list ."),
        ("list src/", "list src/"),
        ("ls", "list ."),
        ("ls docs", "list docs"),
        ("What files are there?", "list ."),
        ("show me the files in src", "list src"),
        ("Can you please list the files?", "list ."),
        ("read a.txt", "read a.txt"),
        ("Read the file a.txt.", "read a.txt"),
        ("read README", "read README"),
        ("read the contents of `my notes.md` please", "read my notes.md"),
        ("hi, could you read /etc/hosts?", "read /etc/hosts"),
        ("cat ../x", "read ../x"),
        ("what's in notes.txt?", "read notes.txt"),
        ("show me notes.txt", "read notes.txt"),
        ("read error.log", "read error.log"),
        ("read 文件.txt", "read 文件.txt"),
        ("write a.txt: Hello and good night", "write a.txt=Hello and good night"),
        ("write a.txt: list\nread then run", "write a.txt=list\nread then run"),
        ("write to a.txt: 'quoted'", "write a.txt=quoted"),
        ("write a file a.txt: it's", "write a.txt=it's"),
        ("Write 'hello there' to a.txt", "write a.txt=hello there"),
        ("write \"x: y\" into the file b/c.txt.", "write b/c.txt=x: y"),
        ("write “Grüße” to ü.txt", "write ü.txt=Grüße"),
        ("write hello world to a.txt", "write a.txt=hello world"),
        ("create a file a.txt with Hello", "write a.txt=Hello"),
        ("create a new file called a.txt with the text 'Hello'", "write a.txt=Hello"),
        ("Create a.txt containing one two", "write a.txt=one two"),
        ("create an empty file b", "write b="),
        ("touch a.txt", "write a.txt="),
        ("save 'x' as y", "write y=x"),
        ("run `cmd --flag`", "run cmd --flag"),
        ("run ls -la", "run ls -la"),
        ("run the command: echo \"a b\" | wc", "run echo \"a b\" | wc"),
        ("execute cargo --version.", "run cargo --version"),
        ("Run ```sh\necho 1\necho 2\n```", "run echo 1\necho 2"),
        ("$ date", "run date"),
        ("run ls ..", "run ls .."),
        ("run 'date'", "run date"),
        ("run cat a && echo b", "run cat a && echo b"),
        ("run echo rock and roll", "run echo rock and roll"),
        ("call fs__stat {\"path\": \"a\", \"n\": [1]}", "call fs__stat {\"path\":\"a\",\"n\":[1]}"),
        ("call `odd.tool` with {}", "call odd.tool {}"),
        ("call ping", "call ping {}"),
        ("call t{\"a\":1}", "call t {\"a\":1}"),
        ("call t {broken", "call t \"{broken\""),
        ("call t [1]", "call t [1]"),
        ("fail", "read there-is-no-such-file.txt"),
        ("Show me an error!", "read there-is-no-such-file.txt"),
    ] {
        check(text, &[&[expected]]);
    }
}

#[test]
fn sentences_ask_for_several_calls() {
    check("list files and run `date` at once", &[&["list .", "run date"]]);
    check("list files and run date at once", &[&["list .", "run date"]]);
    check("In parallel: read a.txt, read b.txt and list src", &[&["read a.txt", "read b.txt", "list src"]]);
    check("list files in parallel and read a.txt", &[&["list .", "read a.txt"]]);
    check("call a {\"x\":1} and call b {} at the same time", &[&["call a {\"x\":1}", "call b {}"]]);
    check("call a and call b at once", &[&["call a {}", "call b {}"]]);
    check("list files and run `date`", &[&["list ."], &["run date"]]);
    check(
        "write 'x' to a.txt, then read a.txt and then run cat a.txt",
        &[&["write a.txt=x"], &["read a.txt"], &["run cat a.txt"]],
    );
    check("run echo a then list files", &[&["run echo a"], &["list ."]]);
    check("read a.txt and tell me what it says", &[&["read a.txt"]]);
    check("three calls", &[&["list .", "run date", "run echo \"call 3 of 3\""]]);
    check("2 steps", &[&["run echo \"step 1 of 2\""], &["run echo \"step 2 of 2\""]]);
    check("steps 1", &[&["run echo \"step 1 of 1\""]]);
    for (text, calls) in
        [("several", 3), ("do seven things in parallel", 3), ("12 parallel calls", 12), ("9999 calls", 200)]
    {
        assert_eq!(steps(text).iter().map(Vec::len).collect::<Vec<_>>(), [calls], "{text}");
    }
    for (text, count) in
        [("build a hello project", 3), ("create a hello project", 3), ("multi-step demo", 3), ("steps 99999", 1_000)]
    {
        assert_eq!(steps(text).len(), count, "{text}");
    }
}

#[test]
fn other_messages_are_told_apart() {
    for (text, attached, expected) in [
        ("", false, Intent::Help),
        ("hello", false, Intent::Help),
        ("Who are you?", false, Intent::Help),
        ("read me something", false, Intent::Help),
        ("call me maybe", false, Intent::Help),
        ("run", false, Intent::Help),
        ("list", true, Intent::of("ls", false)),
        ("long", false, Intent::Story { words: 400 }),
        ("Tell me a long story of 900 words", false, Intent::Story { words: 900 }),
        ("story 0 words", false, Intent::Story { words: 1 }),
        ("read me a story", false, Intent::Story { words: 400 }),
        ("think about it", false, Intent::Think),
        ("describe the image", false, Intent::Attachments),
        ("what is this?", true, Intent::Attachments),
        ("  SCRIPT: [1]", false, Intent::Script("[1]")),
        ("script:[]", true, Intent::Script("[]")),
    ] {
        assert_eq!(Intent::of(text, attached), expected, "{text:?}");
    }
}

#[test]
fn a_huge_message_is_read_in_time() {
    for unit in [
        "run a and ",
        "list files, ",
        "write 'a ",
        "call a ",
        "create file x ",
        "'",
        "`",
        "and then ",
        "a",
        "ü ",
        "call a {",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        for text in [text.clone(), format!("run {text}"), format!("write {text}"), format!("create x.y {text}")] {
            let started = Instant::now();
            let _ = Intent::of(&text, false);
            assert!(started.elapsed() < Duration::from_secs(5), "{unit:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>(), attached in any::<bool>()) {
        let _ = Intent::of(&text, attached);
    }

    #[test]
    fn no_sentence_of_known_words_panics(words in proptest::collection::vec(proptest::sample::select(vec![
        "list", "files", "in", "read", "write", "create", "a", "file", "run", "call", "and", "then", "at once", "with",
        "to", ":", "'", "`", "```", "\"", "{", "}", "[", "“", "”", "ü", "İ", "\u{0}", "\n", ".", ",", "x.txt", "script:",
        "steps", "5", "calls", "words", "18446744073709551616", "long", "the", "$ ", "what's in", "\u{2019}s",
    ]), 0..12), gap in proptest::sample::select(vec!["", " ", "  ", "\t"])) {
        let _ = Intent::of(&words.join(gap), false);
    }
}
