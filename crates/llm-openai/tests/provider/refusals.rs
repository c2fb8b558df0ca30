//! One tool, one picture or one field that the server refuses does not take the conversation.

use super::*;
use crate::server::Reply;
use lockkeeper_domain::Attachment;
use lockkeeper_ports::Notice;
use lockkeeper_testkit::llm::history::tool;
use serde_json::{Value, json};

fn refusal(status: u16, error: &Value) -> Reply {
    Reply::json(status, &json!({"error": error}))
}

fn names(body: &Value) -> Vec<String> {
    let of =
        |tool: &Value| tool.pointer("/function/name").or(tool.get("name")).and_then(Value::as_str).map(str::to_owned);
    body["tools"].as_array().into_iter().flatten().filter_map(of).collect()
}

fn notices(events: &[ModelEvent]) -> Vec<&Notice> {
    events.iter().filter_map(|event| if let ModelEvent::Notice(notice) = event { Some(notice) } else { None }).collect()
}

fn three_tools() -> History {
    let properties = json!({"a": {"type": "string"}});
    let add = |history: History, name: &&str| history.with_tool(tool("box", name, &properties));
    ["fine", "odd", "other"].iter().fold(History::asked("Hello?"), add)
}

#[tokio::test]
async fn a_named_tool_is_left_out_in_the_same_step_and_from_then_on() {
    for (api, by_place) in [(Api::Responses, true), (Api::Chat, false)] {
        let server = Server::answering(move |request| match names(&request.body).iter().position(|name| name == "box__odd") {
            Some(at) if by_place => refusal(
                400,
                &json!({"message": "Invalid schema", "param": format!("tools[{at}].parameters"), "code": "invalid_function_parameters"}),
            ),
            Some(_) => refusal(400, &json!({"message": "Invalid schema for function 'box__odd': it is odd"})),
            None => Reply::stream(whole(api)),
        })
        .await;
        let provider = provider(config(&server, api));
        for requests in [2, 3] {
            let (events, error) = listen(&provider, three_tools().request("m-1")).await;
            assert_eq!(error, None);
            let told = notices(&events);
            assert!(matches!(told.as_slice(), [Notice::ToolsLeftOut { tools, .. }] if tools[0].as_str() == "box__odd"));
            assert_eq!(server.requests().len(), requests);
        }
        assert_eq!(names(&server.requests()[2].body), ["box__fine", "box__other"]);
    }
}

#[tokio::test]
async fn no_more_tools_are_offered_than_are_taken() {
    let server = Server::scripted([Reply::stream(CHAT)]).await;
    let all = (0..130).fold(History::asked("Hello?"), |history, n| {
        history.with_tool(tool(if n % 2 == 0 { "a" } else { "b" }, &format!("t{n}"), &json!({})))
    });
    let (events, _) = listen(&provider(config(&server, Api::Chat)), all.request("m-1")).await;
    assert_eq!(names(&server.requests()[0].body).len(), 128);
    let told = notices(&events);
    let [Notice::ToolsLeftOut { tools, reason }] = told.as_slice() else { panic!("one notice: {told:?}") };
    assert_eq!(tools.len(), 2);
    assert!(reason.contains("llm.openai.tools.max"), "{reason}");
}

#[tokio::test]
async fn a_picture_that_is_refused_is_not_sent_again() {
    let png = "iVBORw0KGgoAAAANSUhEUg==";
    let server = Server::answering(move |request| {
        if request.body.to_string().contains(png) {
            refusal(400, &json!({"message": "You uploaded an unsupported image.", "code": "image_parse_error"}))
        } else {
            Reply::stream(CHAT)
        }
    })
    .await;
    let file = Attachment { name: None, mime_type: "image/png".to_owned(), data: png.to_owned() };
    let history = History::asked("").user_with("What is this?", [file]).answer("A dot.").user("Sure?");
    let provider = provider(config(&server, Api::Chat));
    for requests in [2, 3] {
        let (_, error) = listen(&provider, history.request("m-1")).await;
        assert_eq!((error, server.requests().len()), (None, requests));
    }
}

