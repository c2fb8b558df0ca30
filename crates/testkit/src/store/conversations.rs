//! `ConversationRepository`, and how commits change it.

use super::material::{Store, at, driven, messages, said};
use lockkeeper_domain::{
    AssistantMessage, CallId, CallResult, Message, ServerName, ToolCall, ToolName, ToolResult, TurnId,
};
use lockkeeper_ports::HistoryChange::{Clear, Slide};
use serde_json::json;

/// See the name.
pub async fn a_history_grows_at_its_end(store: Store) {
    let mut driver = driven(&store).await;
    assert!(store.history(&driver.id).await.unwrap().is_empty());
    for last in [1, 2, 5] {
        let known = store.history(&driver.id).await.unwrap().len() as u64;
        driver.tell(Slide { append: messages(known + 1..=last), drop_front: 0 }).await;
        assert_eq!(store.history(&driver.id).await.unwrap(), messages(1..=last));
    }
}

/// See the name.
pub async fn a_history_shrinks_at_its_front(store: Store) {
    let mut driver = driven(&store).await;
    driver.tell(Slide { append: messages(1..=5), drop_front: 0 }).await;
    driver.tell(Slide { append: vec![], drop_front: 2 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(3..=5));
    driver.tell(Slide { append: messages(6..=7), drop_front: 1 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(4..=7));
    driver.tell(Slide { append: vec![], drop_front: 0 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(4..=7));
}

/// See the name.
pub async fn what_goes_is_counted_after_the_append(store: Store) {
    let mut driver = driven(&store).await;
    driver.tell(Slide { append: messages(1..=2), drop_front: 0 }).await;
    driver.tell(Slide { append: messages(3..=6), drop_front: 5 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(6..=6));
    driver.tell(Slide { append: messages(7..=8), drop_front: 3 }).await;
    assert!(store.history(&driver.id).await.unwrap().is_empty());
    driver.tell(Slide { append: messages(9..=9), drop_front: 100 }).await;
    assert!(store.history(&driver.id).await.unwrap().is_empty());
    driver.tell(Slide { append: messages(1..=1), drop_front: 0 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(1..=1));
}

/// See the name.
pub async fn a_cleared_history_is_empty_and_begins_anew(store: Store) {
    let mut driver = driven(&store).await;
    driver.tell(Clear).await;
    driver.tell(Slide { append: messages(1..=5), drop_front: 1 }).await;
    let events = driver.write(1).await;
    driver.tell(Clear).await;
    assert!(store.history(&driver.id).await.unwrap().is_empty());
    assert_eq!(driver.stored().await.events, events);
    driver.tell(Slide { append: messages(8..=9), drop_front: 1 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(9..=9));
}

/// See the name.
pub async fn a_window_slides_for_long(store: Store) {
    const WINDOW: u64 = 50;
    let mut driver = driven(&store).await;
    for number in 1..=130 {
        let drop_front = usize::from(number > WINDOW);
        driver.tell(Slide { append: messages(number..=number), drop_front }).await;
    }
    assert_eq!(store.history(&driver.id).await.unwrap(), messages(81..=130));
}

/// See the name.
pub async fn every_kind_of_message_comes_back_as_it_was(store: Store) {
    let (turn, at, name) = (TurnId::new(1), at(1), ToolName::as_written("workspace__read_file"));
    let call = ToolCall {
        id: CallId::minted(turn, 0, 0),
        provider_id: Some("toolu_1".to_owned()),
        name: name.clone(),
        server: Some(ServerName::new("workspace")),
        tool: "read_file".to_owned(),
        args: json!({"z": 1, "a": {"nested": [true, null, "ü"]}}),
    };
    let results = vec![CallResult { call: call.id.clone(), name, result: ToolResult::succeeded(vec![]) }];
    let message = AssistantMessage { text: "one".to_owned(), calls: vec![call], ..AssistantMessage::default() };
    let all = vec![said(1, "hello"), Message::Assistant { turn, at, message }, Message::Tool { turn, at, results }];
    let mut driver = driven(&store).await;
    driver.tell(Slide { append: all.clone(), drop_front: 0 }).await;
    assert_eq!(store.history(&driver.id).await.unwrap(), all);
}
