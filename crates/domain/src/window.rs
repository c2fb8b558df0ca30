use crate::Message;

/// How much of a history is kept and shown to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// At most so many messages.
    pub max_messages: usize,
    /// At most about so many tokens, by [`Message::estimated_tokens`].
    pub max_tokens: usize,
}

impl HistoryLimits {
    /// The most messages that a history may keep, by the specification.
    pub const MAX_MESSAGES: usize = 50;
}

impl Default for HistoryLimits {
    /// 50 messages, and 100,000 tokens.
    fn default() -> Self {
        Self { max_messages: Self::MAX_MESSAGES, max_tokens: 100_000 }
    }
}

/// The end of a history that fits its limits.
///
/// - It begins with a user's message where one of those that fit is one; else with an assistant's.
/// - It never begins between calls and their results.
/// - The newest step is in it even if that alone is over the token limit; the provider then has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    start: usize,
}

impl Window {
    /// The window over `messages`.
    pub fn over(messages: &[Message], limits: HistoryLimits) -> Self {
        let mut start = messages.len();
        let mut tokens = 0_usize;
        let mut oldest_user = None;
        let mut oldest_fit = messages.len();
        while start > 0 {
            // A step's results and the calls before them go in together or not at all.
            let unit = if start >= 2 && messages[start - 2].awaits_results() { 2 } else { 1 };
            let next = start - unit;
            let cost: usize = messages[next..start].iter().map(Message::estimated_tokens).sum();
            let is_newest = start == messages.len();
            let fits = messages.len() - next <= limits.max_messages && tokens.saturating_add(cost) <= limits.max_tokens;
            if !fits && !is_newest {
                break;
            }
            start = next;
            tokens = tokens.saturating_add(cost);
            oldest_fit = start;
            if matches!(messages[start], Message::User { .. }) {
                oldest_user = Some(start);
            }
        }
        Self { start: oldest_user.unwrap_or(oldest_fit) }
    }

    /// How many messages are too old for the window.
    pub fn dropped(self) -> usize {
        self.start
    }

    /// The messages in the window.
    pub fn of(self, messages: &[Message]) -> &[Message] {
        &messages[self.start.min(messages.len())..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AssistantMessage, CallId, CallResult, Content, PrincipalId, Timestamp, ToolCall, ToolName, ToolResult, TurnId,
        UserMessage,
    };
    use proptest::prelude::*;
    use serde_json::json;

    const AT: Timestamp = Timestamp::from_millis(0);

    fn user(turn: u64, text: &str) -> Message {
        let by = PrincipalId::parse("p").expect("id");
        let message = UserMessage { text: text.to_owned(), attachments: vec![], client_message_id: None, by };
        Message::User { turn: TurnId::new(turn), at: AT, message }
    }

    fn answer(turn: u64, text: &str) -> Message {
        let message = AssistantMessage { text: text.to_owned(), ..AssistantMessage::default() };
        Message::Assistant { turn: TurnId::new(turn), at: AT, message }
    }

    fn step(turn: u64, step: u32, calls: usize, text: &str) -> [Message; 2] {
        let turn = TurnId::new(turn);
        let name = ToolName::as_written("t");
        let ids: Vec<CallId> = (0..calls).map(|i| CallId::minted(turn, step, i)).collect();
        let call = |id: &CallId| ToolCall {
            id: id.clone(),
            provider_id: None,
            name: name.clone(),
            server: None,
            tool: "t".to_owned(),
            args: json!({}),
        };
        let result = |id: &CallId| CallResult {
            call: id.clone(),
            name: name.clone(),
            result: ToolResult::succeeded(vec![Content::text(text)]),
        };
        let message = AssistantMessage { calls: ids.iter().map(call).collect(), ..AssistantMessage::default() };
        let results = ids.iter().map(result).collect();
        [Message::Assistant { turn, at: AT, message }, Message::Tool { turn, at: AT, results }]
    }

    prop_compose! {
        fn a_turn()(steps in 0_u32..30, calls in 1_usize..4, size in 0_usize..200, answered: bool)
            -> (u32, usize, usize, bool) { (steps, calls, size, answered) }
    }

    fn history(turns: &[(u32, usize, usize, bool)]) -> Vec<Message> {
        let mut all = Vec::new();
        for (turn, (steps, calls, size, answered)) in (1..).zip(turns) {
            let text = "x".repeat(*size);
            all.push(user(turn, &text));
            (0..*steps).for_each(|s| all.extend(step(turn, s, *calls, &text)));
            if *answered {
                all.push(answer(turn, &text));
            }
        }
        all
    }

    proptest! {
        #[test]
        fn the_window_is_a_valid_end_of_the_history_within_its_limits(
            turns in prop::collection::vec(a_turn(), 0..12),
            max_messages in 2_usize..60,
            max_tokens in 0_usize..4_000,
        ) {
            let all = history(&turns);
            let limits = HistoryLimits { max_messages, max_tokens };
            let window = Window::over(&all, limits);
            let shown = window.of(&all);
            prop_assert_eq!(window.dropped() + shown.len(), all.len());
            prop_assert!(shown.len() <= max_messages);
            prop_assert_eq!(shown.is_empty(), all.is_empty());
            if let Some(first) = shown.first() {
                prop_assert!(!matches!(first, Message::Tool { .. }), "cut between calls and results");
                let is_question = |message: &Message| matches!(message, Message::User { .. });
                prop_assert!(is_question(first) || !shown.iter().any(is_question));
            }
            let tokens: usize = shown.iter().map(Message::estimated_tokens).sum();
            let newest = if shown.len() >= 2 && shown[shown.len() - 2].awaits_results() { 2 } else { 1 };
            prop_assert!(tokens <= max_tokens || shown.len() <= newest);
            // Sliding twice is sliding once: a trimmed history shows the same window.
            prop_assert_eq!(Window::over(shown, limits).of(shown), shown);
        }
    }

    #[test]
    fn a_long_turn_keeps_whole_steps() {
        let mut all = vec![user(1, "go")];
        (0..40).for_each(|s| all.extend(step(1, s, 2, "ok")));
        let window = Window::over(&all, HistoryLimits::default());
        assert_eq!(window.of(&all).len(), 50);
        assert!(window.of(&all)[0].awaits_results());
    }

    #[test]
    fn a_history_begins_with_a_question_where_one_fits() {
        let mut all = Vec::new();
        for turn in 1..=40 {
            all.extend([user(turn, "q"), answer(turn, "a")]);
        }
        all.push(user(41, "q"));
        let window = Window::over(&all, HistoryLimits::default());
        assert_eq!(window.of(&all).len(), 49);
        assert_eq!(window.of(&all)[0].turn(), TurnId::new(17));
    }
}
