//! The examples below the help of each command.

use super::starts_a_server;
use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, run_shell};
use std::{fs, path::Path, process::Command, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        every_command_has_help_with_examples;
        every_example_of_the_help_works;
    ]
}

/// A command, and its help.
struct Help {
    path: String,
    text: String,
    /// Whether there are commands below it.
    is_group: bool,
}

/// The help of a command, and of all commands below it.
fn helps(path: &[String], found: &mut Vec<Help>) -> Result<()> {
    let output = Command::new(&Binaries::find()?.server).args(path).arg("--help").output()?;
    ensure!(output.status.success(), "{path:?} --help ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let commands = text.split_once("\nCommands:\n").map(|(_, list)| list.split("\n\n").next().unwrap_or_default());
    // A line of the list begins with two spaces and the command's name; what goes on from the line before has more.
    let names = commands.into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    found.push(Help { path: path.join(" "), text, is_group: !names.is_empty() });
    names.into_iter().try_for_each(|name| helps(&[path, &[name]].concat(), found))
}

fn examples(help: &str) -> Vec<&str> {
    let below = help.split_once("Examples:").map(|(_, below)| below).unwrap_or_default();
    below.lines().filter_map(|line| line.trim().strip_prefix("$ ")).collect()
}

async fn every_command_has_help_with_examples(_: Rc<Ground>) -> Result<()> {
    let mut found = Vec::new();
    helps(&[], &mut found)?;
    // A group can show what all of its commands do.
    let shows = |path: &str| found.iter().any(|help| help.path == path && !examples(&help.text).is_empty());
    let group = |path: &str| path.rsplit_once(' ').map(|(group, _)| group.to_owned()).unwrap_or_default();
    let commands: Vec<_> = found.iter().filter(|help| !help.is_group).map(|help| help.path.as_str()).collect();
    let without: Vec<_> = commands.iter().filter(|path| !shows(path) && !shows(&group(path))).collect();
    ensure!(
        without.is_empty(),
        "no examples below the help of {without:?}: add them to apps/server/src/cli/examples.rs"
    );
    ensure!(commands.len() >= 15, "only {} commands", commands.len());
    Ok(())
}

/// Each in a folder of its own, in which lie the files that the examples name.
async fn every_example_of_the_help_works(ground: Rc<Ground>) -> Result<()> {
    let mut found = Vec::new();
    helps(&[], &mut found)?;
    let mut played = 0;
    for Help { path, text, .. } in &found {
        for example in examples(text) {
            let (command, mark) = example.split_once("   # ").unwrap_or((example, ""));
            let folder = tempfile::TempDir::new_in(ground.folder())?;
            prepare(folder.path())?;
            let at = || format!("the example of `{path}`: {command}");
            match mark.trim() {
                "" => drop(
                    run_shell(&format!("cd '{}'\n{command}\n", folder.path().display()), ground.folder())
                        .await
                        .with_context(at)?,
                ),
                "server" => {
                    let absolute = folder.path().join("example.toml");
                    let command = command.replace("example.toml", &absolute.display().to_string());
                    starts_a_server(&format!("env {}", command.trim()), &ground).await.with_context(at)?;
                }
                "not run" => continue,
                other => anyhow::bail!("{}: what is `# {other}`?", at()),
            }
            played += 1;
        }
    }
    ensure!(played >= 15, "only {played} examples were run");
    Ok(())
}

fn prepare(folder: &Path) -> Result<()> {
    let config = "[store]\nkind = \"embedded\"\n[sandbox]\nruntime = \"local\"\n[llm]\nprovider = \"demo\"\n";
    fs::write(folder.join("example.toml"), config)?;
    fs::write(folder.join("secret"), "0123456789abcdef0123456789abcdef")?;
    let servers = r#"{"mcpServers": {"notes": {"command": "node", "args": ["/opt/notes/server.js"]}}}"#;
    Ok(fs::write(folder.join("mcp.json"), servers)?)
}
