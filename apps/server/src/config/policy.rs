//! The gate's rules: those of the configuration, and those of a file of their own, in force together.

use super::{
    Loaded,
    load::remove,
    problem::{Kind, Origin, Problem},
    toml_file, wrong_value,
};
use figment::{
    error::Kind as FigmentKind,
    value::{Dict, Value},
};
use lockkeeper_domain::{Policy, Rule};
use std::path::{Path, PathBuf};

/// What a file of rules may hold.
const KEYS: &[&str] = &["version", "rules"];
/// The version of such a file that is known.
const VERSION: i128 = 1;

/// The rules, and everything that is wrong with them. They are whole only where nothing is.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) problems: Vec<Problem>,
}

/// The rules that a configuration names.
pub(crate) fn rules(loaded: &Loaded) -> Rules {
    let Rules { policy: own, mut problems } = own_rules(loaded);
    let Some(file) = &loaded.config.policy.file else { return Rules { policy: own, problems } };
    match read(&loaded.dir.join(file), file) {
        Ok(rules) => Rules { policy: own.with_file(name_of(file), rules), problems },
        Err(found) => {
            problems.extend(found);
            Rules { policy: own, problems }
        }
    }
}

/// Those that it holds itself.
pub(crate) fn own_rules(loaded: &Loaded) -> Rules {
    let own = loaded.config.policy.rules.clone();
    let problems: Vec<Problem> = own
        .problems()
        .into_iter()
        .map(|(place, what)| {
            bad_rule(&format!("policy.rules.{place}"), loaded.origin(&format!("policy.rules.{place}")), what)
        })
        .filter(|problem| !loaded.is_bad(&problem.key))
        .collect();
    Rules { policy: own, problems }
}

/// The file that rules are read from besides the configuration.
pub(crate) fn file_of(loaded: &Loaded) -> Option<PathBuf> {
    loaded.config.policy.file.as_ref().map(|file| loaded.dir.join(file))
}

/// What people are told of a file: its name, without where it lies.
pub(crate) fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// The rules of a file, or everything that is wrong with it. `shown` is how the path is told to people.
pub(crate) fn read(path: &Path, shown: &Path) -> Result<Vec<Rule>, Vec<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let origin = Origin::File { path: shown.to_owned(), place: None };
        let (what, fix) =
            (format!("the file cannot be read: {error}"), "name a file of rules that can be read".to_owned());
        vec![Problem { kind: Kind::Unreadable, key: "policy.file".to_owned(), origin, what, fix }]
    })?;
    parse(&text, shown)
}

