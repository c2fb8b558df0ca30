use super::*;
use crate::server::Reply;
use lockkeeper_ports::ModelInfo;
use serde_json::json;

async fn models(reply: Reply) -> Result<Vec<ModelInfo>, LlmError> {
    let server = Server::scripted([reply]).await;
    let config = Config { models_timeout_ms: 200, max_event_bytes: 100_000, ..config(&server, Api::Chat) };
    provider(config).models().await
}

#[tokio::test]
async fn models_come_from_the_servers_list() {
    let list = json!({"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a", "name": "The A"}, {"id": ""}, 3]});
    let model = |id: &str, display_name: &str| ModelInfo { id: id.to_owned(), display_name: display_name.to_owned() };
    assert_eq!(models(Reply::json(200, &list)).await, Ok(vec![model("b", "b"), model("a", "The A")]));
    assert_eq!(models(Reply::json(200, &json!({"data": []}))).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_list_that_fails_says_why() {
    let refused = models(Reply::json(401, &json!({"error": {"message": "Bad key sk-very-secret"}}))).await;
    assert_eq!(refused, Err(LlmError::Authentication("Bad key [key]".to_owned())));
    let silent = models(Reply::mute()).await;
    assert!(matches!(silent, Err(LlmError::Timeout(_))), "{silent:?}");
    let slow = models(Reply::new(200, "application/json", "{\"data\":").hang()).await;
    assert!(matches!(slow, Err(LlmError::Timeout(_))), "{slow:?}");
    for odd in [
        Reply::new(200, "application/json", "nonsense"),
        Reply::new(200, "text/html", "<html>"),
        Reply::json(200, &json!({"models": []})),
        Reply::new(200, "application/json", " ".repeat(200_000)),
    ] {
        let listed = models(odd).await;
        assert!(matches!(listed, Err(LlmError::BadResponse(_))), "{listed:?}");
    }
}
