//! Precedence, and what is told of bad configurations.

mod keys;
mod sandboxes;

use super::*;
use std::fs;

/// The sources of one test.
#[derive(Default)]
struct Sources<'a> {
    system: &'a str,
    file: &'a str,
    dotenv: &'a str,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [(&'a str, &'a str)],
}

impl Sources<'_> {
    fn load(&self) -> Loaded {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            if !text.is_empty() {
                fs::write(dir.path().join(name), text).expect("written");
            }
        };
        write("system.toml", self.system);
        write("lockkeeper.toml", self.file);
        write(".env", self.dotenv);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        load(&Inputs {
            environment: self.environment.iter().map(owned).collect(),
            dir: dir.path().to_owned(),
            system_file: Some(dir.path().join("system.toml")),
            config: None,
            settings: self
                .flags
                .iter()
                .map(|flag| {
                    let (path, value) = owned(flag);
                    Setting { flag: format!("--set {path}"), path, value }
                })
                .collect(),
        })
    }
}

/// All problems of `sources` in `mode`, each as `kind key @ origin`.
#[track_caller]
fn check(mode: Mode, sources: &Sources<'_>, expected: &[&str]) -> Loaded {
    let loaded = sources.load();
    let mut problems = loaded.problems.clone();
    problems.extend(super::check(&loaded, mode));
    let told: Vec<String> =
        problems.iter().map(|found| format!("{} {} @ {}", found.kind.as_str(), found.key, found.origin)).collect();
    assert_eq!(told, expected, "{}", Report(&problems));
    for problem in &problems {
        assert!(!problem.what.is_empty() && !problem.fix.is_empty(), "{problem:?}");
    }
    loaded
}

fn file(text: &str) -> Sources<'_> {
    Sources { file: text, ..Sources::default() }
}

#[test]
fn each_source_wins_over_the_one_below_it() {
    let all = Sources {
        system: "[server]\nport = 1\nhost = '127.0.0.2'\n[session]\nmax_steps = 5\n",
        file: "[server]\nport = 2\n[session]\nmax_queued_messages = 6\nmax_calls_per_step = 2\n",
        dotenv: "PORT=3\nMAX_OUTPUT_TOKENS=7\nLOCKKEEPER_SESSION__MAX_CALLS_PER_STEP=3\n",
        environment: &[("PORT", "4"), ("LOCKKEEPER_SESSION__IDLE_SECS", "8")],
        flags: &[("server.port", "9")],
    };
    let loaded = check(Mode::Dev, &all, &[]);
    let config = &loaded.config;
    assert_eq!(config.server.port, 9);
    assert_eq!(config.server.host.to_string(), "127.0.0.2");
    assert_eq!((config.session.max_steps, config.session.max_queued_messages), (5, 6));
    assert_eq!((config.session.max_output_tokens, config.session.max_calls_per_step), (7, 3));
    assert_eq!(config.session.idle_secs, 8);
    assert_eq!(loaded.origin("session.max_output_tokens").to_string(), ".env:2 (MAX_OUTPUT_TOKENS)");
    assert_eq!(loaded.origin("session.idle_secs").to_string(), "environment variable LOCKKEEPER_SESSION__IDLE_SECS");
    assert_eq!(loaded.origin("session.max_queued_messages").to_string(), "lockkeeper.toml:4:1");
    assert_eq!(loaded.origin("server.port").to_string(), "flag --set server.port");
    assert_eq!(loaded.origin("log.level"), Origin::Unset);
}

#[test]
fn a_variable_of_the_environment_hides_the_one_in_dotenv() {
    let sources = Sources { dotenv: "PORT=3", environment: &[("PORT", "")], ..Sources::default() };
    assert_eq!(check(Mode::Dev, &sources, &[]).config.server.port, 3000);
}

#[test]
fn the_names_of_providers_include_the_older_ones() {
    for (name, expected) in [("google", "gemini"), ("anthropic", "claude"), ("chatgpt", "openai"), ("demo", "demo")] {
        let sources = Sources { environment: &[("LLM_PROVIDER", name)], ..Sources::default() };
        let loaded = check(Mode::Dev, &sources, &[]);
        assert_eq!(loaded.config.llm.provider.map(ProviderName::as_str), Some(expected));
    }
}

