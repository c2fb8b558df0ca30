use super::*;
use futures::FutureExt;

fn script(steps: &Value) -> History {
    asked(&format!("script: {steps}"))
}

async fn check(steps: Value, expected: &[Result<ModelEvent, LlmError>]) {
    let request = script(&steps).request(DemoProvider::MODEL);
    assert_eq!(events(request).await, expected, "{steps}");
}

fn text(piece: &str) -> ModelEvent {
    ModelEvent::Text(piece.to_owned())
}

#[tokio::test]
async fn a_step_says_what_is_written() {
    let usage = json!({"inputTokens": 7, "outputTokens": 3, "cachedInputTokens": 5, "reasoningTokens": 1});
    let step = json!({
        "reasoning": "hm hm", "text": "a b", "calls": [{"name": "ping", "args": {"x": 1}}, {"name": "unknown"}],
        "stop": "max_tokens", "usage": usage, "replay": {"signature": "s"},
    });
    let said = answer(&script(&json!([step]))).await;
    assert_eq!((said.text.as_str(), said.reasoning.as_deref()), ("a b", Some("hm hm")));
    let calls: Vec<_> = said.calls.iter().map(|c| (c.name.as_str(), c.args.clone())).collect();
    assert_eq!(calls, [("other__ping", json!({"x": 1})), ("unknown", json!({}))]);
    let usage = Usage { input_tokens: 7, output_tokens: 3, cached_input_tokens: 5, reasoning_tokens: 1 };
    assert_eq!((said.stop, said.usage), (StopReason::MaxTokens, usage));
    assert_eq!(said.replay.map(|r| (r.provider, r.raw)), Some(("demo".to_owned(), json!({"signature": "s"}))));
}

#[tokio::test]
async fn the_messages_alone_say_which_step_it_is() {
    let steps = json!({"steps": [
        {"calls": [{"name": "read_file", "args": {"path": "a"}}]},
        {"calls": [{"name": "read_file", "args": {"path": "b"}}]},
        {"text": "Seen:", "quote": true},
    ]});
    let call = |path: &str, said: &str| [("workspace__read_file", json!({"path": path}), ok(said))];
    let fresh = script(&steps);
    assert_eq!(answer(&fresh).await.calls[0].args, json!({"path": "a"}));
    let second = fresh.step("", call("a", "AAA"));
    assert_eq!(answer(&second).await.calls[0].args, json!({"path": "b"}));
    let third = second.step("", call("b", "BBB"));
    let last = answer(&third).await;
    assert!(last.text.starts_with("Seen:") && last.text.contains("AAA") && last.text.contains("BBB"), "{}", last.text);
    let beyond = third.step("", call("c", "CCC"));
    assert_eq!(answer(&beyond).await.text, "The script is over after 3 steps.");
    let another = beyond.answer("Over.").user("script: [{\"text\": \"Again.\"}]");
    assert_eq!(answer(&another).await.text, "Again.");
}

#[tokio::test]
async fn an_error_comes_at_the_start_or_after_the_text() {
    let why = || "the demo's script says so".to_owned();
    check(json!([{"error": "overloaded"}]), &[Err(LlmError::Overloaded(why()))]).await;
    check(
        json!([{"text": "half an", "error": "overloaded"}]),
        &[Ok(text("half ")), Ok(text("an")), Err(LlmError::Overloaded(why()))],
    )
    .await;
    check(json!([{"text": "half", "error": "cut", "calls": [{"name": "ping"}]}]), &[Ok(text("half"))]).await;
    check(json!([{"error": "cut"}]), &[]).await;
    let limited = json!({"kind": "rate_limited", "message": "slower", "retry_after_ms": 1_500});
    let retry_after = Some(Duration::from_millis(1_500));
    check(json!([{"error": limited}]), &[Err(LlmError::RateLimited { message: "slower".to_owned(), retry_after })])
        .await;
    let kinds: HashMap<&str, fn(String) -> LlmError> = HashMap::from([
        ("authentication", LlmError::Authentication as fn(String) -> LlmError),
        ("quota", LlmError::Quota),
        ("bad_request", LlmError::BadRequest),
        ("context_too_long", LlmError::ContextTooLong),
        ("bad_response", LlmError::BadResponse),
        ("network", LlmError::Network),
        ("timeout", LlmError::Timeout),
        ("stream_cut", LlmError::Cut),
    ]);
    for (kind, error) in kinds {
        check(json!([{"error": kind}]), &[Err(error(why()))]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_may_be_slow_or_never_end() {
    let request = script(&json!([{"text": "a b", "delay_ms": 60_000, "error": "hang"}])).request(DemoProvider::MODEL);
    let started = Instant::now();
    let mut stream = quick().generate(request).await.expect("accepted");
    assert_eq!(stream.next().await, Some(Ok(text("a "))));
    assert_eq!(stream.next().await, Some(Ok(text("b"))));
    assert_eq!(started.elapsed().as_secs(), 120);
    assert!(stream.next().now_or_never().is_none());
    assert!(tokio::time::timeout(Duration::from_hours(24), stream.next()).await.is_err());
}

#[tokio::test]
async fn a_wrong_script_is_explained() {
    for (script, expected) in [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("5", "must be an array"),
        ("{\"step\": []}", "must be an array"),
        ("[{\"txt\": \"a\"}]", "unknown field `txt`"),
        ("[{\"stop\": \"cancelled\"}]", "unknown variant `cancelled`"),
        ("[{\"error\": \"oops\"}]", "Step 1 of the script cannot be played"),
        ("[]", "over after 0 steps"),
    ] {
        let said = answer(&asked(&format!("script: {script}"))).await;
        assert!(said.text.contains(expected), "{script}: {}", said.text);
    }
    let deep = format!("script: {}", "[".repeat(100_000));
    assert!(answer(&asked(&deep)).await.text.contains("no JSON"));
}
