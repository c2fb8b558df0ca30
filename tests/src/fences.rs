/// A fenced code block of a Markdown file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The language, the first word after the backticks.
    pub language: String,
    /// The other words after them: what the block is for.
    pub marks: Vec<String>,
    /// Its text.
    pub text: String,
    /// The line of its first line of text, from 1.
    pub line: usize,
}

/// The fenced code blocks of a Markdown text, in order.
pub fn fences(markdown: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(_), Some(fence)) => found.push(fence),
            (Some(header), None) => {
                let mut words = header.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                open = Some(Fence { language, marks: words.collect(), text: String::new(), line: index + 2 });
            }
            (None, Some(mut fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
                open = Some(fence);
            }
            (None, None) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_with_its_language_and_its_marks() {
        let found = fences("text\n```sh run\na\nb\n```\nmore\n```\nplain\n```\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].language.as_str(), found[0].text.as_str(), found[0].line), ("sh", "a\nb\n", 3));
        assert_eq!(found[0].marks, ["run"]);
        assert_eq!((found[1].language.as_str(), found[1].text.as_str()), ("", "plain\n"));
    }
}
