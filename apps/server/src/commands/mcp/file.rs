//! The configuration file, edited in place: comments and order stay as they are.

use super::private;
use crate::{
    cli::Cli,
    config::{Kind, Loaded, McpServerEntry, Origin, Problem, load},
    exit::Stop,
    random,
};
use anyhow::{Context as _, Result, anyhow};
use secrecy::ExposeSecret as _;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

/// A configuration file that servers are added to.
pub(super) struct ConfigFile {
    path: PathBuf,
    before: String,
    document: DocumentMut,
    added: Vec<String>,
}

impl ConfigFile {
    /// The file of `--config`, else `./lockkeeper.toml`; an empty one where there is none.
    pub(super) fn open(cli: &Cli) -> Result<Self, Stop> {
        let named = cli.config.clone().unwrap_or_else(|| "lockkeeper.toml".into());
        // What is replaced is the file, and not a link to it.
        let path = fs::canonicalize(&named).unwrap_or(named);
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(anyhow!("{} cannot be read: {error}", path.display()).into()),
        };
        let document = before.parse().map_err(|_| {
            // The loader tells all that is wrong, with its places.
            let problems = super::super::loaded(cli).map(|loaded| loaded.problems);
            problems.map_or_else(|stop| stop, Stop::Configuration)
        })?;
        Ok(Self { path, before, document, added: Vec::new() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds `[mcp_servers.NAME]`.
    pub(super) fn add(&mut self, name: &str, entry: &McpServerEntry) -> Result<()> {
        let mut section = Table::new();
        section.set_implicit(true);
        let servers = self.document.entry("mcp_servers").or_insert(Item::Table(section));
        let servers = servers.as_table_like_mut().context("`mcp_servers` is no table in the file")?;
        let mut table = Table::new();
        table.decor_mut().set_prefix(if self.before.trim().is_empty() && self.added.is_empty() { "" } else { "\n" });
        table.insert("command", value(&entry.command));
        if !entry.args.is_empty() {
            table.insert("args", value(entry.args.iter().collect::<Array>()));
        }
        if !entry.env.is_empty() {
            let env = entry.env.iter().map(|(name, value)| (name, value.expose_secret()));
            table.insert("env", value(env.collect::<InlineTable>()));
        }
        if let Some(tools) = &entry.tools {
            table.insert("tools", value(tools.iter().collect::<Array>()));
        }
        servers.insert(name, Item::Table(table));
        self.added.push(name.to_owned());
        Ok(())
    }

    /// The lines that are new.
    pub(super) fn change(&self) -> String {
        added_lines(&self.before, &self.document.to_string())
    }

    /// Puts the changed file into the place of the old one, as a whole, if it can be loaded. Returns what to say of the servers
    /// that were added.
    pub(super) fn write(&self, cli: &Cli) -> Result<Vec<String>, Stop> {
        self.tried(cli, |fresh| {
            fs::rename(fresh, &self.path).with_context(|| format!("{} cannot be replaced", self.path.display()))
        })
    }

    /// Finds out what [`write`](Self::write) would say, and changes nothing.
    pub(super) fn check(&self, cli: &Cli) -> Result<Vec<String>, Stop> {
        self.tried(cli, |fresh| fs::remove_file(fresh).with_context(|| format!("{} is left over", fresh.display())))
    }

    fn tried(&self, cli: &Cli, end: impl FnOnce(&Path) -> Result<()>) -> Result<Vec<String>, Stop> {
        let extension = format!("new-{}", random::hex::<4>()?);
        let fresh = self.path.with_added_extension(extension);
        let tried = self.try_out(cli, &fresh).and_then(|notices| end(&fresh).map(|()| notices).map_err(Stop::from));
        if tried.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        tried
    }

    fn try_out(&self, cli: &Cli, fresh: &Path) -> Result<Vec<String>, Stop> {
        let context = || format!("{} cannot be written", fresh.display());
        private::write(fresh, "").with_context(context)?;
        // It may hold secrets: nobody reads it who could not read the old one.
        if let Ok(old) = fs::metadata(&self.path) {
            fs::set_permissions(fresh, old.permissions()).with_context(context)?;
        }
        fs::write(fresh, self.document.to_string()).with_context(context)?;
        let mut inputs = super::super::inputs(cli)?;
        inputs.config = Some(std::path::absolute(fresh)?);
        let loaded = load(&inputs);
        let (notices, problems) = self.told(&loaded);
        if problems.is_empty() { Ok(notices) } else { Err(Stop::Configuration(problems)) }
    }

    /// What is odd and what is wrong with the servers that were added.
    fn told(&self, loaded: &Loaded) -> (Vec<String>, Vec<Problem>) {
        let Ok(executable) = std::env::current_exe() else { return Default::default() };
        let runtime = loaded.config.sandbox.runtime.unwrap_or(crate::config::RuntimeKind::Local);
        let mut servers = crate::config::mcp_servers::servers(loaded, &executable, runtime);
        let advice = servers.advice.iter().filter(|(name, _)| self.added.contains(name));
        let notices = advice.map(|(name, advice)| format!("MCP server `{name}`: {advice}")).collect();
        let (_, of_servers) = servers.tell();
        let is_ours = |problem: &Problem| {
            let mut names = self.added.iter().map(|name| format!("mcp_servers.{name}"));
            names.any(|name| {
                problem.key.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        // A variable that is not set today may be set where the server will run.
        let unset = |problem: &Problem| problem.kind == Kind::UnsetVariable;
        let found = loaded.problems.iter().cloned().chain(of_servers);
        let place =
            |problem: Problem| Problem { origin: Origin::File { path: self.path.clone(), place: None }, ..problem };
        (notices, found.filter(|problem| is_ours(problem) && !unset(problem)).map(place).collect())
    }
}

/// The lines of `after` between what it has in common with `before` at its beginning and at its end.
fn added_lines(before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let added = new[start..new.len() - end].join("\n");
    format!("{}\n", added.trim_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn entry(command: &str) -> McpServerEntry {
        McpServerEntry {
            command: command.to_owned(),
            args: vec!["-y".to_owned()],
            env: BTreeMap::from([("K".to_owned(), "${K}".into())]),
            tools: None,
        }
    }

    #[track_caller]
    fn check(before: &str, added: &[&str], after: &str, change: &str) {
        let document = before.parse().expect("TOML");
        let mut file = ConfigFile { path: "x.toml".into(), before: before.to_owned(), document, added: Vec::new() };
        for name in added {
            file.add(name, &entry("node")).expect("added");
        }
        assert_eq!(file.document.to_string(), after);
        assert_eq!(file.change(), change);
    }

    #[test]
    fn a_server_is_added_and_everything_else_stays() {
        let added = "[mcp_servers.b]\ncommand = \"node\"\nargs = [\"-y\"]\nenv = { K = \"${K}\" }\n";
        check("", &["b"], added, added);
        let before = "# Mine.\n[server] # here\nport   = 1\n";
        check(before, &["b"], &format!("{before}\n{added}"), added);
        let others = "[mcp_servers.a]\ncommand = 'x' # A\n\n# Rules.\n[log]\nlevel = 'info'\n";
        let (first, rest) = others.split_at(others.find("\n# Rules").expect("there"));
        check(others, &["b"], &format!("{first}\n{added}{rest}"), added);
    }

    #[test]
    fn what_is_written_in_one_line_stays_so() {
        let before = "mcp_servers = { a = { command = 'x' } }\n";
        let after = "mcp_servers = { a = { command = 'x' } , b = { command = \"node\", args = [\"-y\"], env = { K = \"${K}\" } } }\n";
        let document = before.parse().expect("TOML");
        let mut file = ConfigFile { path: "x.toml".into(), before: before.to_owned(), document, added: Vec::new() };
        file.add("b", &entry("node")).expect("added");
        let found: toml::Table = file.document.to_string().parse().expect("TOML");
        assert_eq!(found, after.parse().expect("TOML"));
        assert_eq!(file.change().lines().count(), 1);
    }
}
