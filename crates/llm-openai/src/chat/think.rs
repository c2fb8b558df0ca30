//! Reasoning that a model's template wraps in tags within the text, where the server has no parser for it.

/// The tags that are known, with their ends.
const TAGS: [(&str, &str); 9] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|think|>", "<|/think|>"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
];
/// What stands between the analysis and the answer of a gpt-oss template.
const FINAL: [&str; 2] = ["<|start|>assistant<|channel|>final<|message|>", "<|channel|>final<|message|>"];
/// The ends of which the template may have given the beginning itself.
const BARE_ENDS: [&str; 2] = ["</think>", "[/THINK]"];

/// As many characters as an opening tag of a bare end has at most.
const LONGEST_OPEN: usize = 8;

/// What a piece of text came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Reasoning(String),
    /// All text so far was reasoning: the template had opened the tag in the prompt.
    AllWasReasoning,
}

/// Takes the reasoning out of a text, however it is cut into pieces.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    state: State,
    /// What may be the beginning of a tag.
    held: String,
    /// How many marks of code stand in the text so far: a bare end within code is none.
    ticks: usize,
    /// The end of the text so far.
    tail: String,
    /// Whether nothing of the reasoning came yet.
    fresh: bool,
    /// Whether a tag was seen or named, so that an end is no bare one.
    tagged: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but blanks came.
    #[default]
    Start,
    /// Within the tags of this place in the list.
    Thinking(usize),
    Speaking,
}

impl Splitter {
    pub(super) fn push(&mut self, piece: &str, parts: &mut Vec<Part>) {
        self.held.push_str(piece);
        while self.step(parts) {}
    }

    /// The text is over: what was held back is what it looked like.
    pub(super) fn finish(&mut self, parts: &mut Vec<Part>) {
        let rest = std::mem::take(&mut self.held);
        if !rest.is_empty() {
            parts.push(if matches!(self.state, State::Thinking(_)) { Part::Reasoning(rest) } else { Part::Text(rest) });
        }
    }

    /// Whether there may be more to do.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        match self.state {
            State::Start => self.begin(parts),
            State::Thinking(at) => self.think(TAGS[at].1, parts),
            State::Speaking => self.speak(parts),
        }
    }

    fn begin(&mut self, parts: &mut Vec<Part>) -> bool {
        let text = self.held.trim_start();
        if let Some((at, (open, _))) = TAGS.iter().enumerate().find(|(_, (open, _))| text.starts_with(open)) {
            self.held = text[open.len()..].to_owned();
            (self.state, self.tagged, self.fresh) = (State::Thinking(at), true, true);
            return true;
        }
        if let Some(opened) = FINAL.iter().find(|tag| text.starts_with(**tag)) {
            self.held = text[opened.len()..].to_owned();
            self.state = State::Speaking;
            return true;
        }
        let may_begin = |tag: &str| tag.starts_with(text);
        if TAGS.iter().any(|(open, _)| may_begin(open)) || FINAL.iter().any(|tag| may_begin(tag)) {
            return false;
        }
        if self.tagged {
            // The blanks between the reasoning and the answer belong to neither.
            self.held = text.to_owned();
        }
        self.state = State::Speaking;
        self.speak(parts)
    }

    fn think(&mut self, end: &str, parts: &mut Vec<Part>) -> bool {
        if self.fresh {
            self.held = self.held.trim_start_matches('\n').to_owned();
            self.fresh = self.held.is_empty();
        }
        if let Some((thought, rest)) = self.held.split_once(end) {
            let (thought, rest) = (thought.to_owned(), rest.to_owned());
            reason(thought.trim_end_matches('\n').to_owned(), parts);
            self.held = rest;
            self.state = State::Start;
            return !self.held.is_empty();
        }
        let keep = held_back(&self.held, &[end]);
        let keep = keep + trailing_lines(&self.held[..self.held.len() - keep]);
        let thought = self.held.drain(..self.held.len() - keep).collect();
        reason(thought, parts);
        false
    }

    fn speak(&mut self, parts: &mut Vec<Part>) -> bool {
        if self.tagged {
            say(std::mem::take(&mut self.held), parts);
            return false;
        }
        let found = BARE_ENDS.iter().filter_map(|end| Some((self.held.find(end)?, *end))).min();
        let Some((at, end)) = found else {
            let keep = held_back(&self.held, &BARE_ENDS);
            let text: String = self.held.drain(..self.held.len() - keep).collect();
            self.note(&text);
            say(text, parts);
            return false;
        };
        let text: String = self.held.drain(..at + end.len()).collect();
        let before = &text[..at];
        self.note(before);
        if self.tagged || self.ticks % 2 == 1 {
            self.tagged = true;
            say(text, parts);
            return true;
        }
        say(before.to_owned(), parts);
        parts.push(Part::AllWasReasoning);
        (self.state, self.tagged) = (State::Start, true);
        !self.held.is_empty()
    }

    fn note(&mut self, text: &str) {
        self.ticks += text.matches('`').count();
        self.tail.push_str(text);
        self.tagged |= self.tail.contains("<think>") || self.tail.contains("[THINK]");
        let begins = self.tail.char_indices().rev().nth(LONGEST_OPEN).map_or(0, |(at, _)| at);
        self.tail.drain(..begins);
    }
}