#[tokio::test]
async fn an_effort_that_is_refused_is_told_and_not_asked_for_again() {
    let server = Server::answering(|request| {
        if request.body.to_string().contains("\"effort\"") {
            let message = "Unsupported value: 'none' is not supported with this model.";
            refusal(400, &json!({"message": message, "param": "reasoning.effort", "code": "unsupported_value"}))
        } else {
            Reply::stream(RESPONSES)
        }
    })
    .await;
    let config = Config { reasoning_effort: Some("none".to_owned()), ..config(&server, Api::Responses) };
    let provider = provider(config);
    for requests in [2, 3] {
        let (events, error) = listen(&provider, question()).await;
        assert_eq!((error, server.requests().len()), (None, requests));
        assert!(
            matches!(notices(&events).as_slice(), [Notice::Adjusted { text }] if text.contains("none")),
            "{events:?}"
        );
    }
    assert_eq!(server.requests()[2].body["reasoning"]["summary"], "auto", "the summary stays");
}

#[tokio::test]
async fn a_block_by_policy_and_spent_money_are_told_and_not_tried_again() {
    let explained = json!({
        "message": "Blocked.",
        "code": "misalignment_policy_violation",
        "misalignment": {"detailed_explanation": "It would delete files.", "steer": {"message": "Ask the user."}},
    });
    let failed = json!({"type": "response.failed", "response": {"status": "failed", "error": explained}});
    for reply in [refusal(403, &explained), Reply::stream(format!("data: {failed}\n\n"))] {
        let server = Server::scripted([reply]).await;
        let error = ask(&provider(config(&server, Api::Responses))).await.expect_err("blocked");
        let LlmError::Policy(words) = &error else { panic!("a block: {error:?}") };
        assert!(words.contains("It would delete files.") && words.contains("Ask the user."), "{words}");
    }
    for code in ["project_spend_limit_exceeded", "credit_balance_exhausted", "organization_usage_limit_exceeded"] {
        let server = Server::scripted([refusal(429, &json!({"message": "A limit.", "code": code}))]).await;
        let error = ask(&provider(config(&server, Api::Responses))).await.expect_err("spent");
        assert!(matches!(error, LlmError::Quota(_)), "{code}: {error:?}");
    }
    let program = json!({"message": "Your organization lacks the access program.", "param": "access_programs.x",
        "type": "invalid_request_error", "code": "access_program_required"});
    let server = Server::scripted([refusal(403, &program)]).await;
    let error = ask(&provider(config(&server, Api::Responses))).await.expect_err("refused");
    assert!(matches!(error, LlmError::BadRequest(_)), "{error:?}");
}

#[tokio::test]
async fn ids_of_calls_become_as_short_as_mistral_wants_them() {
    let server = Server::answering(|request| {
        let long = request.body["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|message| message["tool_call_id"].as_str().is_some_and(|id| id.len() != 9));
        if long {
            refusal(400, &json!({"message": "Tool call id was call_0 but must be a-z, A-Z, 0-9, with a length of 9."}))
        } else {
            Reply::stream(CHAT)
        }
    })
    .await;
    let result = lockkeeper_domain::ToolResult::succeeded(Vec::new());
    let history = History::asked("Hello?").step("I look.", [("box__fine", json!({}), result)]);
    let provider = provider(config(&server, Api::Chat));
    let (_, error) = listen(&provider, history.request("m-1")).await;
    assert_eq!((error, server.requests().len()), (None, 2));
    let messages = &server.requests()[1].body["messages"];
    assert_eq!(messages[1]["tool_calls"][0]["id"], messages[2]["tool_call_id"]);
}

/// What a body of another type than it claims comes to.
#[tokio::test]
async fn the_content_of_a_body_counts_and_not_its_type() {
    let line = r#"{"choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]}"#;
    for (kind, body) in [
        ("application/json", CHAT.to_owned()),
        ("text/html", CHAT.to_owned()),
        ("text/plain", line.replace("delta", "message")),
        ("application/x-ndjson", format!("{line}\n")),
        ("text/event-stream", format!("data:{line}\n\n")),
    ] {
        let server = Server::scripted([Reply::new(200, kind, body.clone())]).await;
        assert_eq!(ask(&provider(config(&server, Api::Chat))).await, Ok("Hello".to_owned()), "{kind}: {body}");
    }
    for (kind, body) in [
        ("text/event-stream", r#"{"error":{"message":"upstream is down","code":404}}"#),
        ("application/json", r#"{"detail":"upstream is down"}"#),
        ("text/event-stream", "data: [ERROR] upstream is down\n\n"),
        ("text/plain", "upstream is down"),
    ] {
        let server = Server::scripted([Reply::new(200, kind, body)]).await;
        let config = Config { max_attempts: 1, ..config(&server, Api::Chat) };
        let error = ask(&provider(config)).await.expect_err("no answer").to_string();
        assert!(error.contains("upstream is down"), "{body}: {error}");
    }
}