#[test]
fn text_that_looks_like_a_number_is_still_text_where_text_is_wanted() {
    let sources = Sources {
        environment: &[("OPENAI_API_KEY", "12345"), ("LOCKKEEPER_LLM__MODEL", "4")],
        flags: &[("log.level", "true")],
        ..Sources::default()
    };
    let loaded = check(Mode::Dev, &sources, &[]);
    assert_eq!(loaded.config.llm.model.as_deref(), Some("4"));
    assert!(loaded.config.llm.key(ProviderName::Openai).is_some());
}

#[test]
fn all_slips_of_all_sources_are_told_at_once() {
    let sources = Sources {
        file: "[server]\nprot = 1\nhost = 'nowhere'\n[sesion]\n[session]\nmax_steps = 'many'\n[llm]\nprovider = 'claud'\n",
        dotenv: "nonsense\n",
        environment: &[("PORT", "70000"), ("LOCKKEEPER_LOG__FORMAT", "xml")],
        ..Sources::default()
    };
    let loaded = check(
        Mode::Dev,
        &sources,
        &[
            "syntax  @ .env:1:1",
            "bad_value llm.provider @ lockkeeper.toml:8:1",
            "bad_value log.format @ environment variable LOCKKEEPER_LOG__FORMAT",
            "bad_value server.host @ lockkeeper.toml:3:1",
            "bad_value server.port @ environment variable PORT",
            "unknown_key server.prot @ lockkeeper.toml:2:1",
            "unknown_key sesion @ lockkeeper.toml:4:2",
            "wrong_type session.max_steps @ lockkeeper.toml:6:1",
        ],
    );
    let report = Report(&loaded.problems).to_string();
    for hint in ["did you mean `port`?", "did you mean `session`?", "did you mean `claude`?"] {
        assert!(report.contains(hint), "{report}");
    }
}

#[test]
fn a_problem_inside_of_an_array_is_told_once_with_its_line() {
    let text = "[[policy.rules]]\ntool = 'a'\ndecision = 'allow'\n[[policy.rules]]\ndecison = 'ask'\n[llm]\nmodl = 1\n";
    let expected =
        ["unknown_key llm.modl @ lockkeeper.toml:7:1", "unknown_key policy.rules.1.decison @ lockkeeper.toml:5:1"];
    check(Mode::Dev, &file(text), &expected);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    check(Mode::Dev, &file("[server]\nport = = 1\n"), &["syntax  @ lockkeeper.toml:2:8"]);
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let inputs = Inputs { config: Some("none.toml".into()), ..Inputs::default() };
    let kinds: Vec<_> = load(&inputs).problems.into_iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [Kind::Unreadable]);
}

#[test]
fn serve_names_every_gap_and_dev_fills_them() {
    let expected =
        ["missing store.kind @ not set", "missing sandbox.runtime @ not set", "missing llm.provider @ not set"];
    check(Mode::Serve, &Sources::default(), &expected);
    check(Mode::Dev, &Sources::default(), &[]);
}

#[test]
fn serve_takes_what_is_named() {
    let text = "store.kind = 'memory'\nsandbox.runtime = 'local'\nllm.provider = 'demo'\n";
    check(Mode::Serve, &file(text), &[]);
}

#[test]
fn serve_wants_an_address_for_a_redis_and_a_key_for_a_vendor() {
    let text = "store.kind = 'redis'\nsandbox.runtime = 'docker'\nllm.provider = 'claude'\n";
    let expected = ["missing store.url @ not set", "missing llm.claude.api_key @ not set"];
    check(Mode::Serve, &file(text), &expected);
}

