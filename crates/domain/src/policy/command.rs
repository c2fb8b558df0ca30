//! Commands that are simple enough to be known by their first words.

/// Whether `command` is a simple command whose first words are those of `prefix`. A simple command is one program with plain
/// words: no quotes, variables, substitutions, patterns, pipes, redirects, lists, assignments, comments, or line breaks, so
/// that no shell makes anything else of it.
pub(super) fn begins_with(prefix: &str, command: &str) -> bool {
    let (Some(wanted), Some(found)) = (words(prefix), words(command)) else { return false };
    !wanted.is_empty() && found.starts_with(&wanted)
}

/// The words of a simple command; `None` where it is not simple.
pub(super) fn words(command: &str) -> Option<Vec<&str>> {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/' | ':' | ',' | '@' | '+' | '=');
    if !command.chars().all(is_plain) {
        return None;
    }
    let words: Vec<_> = command.split(' ').filter(|word| !word.is_empty()).collect();
    // `NAME=value program` sets a variable and runs another program than its first word.
    let assigns = words.first().is_some_and(|first| first.contains('='));
    (!words.is_empty() && !assigns).then_some(words)
}

/// The prefix that is offered for a command: a program and its subcommand, such as `git status`. `None` where there is no
/// subcommand, since a program alone says too little, or where the command is not simple.
pub(super) fn offered(command: &str) -> Option<String> {
    let words = words(command)?;
    let [program, subcommand, ..] = words[..] else { return None };
    let named = |word: &str| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_name);
    (!RUNS_OTHERS.contains(&program.rsplit('/').next()?) && named(subcommand))
        .then(|| format!("{program} {subcommand}"))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Programs whose arguments are other programs, or files of any kind: their second word is no subcommand.
const RUNS_OTHERS: [&str; 34] = [
    "bash", "cat", "chmod", "chown", "command", "cp", "dash", "dd", "doas", "env", "eval", "exec", "find", "ln", "mv",
    "nice", "node", "nohup", "perl", "php", "python", "python3", "rm", "ruby", "sh", "source", "ssh", "stdbuf", "su",
    "sudo", "tee", "timeout", "xargs", "zsh",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: S2-3
    #[test]
    fn a_prefix_covers_simple_commands_alone() {
        for covered in ["git status", "git status --short", "git  status -s src/a.rs"] {
            assert!(begins_with("git status", covered), "{covered}");
        }
        let others = [
            "git statuses",
            "git",
            "gitstatus",
            "git push",
            "git status; rm -rf .",
            "git status && rm a",
            "git status | sh",
            "git status & rm a",
            "git status\nrm a",
            "git status\rrm a",
            "git status $(rm a)",
            "git status `rm a`",
            "git status > a",
            "git status < a",
            "git status ${A}",
            "git status $A",
            "GIT_PAGER=x git status",
            "A=1 git status",
            "git status #",
            "git status \\",
            "git status 'a'",
            "git status \"a\"",
            "git status *",
            "git status ~",
            "git status {a,b}",
            "git status (a)",
            "git status !",
            "git\tstatus",
            "git status\u{a0}a",
            "git status \u{0}",
            " ",
            "",
            "git status ?",
            "git status [a]",
            "git status %1",
            "git status^",
        ];
        for other in others {
            assert!(!begins_with("git status", other), "{other:?}");
        }
        for prefix in ["", " ", "A=1 git", "git;"] {
            assert!(!begins_with(prefix, "git status"), "{prefix:?}");
        }
    }

    #[test]
    fn a_prefix_is_offered_for_a_program_with_a_subcommand() {
        assert_eq!(offered("git status -s").as_deref(), Some("git status"));
        assert_eq!(offered("cargo test").as_deref(), Some("cargo test"));
        for none in ["ls", "ls -la", "rm build", "sudo rm", "/usr/bin/env ls", "git status; ls", "python x", "git -C a"]
        {
            assert_eq!(offered(none), None, "{none}");
        }
    }
}