fn say(text: String, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

fn reason(text: String, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Reasoning(text));
    }
}

/// How many bytes at the end of `text` may be the beginning of one of `tags`.
fn held_back(text: &str, tags: &[&str]) -> usize {
    let longest = |tag: &&str| {
        let ends = tag.char_indices().map(|(at, _)| at).skip(1);
        ends.filter(|end| text.ends_with(&tag[..*end])).max().unwrap_or(0)
    };
    tags.iter().map(longest).max().unwrap_or(0)
}

/// The line breaks before an end of a tag are none of the reasoning's.
fn trailing_lines(text: &str) -> usize {
    text.len() - text.trim_end_matches('\n').len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasoning and text of `whole`, which are the same however it is cut.
    #[track_caller]
    fn check(whole: &str, reasoning: &str, text: &str) {
        for size in 1..=whole.chars().count().max(1) {
            let chars: Vec<char> = whole.chars().collect();
            let (mut splitter, mut parts) = (Splitter::default(), Vec::new());
            for piece in chars.chunks(size) {
                splitter.push(&piece.iter().collect::<String>(), &mut parts);
            }
            splitter.finish(&mut parts);
            let (mut thought, mut said) = (String::new(), String::new());
            for part in parts {
                match part {
                    Part::Text(piece) => said.push_str(&piece),
                    Part::Reasoning(piece) => thought.push_str(&piece),
                    Part::AllWasReasoning => thought = std::mem::take(&mut said),
                }
            }
            assert_eq!((thought.as_str(), said.as_str()), (reasoning, text), "{whole:?} by {size}");
        }
    }

    #[test]
    fn leading_tags_are_reasoning() {
        check("<think>\nFirst this.\n</think>\n\nThe answer.", "First this.", "The answer.");
        check("  <thinking>a</thinking>b", "a", "b");
        check("[THINK]a[/THINK]b", "a", "b");
        check("◁think▷a◁/think▷b", "a", "b");
        check("<think></think>\n\nb", "", "b");
        check("<think>a</think>\n<think>b</think>c", "ab", "c");
        check("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "a", "b");
        check("<think>never ends <", "never ends <", "");
    }

    #[test]
    fn an_end_without_a_beginning_makes_all_before_it_reasoning() {
        check("Reason first.</think>42", "Reason first.", "42");
        check("a\n</think>\n\nb</think>c", "a\n", "b</think>c");
    }

    #[test]
    fn text_that_mentions_a_tag_stays() {
        for text in [
            "Use `<think>` and `</think>` for that.",
            "```\n</think>\n```",
            "I open <think> and close </think>.",
            "<thin ice> is no tag",
            "a < b",
            " <",
            "",
        ] {
            check(text, "", text);
        }
    }
}
