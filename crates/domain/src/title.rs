use crate::InvalidId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a session is called in lists: the first words of its first message, until somebody renames it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct SessionTitle(String);

impl SessionTitle {
    /// The longest title, in characters.
    pub const MAX_CHARS: usize = 120;
    /// The most that a message gives to a title, in characters.
    const MAX_WORDS_CHARS: usize = 60;

    /// A title as somebody writes it: 1 to [`MAX_CHARS`](Self::MAX_CHARS) characters in one line, without the space around it.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let title = text.trim();
        let fits = (1..=Self::MAX_CHARS).contains(&title.chars().count()) && !title.chars().any(char::is_control);
        let rule = "1 to 120 characters without control characters";
        if fits { Ok(Self(title.to_owned())) } else { Err(InvalidId { kind: "a title", rule }) }
    }

    /// The first words of a message, as many as fit. `None` where it has none, as one of pictures alone.
    pub fn of_message(text: &str) -> Option<Self> {
        let mut title = String::new();
        let mut chars = 0;
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
            let more = word.chars().count() + usize::from(chars > 0);
            if chars + more > Self::MAX_WORDS_CHARS {
                if chars == 0 {
                    title.extend(word.chars().take(Self::MAX_WORDS_CHARS - 1));
                }
                title.push('…');
                break;
            }
            if chars > 0 {
                title.push(' ');
            }
            title.push_str(word);
            chars += more;
        }
        (!title.is_empty()).then_some(Self(title))
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SessionTitle {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<SessionTitle> for String {
    fn from(title: SessionTitle) -> Self {
        title.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        SessionTitle::of_message(text).map(String::from)
    }

    #[test]
    fn the_first_words_of_a_message_are_its_title() {
        assert_eq!(of("  What is\n\tin this\u{7} folder? ").as_deref(), Some("What is in this folder?"));
        let long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
        assert_eq!(of(long).as_deref(), Some("one two three four five six seven eight nine ten eleven…"));
        let word = "ä".repeat(1_000);
        assert_eq!(of(&word).map(|title| title.chars().count()), Some(60));
        assert_eq!(of(" \n"), None);
    }

    #[test]
    fn a_title_of_a_message_can_be_read_back() {
        for text in ["a", &"x".repeat(500), &"wörter und ".repeat(30)] {
            let title = SessionTitle::of_message(text).expect("words");
            assert_eq!(SessionTitle::parse(title.as_str()), Ok(title));
        }
    }

    #[test]
    fn a_title_is_one_line_that_is_not_too_long() {
        assert_eq!(SessionTitle::parse("  my session ").map(String::from).as_deref(), Ok("my session"));
        for bad in ["", " ", "a\nb", "a\u{1b}[31m", &"x".repeat(121)] {
            assert!(SessionTitle::parse(bad).is_err(), "{bad:?}");
        }
    }
}