#[test]
fn an_address_names_its_redis_and_a_bad_one_is_told_without_its_secret() {
    let text = "sandbox.runtime = 'local'\nllm.provider = 'demo'\n";
    let at = |url| Sources { file: text, environment: &[("REDIS_URL", url)], ..Sources::default() }.load();
    let problems = |url| {
        let problems = super::check(&at(url), Mode::Serve);
        problems.iter().map(|found| format!("{} {}", found.key, found.what)).collect::<Vec<_>>()
    };
    for good in ["redis://h", "rediss://u:pw@h:1/2", "redis-cluster://h", "redis+unix:///run/redis.sock"] {
        assert!(problems(good).is_empty(), "{good}: {:?}", problems(good));
    }
    for bad in ["h:6379", "http://:secret@h", "redis-sentinel://:secret@h"] {
        let told = problems(bad);
        assert!(told.len() == 1 && told[0].starts_with("store.url ") && !told[0].contains("secret@"), "{told:?}");
    }
    let text = format!("{text}store.redis.retention_secs = 5\nstore.kind = 'embedded'\n");
    check(Mode::Serve, &file(&text), &["bad_value store.redis.retention_secs @ lockkeeper.toml:3:13"]);
}

#[test]
fn a_gap_is_not_told_where_its_bad_value_was() {
    let text = "store.kind = 'mysql'\nsandbox.runtime = 'local'\nllm.provider = 'demo'\n";
    check(Mode::Serve, &file(text), &["bad_value store.kind @ lockkeeper.toml:1:7"]);
}

#[test]
fn strangers_are_kept_out() {
    check(
        Mode::Dev,
        &file("server.host = '0.0.0.0'"),
        &["unsafe server.host @ lockkeeper.toml:1:8", "unsafe auth.mode @ not set"],
    );
    let good = "store.kind = 'memory'\nsandbox.runtime = 'local'\nllm.provider = 'demo'\nserver.host = '::'\n";
    check(Mode::Serve, &file(good), &["unsafe auth.mode @ not set"]);
    let short = format!("{good}auth.tokens.al = 'short'\n");
    check(Mode::Serve, &file(&short), &["unsafe auth.tokens.al @ lockkeeper.toml:5:13"]);
    let long = format!("{good}auth.tokens.al = 'a-token-that-nobody-guesses'\n");
    let loaded = check(Mode::Serve, &file(&long), &[]);
    assert_eq!(loaded.config.auth.mode(), AuthMode::Static);
}

#[test]
fn limits_out_of_their_range_are_told_with_their_key() {
    let text = "session.max_steps = 0\ngateway.event_burst = 0\nsandbox.local.pids = 1\nmcp.limits.max_depth = 1\nlog.level = 'x=loud'\n";
    let expected = [
        "bad_value session.max_steps @ lockkeeper.toml:1:9",
        "bad_value gateway.event_burst @ lockkeeper.toml:2:9",
        "bad_value log.level @ lockkeeper.toml:5:5",
        "bad_value sandbox.local.pids @ lockkeeper.toml:3:15",
        "bad_value mcp.limits.max_depth @ lockkeeper.toml:4:12",
    ];
    check(Mode::Dev, &file(text), &expected);
}

#[test]
fn no_secret_is_ever_shown() {
    let secret = "very-secret-7x";
    let sources = Sources {
        file: &format!("auth.tokens = ['{secret}']\n[mcp_servers.a]\ncommand = 'x'\nenv = {{ K = '{secret}' }}\n"),
        environment: &[("OPENAI_API_KEY", secret), ("REDIS_URL", &format!("redis://:{secret}@h"))],
        ..Sources::default()
    };
    let loaded = sources.load();
    let everything = format!("{}\n{}\n{:?}", show(&loaded, true), Report(&loaded.problems), loaded.config);
    assert!(!everything.contains(secret), "{everything}");
    assert_eq!(loaded.problems.len(), 1, "tokens have names");
}

#[test]
fn show_lists_what_is_set_and_where() {
    let sources = Sources {
        file: "[server]\nport = 1\n",
        environment: &[("GEMINI_API_KEY", "k"), ("LLM_PROVIDER", "demo")],
        ..Sources::default()
    };
    let expected = "llm.gemini.api_key = \"***\"  # environment variable GEMINI_API_KEY\n\
        llm.provider = \"demo\"  # environment variable LLM_PROVIDER\n\
        server.port = 1  # lockkeeper.toml:2:1\n";
    assert_eq!(show(&sources.load(), true), expected);
    assert_eq!(show(&file("server.port = 1").load(), false), "server.port = 1\n");
}

