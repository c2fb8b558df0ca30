use super::*;
use futures::StreamExt;
use lockkeeper_domain::{Attachment, Code, Content, StopReason, ToolResult, Usage};
use lockkeeper_ports::{Completion, ModelEvent};
use lockkeeper_testkit::llm::{
    contract::{llm_contract, whole_answer},
    history::{History, tool},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::time::Instant;

mod scripts;

fn quick() -> DemoProvider {
    DemoProvider::new(Config { piece_delay_ms: 0, ..Config::default() })
}

fn asked(text: &str) -> History {
    let string = json!({"type": "string"});
    History::default()
        .with_tool(tool("other", "ping", &json!({})))
        .with_tool(tool("workspace", "read_file", &json!({"path": string})))
        .with_tool(tool("workspace", "write_file", &json!({"path": string, "content": string})))
        .with_tool(tool("workspace", "list_files", &json!({"path": string})))
        .with_tool(tool("workspace", "execute_command", &json!({"command": string})))
        .with_tool(tool("second", "read_file", &json!({"path": string})))
        .user(text)
}

async fn answer(history: &History) -> Completion {
    whole_answer(&quick(), history.request(DemoProvider::MODEL)).await
}

/// Asks `text`, gives each step's calls the results of `results`, and returns the calls of all steps and the last text.
async fn play(text: &str, results: &dyn Fn(usize) -> ToolResult) -> (Vec<Vec<(String, Value)>>, String) {
    let (mut history, mut steps) = (asked(text), Vec::new());
    loop {
        let said = answer(&history).await;
        if said.calls.is_empty() {
            return (steps, said.text);
        }
        assert!(!said.text.is_empty(), "a call comes with a sentence");
        steps.push(said.calls.iter().map(|c| (c.name.clone(), c.args.clone())).collect());
        let given: Vec<_> = said.calls.iter().map(|_| results(steps.len() - 1)).collect();
        history = history.completed(said, given);
    }
}

fn ok(text: &str) -> ToolResult {
    ToolResult::succeeded(vec![Content::text(text)])
}

/// Asks `text`, whose calls then come to `result`: the last text holds all of `expected`.
async fn check(text: &str, result: ToolResult, call: (&str, Value), expected: &[&str]) {
    let (steps, last) = play(text, &|_| result.clone()).await;
    assert_eq!(steps, [[(call.0.to_owned(), call.1)]], "{text}");
    for part in expected {
        assert!(last.contains(part), "{text}: {part:?} is not in {last:?}");
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_providers() {
    llm_contract(&quick()).await;
    llm_contract(&DemoProvider::new(Config { piece_delay_ms: 1, quote_bytes: 0 })).await;
}

#[tokio::test]
async fn a_call_is_made_and_its_result_quoted() {
    let read = |path: &str| ("workspace__read_file", json!({"path": path}));
    check("read a.txt", ok("one\ntwo"), read("a.txt"), &["`a.txt` holds:\n\n```\none\ntwo\n```"]).await;
    check("list files", ok("a.txt"), ("workspace__list_files", json!({"path": "."})), &["```\na.txt\n```"]).await;
    let write = ("workspace__write_file", json!({"path": "a", "content": "b c"}));
    check("write a: b c", ok("3 bytes"), write, &["`a` is written", "3 bytes"]).await;
    let run = ("workspace__execute_command", json!({"command": "date"}));
    check("run `date`", ok("Thu"), run.clone(), &["I ran `date`", "```\nThu\n```"]).await;
    check("run `date`", ToolResult::succeeded(vec![]), run.clone(), &["It said nothing."]).await;
    check("run date", ok("```\nx\n```"), run.clone(), &["````\n```\nx\n```\n````"]).await;
    check("call ping", ok("pong"), ("other__ping", json!({})), &["`other__ping` answered", "pong"]).await;
    let image =
        ToolResult::succeeded(vec![Content::image("AAAA", "image/png"), Content::Other(json!({"type": "audio"}))]);
    check("call ping", image, ("other__ping", json!({})), &["[an image, image/png, about 3 bytes]\n[audio]"]).await;
    let structured = ToolResult { structured: Some(json!({"n": 1})), ..ToolResult::succeeded(vec![]) };
    check("call ping", structured, ("other__ping", json!({})), &["\"n\": 1"]).await;
    let unknown = ToolResult::failed(Code::UnknownTool, "no such tool");
    check("call nothing {\"a\":1}", unknown, ("nothing", json!({"a": 1})), &["no tool `nothing`", "no such tool"])
        .await;
    let denied = ToolResult::failed(Code::Denied, "not on a Sunday");
    check("run `date`", denied, run.clone(), &["was not allowed", "not on a Sunday"]).await;
    let failed = ToolResult::failed(Code::ToolFailed, "exit status 1");
    check("run `date`", failed, run, &["failed (`tool_failed`)", "exit status 1"]).await;
    let missing = ToolResult::failed(Code::ToolFailed, "no such file");
    check("fail", missing, read("there-is-no-such-file.txt"), &["no such file", "ends nothing"]).await;
}

#[tokio::test]
async fn a_quote_is_bounded() {
    let (_, last) = play("read a.txt", &|_| ok(&"ü".repeat(10_000))).await;
    assert!(last.contains("(18500 more bytes are not shown.)"), "{last}");
    let (_, last) = play("read a.txt", &|_| ok(&"x\n".repeat(500))).await;
    assert_eq!(last.matches("x\n").count(), 40, "{last}");
}

#[tokio::test]
async fn several_calls_are_one_step_and_a_chain_is_many() {
    let (steps, last) = play("list files and run `date` at once", &|_| ok("fine")).await;
    assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    assert_eq!(last.matches("fine").count(), 2);
    let (steps, last) = play("build a hello project", &|step| ok(&format!("result {step}"))).await;
    assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    assert!((0..3).all(|step| last.contains(&format!("result {step}"))), "{last}");
    let (steps, last) = play("steps 7", &|_| ok("fine")).await;
    assert_eq!(steps.len(), 7);
    assert!(last.ends_with("All 7 steps are done."), "{last}");
    let refuse = |step| if step == 1 { ToolResult::failed(Code::Denied, "enough") } else { ok("fine") };
    let (steps, last) = play("steps 7", &refuse).await;
    assert_eq!(steps.len(), 2);
    assert!(last.contains("enough") && last.contains("the 5 steps"), "{last}");
}

#[tokio::test]
async fn only_the_current_turn_counts() {
    let history = asked("steps 2").step("", [("workspace__execute_command", json!({}), ok("1"))]).answer("Enough.");
    let said = answer(&history.user("read b.txt")).await;
    assert_eq!(said.calls[0].args, json!({"path": "b.txt"}));
}

#[tokio::test]
async fn without_tools_it_says_so() {
    let said = answer(&History::asked("read a.txt")).await;
    assert!(said.calls.is_empty());
    assert!(said.text.contains("`read_file`") && said.text.contains("no tools"), "{}", said.text);
    let help = answer(&asked("hello")).await.text;
    assert!(help.contains("no key") || help.contains("without a key"), "{help}");
    assert!(help.contains("`workspace__list_files`") && help.contains("build a hello project"), "{help}");
}

#[tokio::test]
async fn every_example_of_the_help_is_understood() {
    let help = answer(&asked("help")).await.text;
    let examples: Vec<&str> = help.lines().filter_map(|l| l.strip_prefix("- `")?.strip_suffix('`')).collect();
    assert_eq!(examples.len(), 5, "{help}");
    for example in examples {
        assert!(!answer(&asked(example)).await.calls.is_empty(), "{example}");
    }
}

#[tokio::test]
async fn attachments_reasoning_and_long_answers() {
    let attachment = |name: Option<&str>, mime: &str| Attachment {
        name: name.map(str::to_owned),
        mime_type: mime.to_owned(),
        data: "AAAAAAAA".to_owned(),
    };
    let files = [attachment(Some("cat.png"), "image/png"), attachment(None, "image/webp")];
    let seen = answer(&History::default().user_with("what is this?", files)).await.text;
    assert!(seen.contains("2 attachments") && seen.contains("`cat.png`: `image/png`, about 6 bytes"), "{seen}");
    assert!(answer(&asked("describe the image")).await.text.contains("no attachment"));
    let thought = answer(&asked("think")).await;
    assert!(thought.reasoning.is_some() && thought.usage.reasoning_tokens > 0);
    let words = |text: &str| text.split_whitespace().count();
    for count in [1, 2, 50, 333, 3_000] {
        let mut request = asked(&format!("a long story of {count} words")).request(DemoProvider::MODEL);
        request.max_output_tokens = 10_000;
        assert_eq!(words(&whole_answer(&quick(), request).await.text), count);
    }
    assert_eq!(words(&answer(&asked("long")).await.text), 400);
}

#[tokio::test]
async fn an_answer_ends_at_the_limit_of_its_length() {
    let mut request = asked("read a.txt").request(DemoProvider::MODEL);
    request.max_output_tokens = 1;
    let said = whole_answer(&quick(), request).await;
    assert_eq!((said.text.as_str(), said.stop, said.calls.len()), ("I re", StopReason::MaxTokens, 0));
    assert_eq!(said.usage.output_tokens, 1);
}

#[tokio::test]
async fn a_request_that_vendors_refuse_is_refused() {
    let call = || asked("go").step("", [("workspace__read_file", json!({}), ok("1"))]);
    let with = |edit: &dyn Fn(&mut GenerateRequest)| {
        let mut request = call().request(DemoProvider::MODEL);
        edit(&mut request);
        request
    };
    for (why, request) in [
        ("there is no model", with(&|r| r.model = "gpt-5".to_owned())),
        ("no messages", with(&|r| r.messages.clear())),
        ("the assistant's own", with(&|r| drop(r.messages.pop()))),
        ("results without calls", with(&|r| drop(r.messages.remove(1)))),
        ("have no results", with(&|r| r.messages.insert(2, r.messages[0].clone()))),
        (
            "not those of the calls",
            with(&|r| {
                if let Some(lockkeeper_domain::Message::Tool { results, .. }) = r.messages.last_mut() {
                    results.clear();
                }
            }),
        ),
    ] {
        let refused = quick().generate(request).await.err();
        assert!(matches!(&refused, Some(LlmError::BadRequest(m)) if m.contains(why)), "{why}: {refused:?}");
    }
    let headless = whole_answer(&quick(), with(&|r| drop(r.messages.remove(0)))).await;
    assert!(headless.text.contains("no longer see your question"));
}

#[tokio::test(start_paused = true)]
async fn each_piece_takes_its_time() {
    let mut stream =
        DemoProvider::default().generate(asked("long").request(DemoProvider::MODEL)).await.expect("accepted");
    let (started, mut events) = (Instant::now(), 0_u32);
    while let Some(event) = stream.next().await {
        event.expect("no error");
        events += 1;
        let elapsed = started.elapsed();
        let expected = Duration::from_millis(15) * events;
        assert!(elapsed >= expected && elapsed < expected + Duration::from_millis(2) * events, "{events}: {elapsed:?}");
    }
    assert!(events > 400);
}

async fn events(request: GenerateRequest) -> Vec<Result<ModelEvent, LlmError>> {
    match quick().generate(request).await {
        Ok(stream) => stream.collect().await,
        Err(error) => vec![Err(error)],
    }
}

proptest! {
    #[test]
    fn the_same_request_gets_the_same_whole_answer(text in ".{0,200}", result in ".{0,200}", limit in any::<u32>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let history = asked(&text).step(result.clone(), [("t", json!({"path": text, "command": result}), ok(&result))]);
        for history in [asked(&text), history] {
            let mut request = history.request(DemoProvider::MODEL);
            request.max_output_tokens = limit;
            let (first, second) = (runtime.block_on(events(request.clone())), runtime.block_on(events(request.clone())));
            prop_assert_eq!(first, second);
            runtime.block_on(whole_answer(&quick(), request));
        }
    }
}

#[test]
fn a_config_says_what_it_does_not_know() {
    let read = |text: &str| serde_json::from_str::<Config>(text);
    assert_eq!(read("{}").expect("defaults"), Config { piece_delay_ms: 15, quote_bytes: 1_500 });
    assert_eq!(read("{\"piece_delay_ms\": 0}").expect("a config").piece_delay_ms, 0);
    assert!(read("{\"delay\": 0}").is_err());
}