/// The rules in a file's text.
fn parse(text: &str, shown: &Path) -> Result<Vec<Rule>, Vec<Problem>> {
    let layer = toml_file::parse(text, shown)?;
    let whole = Origin::File { path: shown.to_owned(), place: None };
    let mut reader =
        Reader { origin: |path: &str| layer.origin(path).unwrap_or_else(|| whole.clone()), problems: Vec::new() };
    let rules = reader.file(layer.dict());
    let problems = reader.problems;
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

struct Reader<F> {
    origin: F,
    problems: Vec<Problem>,
}

impl<F: Fn(&str) -> Origin> Reader<F> {
    fn file(&mut self, file: &Dict) -> Vec<Rule> {
        for key in file.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            self.wrong(key, &FigmentKind::UnknownField(key.clone(), KEYS));
        }
        if let Some(version) = file.get("version")
            && version.to_i128() != Some(VERSION)
        {
            let (what, fix) = (format!("this program knows version {VERSION} of such a file"), "remove it".to_owned());
            let origin = (self.origin)("version");
            self.problems.push(Problem { kind: Kind::Unsupported, key: "version".to_owned(), origin, what, fix });
        }
        let rules = match file.get("rules") {
            None => return Vec::new(),
            Some(Value::Array(_, rules)) => rules,
            Some(other) => {
                self.wrong("rules", &FigmentKind::InvalidType(other.to_actual(), "an array".to_owned()));
                return Vec::new();
            }
        };
        let read = rules.iter().enumerate().filter_map(|(place, rule)| self.rule(place, rule)).collect();
        let policy = Policy::new(read);
        // Where a rule could not be read, places are not what they are in the file.
        if self.problems.is_empty() {
            for (place, what) in policy.problems() {
                let key = format!("rules.{place}");
                self.problems.push(bad_rule(&key, (self.origin)(&key), what));
            }
        }
        policy.rules().to_vec()
    }

    /// A rule, where nothing is wrong with it. serde stops at the first error: each bad value is told and taken out.
    fn rule(&mut self, place: usize, rule: &Value) -> Option<Rule> {
        let (mut rest, before) = (rule.clone(), self.problems.len());
        loop {
            let error = match rest.deserialize::<Rule>() {
                Ok(rule) => return (self.problems.len() == before).then_some(rule),
                Err(error) => error,
            };
            let mut at = error.path.clone();
            if let FigmentKind::UnknownField(name, _) = &error.kind
                && at.last() != Some(name)
            {
                at.push(name.clone());
            }
            let path = [vec!["rules".to_owned(), place.to_string()], at.clone()].concat().join(".");
            self.wrong(&path, &error.kind);
            if !remove(&mut rest, &at) {
                return None;
            }
        }
    }

    fn wrong(&mut self, path: &str, kind: &FigmentKind) {
        let origin = (self.origin)(path);
        self.problems.push(wrong_value::problem(path, origin, kind));
    }
}

fn bad_rule(key: &str, origin: Origin, what: String) -> Problem {
    Problem { kind: Kind::BadValue, key: key.to_owned(), origin, what, fix: "change the rule".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::DecisionRule;

    fn lines(text: &str) -> Vec<(Option<usize>, Kind, String)> {
        let line = |problem: Problem| match problem.origin {
            Origin::File { place, .. } => (place.map(|place| place.line), problem.kind, problem.key),
            other => panic!("{other} is no place in the file"),
        };
        parse(text, Path::new("p.toml"))
            .map(drop)
            .map_or_else(|found| found.into_iter().map(line).collect(), |()| Vec::new())
    }

    #[test]
    fn a_file_of_rules_is_read() {
        let text = "version = 1\n[[rules]]\ntool = 'a'\nargs.path.within = 'x'\ndecision = 'deny'\n[[rules]]\ndecision = 'ask'\n";
        let rules = parse(text, Path::new("p.toml")).expect("rules");
        assert_eq!(rules.iter().map(|rule| rule.decision).collect::<Vec<_>>(), [DecisionRule::Deny, DecisionRule::Ask]);
        assert_eq!(parse("", Path::new("p.toml")), Ok(Vec::new()));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_its_line() {
        let text =
            "version = 2\nrule = 1\n[[rules]]\ntol = 'a'\nserver = 7\ndecision = 'maybe'\n[[rules]]\ntool = 'b'\n";
        let found = lines(text);
        let expected = [
            (Some(2), Kind::UnknownKey, "rule"),
            (Some(1), Kind::Unsupported, "version"),
            (Some(4), Kind::UnknownKey, "rules.0.tol"),
            (Some(5), Kind::WrongType, "rules.0.server"),
            (Some(6), Kind::BadValue, "rules.0.decision"),
            (Some(7), Kind::Missing, "rules.1"),
        ];
        for (line, kind, key) in expected {
            assert!(found.contains(&(line, kind, key.to_owned())), "{key} at {line:?} is not told: {found:?}");
        }
        assert_eq!(
            lines("[[rules]]\nhints.read_only = true\ndecision = 'allow'"),
            [(Some(1), Kind::BadValue, "rules.0".to_owned())]
        );
        assert_eq!(lines("rules = 3"), [(Some(1), Kind::WrongType, "rules".to_owned())]);
        assert_eq!(lines("[[rules]"), [(Some(1), Kind::Syntax, String::new())]);
    }
}