#[test]
fn servers_of_all_places_are_joined_and_their_slips_told() {
    let text = "mcp.workspace = false\n[mcp_servers.web]\ncommand = '${TOOL}'\nargs = ['${HOST:-localhost}', '${env:NONE}']\n\
        [mcp_servers.b]\ncommand = 'b'\nenv = { K = '${NOPE}' }\n";
    let sources = Sources { file: text, environment: &[("TOOL", "curl")], ..Sources::default() };
    let found = mcp_servers::servers(&sources.load(), std::path::Path::new("/nowhere/lockkeeper"), RuntimeKind::Local);
    let commands: Vec<_> = found.all.iter().map(|server| server.command.join(" ")).collect();
    assert_eq!(commands, ["b", "curl localhost "]);
    let told: Vec<_> =
        found.problems.iter().map(|found| (found.kind, found.key.as_str(), found.what.as_str())).collect();
    let expected = [
        (Kind::UnsetVariable, "mcp_servers.b.env.K", "MCP server `b`, field `env.K`: the variable NOPE is not set"),
        (
            Kind::UnsetVariable,
            "mcp_servers.web.args.1",
            "MCP server `web`, field `args.1`: the variable NONE is not set",
        ),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_built_in_server_must_be_there_and_keeps_its_name() {
    let sources = file("[mcp_servers.workspace]\ncommand = 'x'\n");
    let dir = tempfile::tempdir().expect("a directory");
    let executable = dir.path().join("lockkeeper");
    let problems = |found: mcp_servers::Servers| found.problems.into_iter().map(|found| found.kind).collect::<Vec<_>>();
    assert_eq!(problems(mcp_servers::servers(&sources.load(), &executable, RuntimeKind::Local)), [Kind::Missing]);
    fs::write(dir.path().join("lockkeeper-workspace"), "").expect("written");
    assert_eq!(problems(mcp_servers::servers(&sources.load(), &executable, RuntimeKind::Local)), [Kind::Conflict]);
    let found = mcp_servers::servers(&Sources::default().load(), &executable, RuntimeKind::Local);
    assert_eq!(found.all[0].command[1..], ["serve", "--root", "{workspace}"]);
    assert_eq!(found.workspace_program.as_deref(), Some(std::path::Path::new(&found.all[0].command[0])));
}

/// A file that another program wrote never keeps the server, or the other servers of the file, from starting.
#[test]
fn odd_entries_of_an_imported_file_are_left_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = r#"{"mcpServers": {
        "good": {"command": "node", "args": ["x.js"]}, "bare": {"command": "x", "env": {"K": "${NOPE}"}},
        "asks": {"command": "x", "args": ["${input:token}"]}, "remote": {"serverUrl": "https://x.example"},
        "workspace": {"command": "x"}, "fetched": {"command": "npx", "args": ["-y", "@scope/pkg"]},
        "chosen": {"command": "x", "tools": ["a", "b"]}
    }}"#;
    fs::write(dir.path().join("mcp.json"), json).expect("written");
    fs::write(dir.path().join("lockkeeper-workspace"), "").expect("written");
    fs::write(dir.path().join("lockkeeper.toml"), "mcp.config_file = 'mcp.json'\n").expect("written");
    let (environment, own) = (BTreeMap::new(), dir.path().to_owned());
    let loaded = load(&Inputs { environment, dir: own, system_file: None, config: None, settings: Vec::new() });
    let mut found = mcp_servers::servers(&loaded, &dir.path().join("lockkeeper"), RuntimeKind::Local);
    let names: Vec<_> = found.all.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["workspace", "good", "fetched", "chosen"]);
    let chosen = found.all[3].tools.clone().expect("named");
    assert_eq!(chosen.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert!(found.all[2].advice.as_ref().is_some_and(|advice| advice.contains("npm install")), "clients are told, too");
    let (notices, problems) = found.tell();
    assert_eq!(problems, []);
    for (name, words) in [
        ("bare", "NOPE is not set"),
        ("asks", "editors ask for inputs"),
        ("remote", "cannot be used"),
        ("workspace", "another MCP server"),
        ("fetched", "sandboxes have none"),
    ] {
        let told = notices.iter().any(|notice| notice.contains(&format!("`{name}`")) && notice.contains(words));
        assert!(told, "{name}: {notices:?}");
    }
}

