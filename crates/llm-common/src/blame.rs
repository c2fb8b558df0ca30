//! Which tool a vendor's refusal is about.

use crate::toolbox::WireTool;
use serde_json::Value;

/// The index of a tool that is named by its place, as in `tools[4]`, `tools.0.custom` or `function_declarations[2]`. Where tools
/// are `grouped`, only the last form counts.
pub(crate) fn index(words: &str, grouped: bool) -> Option<usize> {
    let lower = words.to_ascii_lowercase();
    let of = |list: &str| indices_after(&lower, list).next();
    let declared = of("function_declarations").or_else(|| of("functiondeclarations"));
    declared.or_else(|| of("tools").filter(|_| !grouped))
}

/// The numbers that stand behind `list`, with at least one bracket, point or the like between them.
fn indices_after<'a>(words: &'a str, list: &'a str) -> impl Iterator<Item = usize> + 'a {
    words.match_indices(list).filter_map(move |(at, _)| {
        let rest = words.get(at + list.len()..)?;
        let begins = rest.find(|c: char| !"[]().,'\"->/ `".contains(c)).filter(|gap| (1..=8).contains(gap))?;
        let (gap, rest) = rest.split_at(begins);
        if !gap.contains(['[', '.', ',', '/', '>']) || gap.starts_with(". ") {
            return None;
        }
        let ends = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..ends)?.parse().ok()
    })
}

/// How many tools are taken, where the words say that `count` are too many.
pub(crate) fn limit(words: &str, count: usize) -> Option<usize> {
    let lower = words.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let of_tools = has(&["tools", "functions", "function_declarations", "function declarations"]);
    let too_many = has(&["too many", "too long", "maximum", "at most", "no more than", "exceed", "more than", "limit"]);
    if !of_tools || !too_many || has(&["token", "per minute", "rate limit", "description", "name"]) {
        return None;
    }
    let numbers = lower.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<usize>().ok());
    numbers.filter(|number| (1..count).contains(number)).max().or_else(|| (count > 1).then_some(count / 2))
}

/// The tool whose name is in the words; the longest, where there are several.
pub(crate) fn name(words: &str, names: &[&str]) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let stands_alone = |name: &str| {
        words.match_indices(name).any(|(at, _)| {
            let before = words.get(..at).and_then(|before| before.chars().next_back());
            let after = words.get(at + name.len()..).and_then(|after| after.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
    };
    let found = names.iter().enumerate().filter(|(_, name)| !name.is_empty() && stands_alone(name));
    found.max_by_key(|(_, name)| name.len()).map(|(at, _)| at)
}

/// The one tool that has a property which the words name by its path, as in `properties.target` or `'properties', 'target'`.
pub(crate) fn property(words: &str, tools: &[WireTool]) -> Option<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-$".contains(c);
    let named: Vec<&str> = words
        .match_indices("properties")
        .filter_map(|(at, list)| {
            let rest = words.get(at + list.len()..)?;
            let begins = rest.find(is_name).filter(|gap| (1..=5).contains(gap))?;
            let rest = rest.get(begins..)?;
            rest.get(..rest.find(|c| !is_name(c)).unwrap_or(rest.len()))
        })
        .collect();
    let has = |tool: &WireTool| {
        let properties = tool.schema.get("properties").and_then(Value::as_object);
        named.iter().any(|name| properties.is_some_and(|all| all.contains_key(*name)))
    };
    let mut having = tools.iter().enumerate().filter(|(_, tool)| has(tool));
    let first = having.next().map(|(at, _)| at);
    first.filter(|_| having.next().is_none())
}

/// Whether a refusal is about the schema of some tool.
pub(crate) fn is_about_schemas(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let about = has(&[
        "schema",
        "function declaration",
        "function_declaration",
        "functiondeclaration",
        "grammar",
        "input_schema",
        "tools[",
        "tools.",
        "function parameters",
        "tool definition",
    ]);
    about && !has(&["response_format", "responseschema", "response_schema", "output_config.format", "text.format"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_its_place() {
        for (words, at) in [
            ("tools.0.custom.input_schema.properties: Property keys should match pattern", Some(0)),
            ("Invalid 'tools[12].function.name': string too long", Some(12)),
            ("Invalid schema. (tools[3].parameters)", Some(3)),
            ("body -> tools -> 7 -> function -> parameters: field required", Some(7)),
            ("[{'loc': ('body', 'tools', 2, 'function'), 'msg': 'bad'}]", Some(2)),
            ("Invalid 'tools': array too long. Expected an array with maximum length 128", None),
            ("There are no tools. 4 messages were sent", None),
            ("messages.3.content.0: text is required", None),
        ] {
            assert_eq!(index(words, false), at, "{words}");
        }
        let google =
            "* GenerateContentRequest.tools[0].function_declarations[4].parameters.properties[a].items: missing field.";
        assert_eq!(index(google, true), Some(4));
        assert_eq!(index("tools[0].function_declarations: too many", true), None);
    }

    #[test]
    fn a_tool_is_found_by_its_whole_name_alone() {
        let names = ["a__find", "a__find_all", "b__x"];
        assert_eq!(name("Invalid schema for function 'a__find_all': no", &names), Some(1));
        assert_eq!(name("Invalid schema for function 'a__find': no", &names), Some(0));
        assert_eq!(name("The function my_b__x_y is unknown", &names), None);
    }

    #[test]
    fn the_number_of_tools_that_are_taken_is_read() {
        let said = "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with \
            length 144 instead.";
        assert_eq!(limit(said, 144), Some(128));
        assert_eq!(limit("Too many tools", 9), Some(4));
        assert_eq!(limit("At most 64 function declarations are supported", 70), Some(64));
        assert_eq!(limit("The maximum is 4096 tokens with tools", 70), None);
        assert_eq!(limit("Too many tools", 1), None);
    }
}
