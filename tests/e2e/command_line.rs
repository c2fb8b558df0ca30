//! The command line as programs and people use it: what it prints where, and how it exits.

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::Binaries;
use serde_json::Value;
use std::{fs, process::Command, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        an_mcp_server_is_added_tested_and_its_tools_are_judged;
        what_is_wrong_with_an_mcp_server_is_said_in_plain_words;
        a_file_of_another_program_is_imported_and_used_as_it_is;
        problems_are_told_as_json_with_their_places;
        exit_codes_say_what_kind_of_failure_it_was;
        completions_are_scripts_of_their_shell;
    ]
}

/// What a run of the program came to.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {}{}", self.stdout, self.stderr))
    }

    fn good(self) -> Result<Self> {
        ensure!(self.code == Some(0), "exit code {:?}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }
}

/// Runs `lockkeeper` in the case's folder, with nothing of this machine's environment but the `PATH`.
fn lockkeeper(ground: &Ground, args: &[&str]) -> Result<Run> {
    let path = std::env::split_paths("/usr/local/bin:/usr/bin:/bin");
    let nobody = format!("unix://{}", ground.folder().join("no-engine.sock").display());
    let output = Command::new(&Binaries::find()?.server)
        .args(args)
        .current_dir(ground.folder())
        .env_clear()
        .env("PATH", std::env::join_paths(path)?)
        .env("DOCKER_HOST", nobody)
        .output()?;
    Ok(Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

async fn an_mcp_server_is_added_tested_and_its_tools_are_judged(ground: Rc<Ground>) -> Result<()> {
    let config = ground.folder().join("lockkeeper.toml");
    let before = "# Mine.\n[[policy.rules]] # first\nserver = \"files\"\ntool = \"read_file\"\ndecision = \"allow\"\n";
    fs::write(&config, before)?;
    let program = Binaries::find()?.workspace.display().to_string();
    let add = ["mcp", "add", "files", "--env", "NOTE=${NOTE:-none}", "--", &program, "serve", "--root", "{workspace}"];
    let added = lockkeeper(&ground, &add)?.good()?;
    ensure!(added.stdout.starts_with("[mcp_servers.files]\n"), "the change is not shown: {}", added.stdout);
    let after = fs::read_to_string(&config)?;
    ensure!(after == format!("{before}\n{}", added.stdout), "{after}");
    let again = lockkeeper(&ground, &add)?;
    ensure!(again.code == Some(1) && again.stderr.contains("lockkeeper.toml:7:"), "{}", again.stderr);

    let listed = lockkeeper(&ground, &["mcp", "list", "--json"])?.good()?.json()?;
    ensure!(listed[0]["origin"] == "built in" && listed[1]["origin"] == "lockkeeper.toml:7:14", "{listed}");
    let tested = lockkeeper(&ground, &["mcp", "test", "files", "--json"])?.good()?.json()?;
    ensure!(tested["sandboxMs"].is_u64() && tested["initializeMs"].is_u64() && tested["listMs"].is_u64(), "{tested}");
    ensure!(tested["tools"].as_array().is_some_and(|tools| tools.contains(&"read_file".into())), "{tested}");
    let tools = lockkeeper(&ground, &["mcp", "tools", "--json"])?.good()?.json()?;
    let decision = |server: &str, tool: &str| {
        let is_it = |found: &&Value| found["server"] == server && found["tool"] == tool;
        tools.as_array().into_iter().flatten().find(is_it).map(|found| found["decision"].clone())
    };
    ensure!(decision("files", "read_file") == Some("allow".into()), "{tools}");
    ensure!(decision("workspace", "read_file") == Some("ask".into()), "{tools}");
    let shown = lockkeeper(&ground, &["mcp", "tools", "files"])?.good()?;
    ensure!(
        shown.stdout.lines().any(|line| line.starts_with("files.read_file") && line.contains("rule 1")),
        "{}",
        shown.stdout
    );
    Ok(())
}

async fn what_is_wrong_with_an_mcp_server_is_said_in_plain_words(ground: Rc<Ground>) -> Result<()> {
    let config = "mcp.limits.initialize_secs = 2\n\
        mcp_servers.absent.command = '/no/such/program'\n\
        mcp_servers.mute.command = 'sleep'\nmcp_servers.mute.args = ['600']\n\
        mcp_servers.brief.command = 'sh'\nmcp_servers.brief.args = ['-c', 'echo no key is set >&2; exit 3']\n";
    fs::write(ground.folder().join("lockkeeper.toml"), config)?;
    for (name, expected) in
        [("absent", "/no/such/program"), ("mute", "initialize within 2 s"), ("brief", "no key is set")]
    {
        let tested = lockkeeper(&ground, &["mcp", "test", name])?;
        ensure!(tested.code == Some(1), "{name}: exit code {:?}", tested.code);
        ensure!(tested.stderr.contains(expected) && tested.stderr.contains("fix: "), "{name}: {}", tested.stderr);
        ensure!(tested.stdout.starts_with("sandbox"), "{name}: {}", tested.stdout);
    }
    let unknown = lockkeeper(&ground, &["mcp", "test", "breif"])?;
    ensure!(unknown.code == Some(1) && unknown.stderr.contains("did you mean `brief`?"), "{}", unknown.stderr);
    Ok(())
}

async fn a_file_of_another_program_is_imported_and_used_as_it_is(ground: Rc<Ground>) -> Result<()> {
    let file = r#"{
  // An editor's.
  "servers": {
    "notes": {"type": "stdio", "command": "node", "args": ["${NOTES:-/opt/notes.js}"], "env": {"KEY": "${env:NOTES_KEY}"}},
    "far": {"type": "http", "url": "https://example.org/mcp"},
  },
}"#;
    fs::write(ground.folder().join("mcp.json"), file)?;
    let imported = lockkeeper(&ground, &["mcp", "import", "mcp.json"])?.good()?;
    ensure!(imported.stdout.contains("[mcp_servers.notes]"), "{}", imported.stdout);
    ensure!(imported.stderr.contains("mcp.json:5:13: left out: MCP server `far`, field `type`"), "{}", imported.stderr);
    let written = fs::read_to_string(ground.folder().join("lockkeeper.toml"))?;
    // Nobody has set it: it keeps the server from nothing, and is named.
    ensure!(written.contains("${NOTES_KEY:-}"), "a reference was resolved: {written}");
    ensure!(imported.stderr.contains("NOTES_KEY"), "{}", imported.stderr);
    lockkeeper(&ground, &["config", "check", "--dev"])?.good()?;

    fs::write(ground.folder().join("lockkeeper.toml"), "mcp.config_file = 'mcp.json'\n")?;
    let serve = lockkeeper(&ground, &["config", "check", "--json"])?;
    let notices = serve.json()?["notices"].to_string();
    ensure!(notices.contains("mcp.json:5:13") && notices.contains("NOTES_KEY is not set"), "{notices}");
    Ok(())
}

async fn problems_are_told_as_json_with_their_places(ground: Rc<Ground>) -> Result<()> {
    fs::write(ground.folder().join("lockkeeper.toml"), "[server]\n  prot = 1\n[store]\nkind = 'embeded'\n")?;
    fs::write(ground.folder().join("mcp.json"), "{\"mcpServers\": {\n  \"a\": {\"comand\": \"x\"}}}")?;
    fs::write(
        ground.folder().join(".env"),
        "# mine\nLOCKKEEPER_SESSION__MAX_STEP=3\nLOCKKEEPER_MCP__CONFIG_FILE=mcp.json\n",
    )?;
    let checked = lockkeeper(&ground, &["config", "check", "--dev", "--json"])?;
    ensure!(checked.code == Some(78) && checked.stderr.is_empty(), "{:?} {}", checked.code, checked.stderr);
    let told = checked.json()?;
    let problems = told["problems"].as_array().context("a list")?;
    let expected = [
        ("server.prot", "lockkeeper.toml:2:3", "`port`"),
        ("store.kind", "lockkeeper.toml:4:1", "`embedded`"),
        ("session.max_step", ".env:2 (LOCKKEEPER_SESSION__MAX_STEP)", "`max_steps`"),
    ];
    for (key, origin, near) in expected {
        let found = problems.iter().find(|problem| problem["key"] == key).with_context(|| format!("{key}: {told}"))?;
        ensure!(found["origin"] == origin, "{found}");
        ensure!(found.to_string().contains(&format!("did you mean {near}?")), "{found}");
    }
    ensure!(problems.len() == expected.len(), "{told}");
    // An entry of another program's file stops nothing.
    let notices = told["notices"].to_string();
    ensure!(notices.contains("mcp.json:2:9: left out") && notices.contains("did you mean `command`?"), "{notices}");
    Ok(())
}

async fn exit_codes_say_what_kind_of_failure_it_was(ground: Rc<Ground>) -> Result<()> {
    let docker = ["--set", "sandbox.runtime=docker", "--set", "sandbox.start_deadline_secs=1"];
    let cases: [(i32, &[&str]); 7] = [
        (0, &["config", "check", "--dev"]),
        (1, &["mcp", "import", "none.json"]),
        (1, &["token", "create", ""]),
        (2, &["mcp", "add", "workspace", "--", "x"]),
        (2, &["config"]),
        (69, &["mcp", "test", "workspace", docker[0], docker[1], docker[2], docker[3]]),
        (78, &["config", "check"]),
    ];
    for (code, args) in cases {
        let ran = lockkeeper(&ground, args)?;
        ensure!(ran.code == Some(code), "{args:?} ended with {:?}: {}{}", ran.code, ran.stdout, ran.stderr);
        ensure!(code == 0 || ran.stdout.is_empty(), "{args:?} failed, and wrote to stdout: {}", ran.stdout);
    }
    Ok(())
}

async fn completions_are_scripts_of_their_shell(ground: Rc<Ground>) -> Result<()> {
    let script = lockkeeper(&ground, &["completions", "bash"])?.good()?.stdout;
    let file = ground.folder().join("completions.bash");
    fs::write(&file, &script)?;
    let asked = format!(
        "source '{}' && COMP_WORDS=(lockkeeper mc) COMP_CWORD=1 && _lockkeeper lockkeeper mc lockkeeper && echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    let output = Command::new("bash").args(["--norc", "-c", &asked]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.trim() == "mcp", "{said}{}", String::from_utf8_lossy(&output.stderr));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        ensure!(lockkeeper(&ground, &["completions", shell])?.good()?.stdout.contains("mcp"), "{shell}");
    }
    Ok(())
}