#[test]
fn path_of_this_machine_that_a_sandbox_does_not_see_is_named_with_its_fix() {
    let home = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
    let script = home.path().join("server.js");
    fs::write(&script, "").expect("written");
    let text = format!("mcp.workspace = false\n[mcp_servers.a]\ncommand = 'node'\nargs = ['{}']\n", script.display());
    let advice = |text: &str, runtime| {
        let found = mcp_servers::servers(&file(text).load(), std::path::Path::new("/nowhere/lockkeeper"), runtime);
        found.advice.get("a").cloned()
    };
    let told = advice(&text, RuntimeKind::Local).expect("it is not seen");
    assert!(told.contains(&format!("sandbox.local.read_only = [\"{}\"]", home.path().display())), "{told}");
    let moved = text.replace("server.js", "moved.js");
    assert!(advice(&moved, RuntimeKind::Local).is_some_and(|told| told.contains("is not there")));
    let shown = format!("sandbox.local.read_only = ['{}']\n{text}", home.path().display());
    assert_eq!(advice(&shown, RuntimeKind::Local), None);
}

#[test]
fn settings_that_contradict_each_other_are_reported() {
    let tokens = "[auth.tokens]\nann = 'a token of twenty bytes'\n";
    for (text, key) in [
        (format!("auth.mode = 'jwt'\nauth.jwt.secret = '{}'\n{tokens}", "s".repeat(32)), "auth.tokens"),
        (format!("auth.mode = 'none'\n{tokens}"), "auth.tokens"),
        (format!("auth.jwt.secret = '{}'\n{tokens}", "s".repeat(32)), "auth.jwt.secret"),
        ("store.kind = 'embedded'\nstore.url = 'redis://h'\n".to_owned(), "store.url"),
        ("store.kind = 'memory'\nstore.url = 'redis://h'\n".to_owned(), "store.url"),
        (
            "store.kind = 'redis'\nstore.url = 'redis://h'\nstore.embedded.path = 'x'\n".to_owned(),
            "store.embedded.path",
        ),
    ] {
        for mode in [Mode::Dev, Mode::Serve] {
            let problems = crate::config::check(&file(&text).load(), mode);
            let conflicts: Vec<_> =
                problems.iter().filter(|found| found.kind == Kind::Conflict).map(|found| found.key.as_str()).collect();
            assert_eq!(conflicts, [key], "{text}");
        }
    }
}

#[test]
fn sizes_and_times_may_have_units() {
    let sources = Sources {
        file: "session.idle_secs = '15m'\nsandbox.local.memory_bytes = '512MiB'\n",
        environment: &[("LOCKKEEPER_SESSION__APPROVAL_TTL_SECS", "2h")],
        ..Sources::default()
    };
    let loaded = sources.load();
    assert_eq!(loaded.problems, []);
    let session = &loaded.config.session;
    assert_eq!((session.idle_secs, session.approval_ttl_secs), (900, 7_200));
    assert_eq!(loaded.config.sandbox.local.memory_bytes, 512 << 20);
    let wrong = file("session.idle_secs = 'soon'\n").load();
    assert_eq!(wrong.problems.len(), 1);
    assert!(wrong.problems[0].fix.contains("15m"), "{:?}", wrong.problems);
}

#[test]
fn file_with_a_syntax_error_is_one_problem() {
    let loaded = file("[server]\nport = 1\nport 2\n[auth\n").load();
    let checked = crate::config::check(&loaded, Mode::Serve);
    let problems: Vec<_> = loaded.problems.iter().chain(&checked).cloned().collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].origin.to_string().starts_with("lockkeeper.toml:3:"), "{problems:?}");
}
