//! What a user's message asks for.

use crate::{
    action::{Action, after_together, first_action, skip_joins},
    phrase::{after, number, words},
};

/// The most calls, steps and words that a message can ask for.
const MAX_CALLS: usize = 200;
const MAX_STEPS: usize = 1_000;
const MAX_WORDS: usize = 50_000;
const DEFAULT_STEPS: usize = 3;
const DEFAULT_CALLS: usize = 3;
const DEFAULT_WORDS: usize = 400;

/// What a message asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Intent<'a> {
    Script(&'a str),
    Plan(Plan),
    Story { words: usize },
    Think,
    Attachments,
    Help,
}

/// Steps, each with the actions that it takes at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) steps: Vec<Vec<Action>>,
}

/// Where a plan comes from, which decides the words around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Asked,
    Project,
    Chain,
    Failure,
}

impl<'a> Intent<'a> {
    /// What `text` asks for, where `attached` says whether files came with it.
    pub(crate) fn of(text: &'a str, attached: bool) -> Self {
        let text = text.trim();
        if let Some(script) = after(text, "script").and_then(|rest| rest.strip_prefix(':')) {
            return Self::Script(script.trim());
        }
        if let Some(steps) = asked_steps(text) {
            return Self::Plan(Plan { kind: Kind::Asked, steps });
        }
        let words = words(text);
        let says = |any: &[&str]| words.iter().any(|w| any.contains(&w.as_str()));
        let begins = |any: &[&str]| words.iter().any(|w| any.iter().any(|start| w.starts_with(start)));
        if says(&["project", "build"]) {
            Self::Plan(project())
        } else if says(&["steps", "step"]) {
            Self::Plan(chain(count_of(&words, &["steps", "step"]).unwrap_or(DEFAULT_STEPS).clamp(1, MAX_STEPS)))
        } else if says(&["calls", "several", "parallel"]) || text.to_lowercase().contains("at once") {
            Self::Plan(at_once(count_of(&words, &["calls", "parallel"]).unwrap_or(DEFAULT_CALLS).clamp(1, MAX_CALLS)))
        } else if begins(&["fail", "error"]) {
            Self::Plan(failure())
        } else if says(&["long", "story"]) {
            Self::Story { words: count_of(&words, &["words", "word"]).unwrap_or(DEFAULT_WORDS).clamp(1, MAX_WORDS) }
        } else if attached || begins(&["image", "picture", "attach", "photo"]) {
            Self::Attachments
        } else if begins(&["think", "reason"]) {
            Self::Think
        } else {
            Self::Help
        }
    }
}

/// The actions of a text that begins with one: all in one step where it says so, else one after the other.
fn asked_steps(text: &str) -> Option<Vec<Vec<Action>>> {
    let (mut together, mut rest) = match after_together(text) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut actions = Vec::new();
    while let Some((action, tail)) = first_action(rest) {
        actions.push(action);
        if actions.len() == MAX_CALLS {
            break;
        }
        let behind = after_together(tail);
        together |= behind.is_some();
        rest = skip_joins(behind.unwrap_or(tail));
    }
    together |= after_together(rest).is_some();
    match actions.len() {
        0 => None,
        _ if together => Some(vec![actions]),
        _ => Some(actions.into_iter().map(|action| vec![action]).collect()),
    }
}

/// The number next to one of `nouns`: before it, as in `5 steps` and `three parallel calls`, or after it.
fn count_of(words: &[String], nouns: &[&str]) -> Option<usize> {
    let at = words.iter().position(|w| nouns.contains(&w.as_str()))?;
    let before = words[..at].iter().rev().take(2).find_map(|w| number(w));
    before.or_else(|| words.get(at + 1).and_then(|w| number(w)))
}

fn project() -> Plan {
    let program = "#!/bin/sh\nname=${1:-world}\necho \"Hello, $name!\"\n";
    let steps = vec![
        vec![Action::Write { path: "hello/hello.sh".to_owned(), content: program.to_owned() }],
        vec![run("sh hello/hello.sh Lockkeeper")],
        vec![Action::Read { path: "hello/hello.sh".to_owned() }],
    ];
    Plan { kind: Kind::Project, steps }
}

fn chain(steps: usize) -> Plan {
    let step = |n| vec![run(&format!("echo \"step {n} of {steps}\""))];
    Plan { kind: Kind::Chain, steps: (1..=steps).map(step).collect() }
}

fn at_once(calls: usize) -> Plan {
    let call = |n| match n {
        1 => Action::List { path: ".".to_owned() },
        2 => run("date"),
        _ => run(&format!("echo \"call {n} of {calls}\"")),
    };
    Plan { kind: Kind::Asked, steps: vec![(1..=calls).map(call).collect()] }
}

fn failure() -> Plan {
    Plan { kind: Kind::Failure, steps: vec![vec![Action::Read { path: "there-is-no-such-file.txt".to_owned() }]] }
}

fn run(command: &str) -> Action {
    Action::Run { command: command.to_owned() }
}

#[cfg(test)]
mod tests;
