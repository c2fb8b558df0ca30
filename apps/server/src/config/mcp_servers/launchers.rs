//! Programs that fetch a server, or start one elsewhere, instead of being one. Configurations of desktop clients are full of
//! them, and a sandbox has neither a network nor a container engine for them.

use std::path::Path;

/// Why a command cannot work in a sandbox, and what can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unworkable {
    /// What is wrong, after the name of the server: "is started by `npx`, which ..".
    pub(super) what: String,
    /// What to do about it.
    pub(super) fix: String,
}

const NODE: &[&str] = &["npx", "npm", "pnpx", "pnpm", "yarn", "bunx"];
const PYTHON: &[&str] = &["uvx", "uv", "pipx"];
const ENGINES: &[&str] = &["docker", "podman", "nerdctl"];
const SHELLS: &[&str] = &["cmd", "powershell", "pwsh"];

/// What is known of a command that cannot work in a sandbox. `None`: nothing is known against it.
pub(super) fn unworkable(command: &[String]) -> Option<Unworkable> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first()?;
    let program = called(program);
    if rest.iter().any(|word| package(word) == "mcp-remote") {
        return Some(Unworkable {
            what: "is a bridge to a server on the network (`mcp-remote`), and sandboxes have no network".to_owned(),
            fix: "run the server itself in the sandbox by its `command`, or remove this one".to_owned(),
        });
    }
    if NODE.contains(&program) {
        let package = argument(rest, &["exec", "dlx", "x", "run"]).unwrap_or("PACKAGE");
        return Some(fetched(
            program,
            &format!("npm install --prefix mcp-servers {package}"),
            "node",
            "node_modules/..",
        ));
    }
    if PYTHON.contains(&program) && !rest.contains(&"--offline") {
        let package = argument(rest, &["tool", "run"]).unwrap_or("PACKAGE");
        let install = format!("pip install --target mcp-servers {}", package.split('@').next().unwrap_or(package));
        return Some(fetched(program, &install, "python3", "bin/.."));
    }
    if ENGINES.contains(&program) {
        let image = rest.iter().rev().find(|word| !word.starts_with('-')).unwrap_or(&"IMAGE");
        return Some(Unworkable {
            what: format!("is started by `{program}`, and sandboxes have no container engine"),
            fix: format!(
                "put the program of {image} into the sandbox (`lockkeeper image build --add FILE:PATH` for Docker, \
                 `sandbox.local.read_only` for local sandboxes), and name it as `command`"
            ),
        });
    }
    if SHELLS.contains(&program) && program.starts_with("cmd") || program == "powershell" {
        let inner: Vec<String> =
            rest.iter().skip_while(|word| word.starts_with(['/', '-'])).map(|word| (*word).to_owned()).collect();
        let what = format!("is started by `{program}`, a program of Windows, which sandboxes do not have");
        let fix = unworkable(&inner).map_or_else(
            || "name the program itself as `command`, and what follows it as `args`".to_owned(),
            |inner| inner.fix,
        );
        return Some(Unworkable { what, fix });
    }
    match program {
        "env" | "nice" | "time" | "exec" => {
            let inner: Vec<String> = rest
                .iter()
                .skip_while(|word| word.contains('=') || word.starts_with('-'))
                .map(|w| (*w).to_owned())
                .collect();
            unworkable(&inner)
        }
        _ => None,
    }
}

fn fetched(program: &str, install: &str, interpreter: &str, entry: &str) -> Unworkable {
    Unworkable {
        what: format!("is started by `{program}`, which fetches it from the network, and sandboxes have none"),
        fix: format!(
            "install it beforehand (`{install}`), let sandboxes read the folder (`sandbox.local.read_only = [\"/path/to/mcp-servers\"]`, \
             or `lockkeeper image build --add mcp-servers:/opt/mcp` for Docker), and start it with `{interpreter} \
             /path/to/mcp-servers/{entry}`"
        ),
    }
}

/// The name of a program, without its folder and the endings that Windows knows.
fn called(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["exe", "cmd", "bat", "ps1"].iter().any(|known| ending.eq_ignore_ascii_case(known)) {
        name.rsplit_once('.').map_or(name, |(name, _)| name)
    } else {
        name
    }
}

/// A package without its version.
fn package(word: &str) -> &str {
    match word.rfind('@') {
        None | Some(0) => word,
        Some(at) => &word[..at],
    }
}

/// The first word that is neither an option nor one of these commands.
fn argument<'a>(words: &[&'a str], commands: &[&str]) -> Option<&'a str> {
    words.iter().copied().find(|word| !word.starts_with('-') && !commands.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Option<Unworkable> {
        unworkable(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn usual_commands_that_cannot_work_are_named_with_what_can() {
        for (command, what, fix) in [
            ("npx -y @scope/server-x@1.2 /data", "no", "npm install --prefix mcp-servers @scope/server-x@1.2"),
            ("/usr/local/bin/npx.cmd -y pkg", "`npx`", "npm install --prefix mcp-servers pkg"),
            ("C:\\node\\npx.CMD -y pkg", "`npx`", "npm install --prefix mcp-servers pkg"),
            ("pnpm dlx pkg", "`pnpm`", "npm install --prefix mcp-servers pkg"),
            ("uvx mcp-server-git@latest --repo .", "`uvx`", "pip install --target mcp-servers mcp-server-git,"),
            ("uv tool run mcp-server-git", "`uv`", "mcp-server-git"),
            ("pipx run x", "`pipx`", "pip install --target mcp-servers x"),
            ("docker run -i --rm -e TOKEN ghcr.io/x/y", "no container engine", "ghcr.io/x/y"),
            ("podman run -i x", "no container engine", "image build --add"),
            ("cmd /c npx -y pkg", "Windows", "npm install --prefix mcp-servers pkg"),
            ("cmd.exe /C node server.js", "Windows", "name the program itself"),
            ("npx -y mcp-remote https://x.example/sse", "no network", "run the server itself"),
            ("env A=1 npx pkg", "`npx`", "npm install"),
        ] {
            let found = of(command).unwrap_or_else(|| panic!("{command}"));
            let fix = fix.trim_end_matches(',');
            assert!(found.what.contains(what), "{command}: {}", found.what);
            assert!(found.fix.contains(fix), "{command}: {}", found.fix);
        }
        for good in
            ["node /opt/x/server.js", "python3 -m server", "/opt/bin/server --docker", "npxy a", "sh -c npx", ""]
        {
            assert_eq!(of(good), None, "{good}");
        }
    }
}
