//! The links of Markdown pages.

use std::{collections::BTreeMap, fs, path::Path};

/// A link that leads nowhere, as `PAGE:LINE: what is wrong`.
pub type Broken = String;

/// The links of `page`, a path below `root`, that lead to no file of the repository or to no heading of one. Links into the web are
/// left alone.
pub fn broken_links(root: &Path, page: &Path) -> std::io::Result<Vec<Broken>> {
    let text = fs::read_to_string(root.join(page))?;
    let folder = page.parent().unwrap_or(Path::new(""));
    let mut broken = Vec::new();
    for (line, target) in links(&text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) =
            target.split_once('#').map_or((target.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let file = if path.is_empty() { root.join(page) } else { root.join(folder).join(path) };
        let at = format!("{}:{line}", page.display());
        if !file.exists() {
            broken.push(format!("{at}: {path} is not there"));
        } else if let Some(anchor) = anchor.filter(|_| file.extension().is_some_and(|extension| extension == "md"))
            && !anchors(&fs::read_to_string(&file)?).contains(&anchor.to_owned())
        {
            broken.push(format!("{at}: {} has no heading #{anchor}", file.display()));
        }
    }
    Ok(broken)
}

/// The targets of all links outside of code, with their lines from 1.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in outside_of_code(text) {
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, after)) = after.split_once(')') else { break };
            found.push((line, target.to_owned()));
            rest = after;
        }
    }
    found
}

/// The anchors of all headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = outside_of_code(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    let slug = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    headings
        .map(|(_, heading)| {
            let slug = slug(&heading);
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

/// The lines that no code block holds, with their numbers from 1.
fn outside_of_code(text: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.map(|(number, line)| (number, line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_headings_are_found_outside_of_code() {
        let text = "# A `b.c`, or d?\n[x](y.md#z) and [u](v)\n```md\n[no](no)\n# no\n```\n## Twice\n## Twice\n";
        assert_eq!(links(text), [(2, "y.md#z".to_owned()), (2, "v".to_owned())]);
        assert_eq!(anchors(text), ["a-bc-or-d", "twice", "twice-1"]);
    }

    #[test]
    fn what_leads_nowhere_is_told_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(
            folder.path().join("a.md"),
            "# Here\n[1](#here) [2](#there)\n[3](b.md) [4](https://example.org) [5](a.md#here)\n",
        )
        .expect("written");
        let broken = broken_links(folder.path(), Path::new("a.md")).expect("read");
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(broken[0].starts_with("a.md:2: ") && broken[0].ends_with("#there"), "{broken:?}");
        assert_eq!(broken[1], "a.md:3: b.md is not there");
    }
}
