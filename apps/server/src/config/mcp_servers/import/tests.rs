//! Files as other programs write them.

use super::*;
use crate::config::McpServerEntry;
use secrecy::ExposeSecret as _;

fn problems(text: &str) -> Vec<String> {
    let Imported { problems, left_out, .. } = parse(text, Path::new("mcp.json"));
    let told = problems.iter().chain(&left_out);
    told.map(|problem| format!("{} {} @ {}", problem.kind.as_str(), problem.key, problem.origin)).collect()
}

#[test]
fn both_spellings_of_the_section_are_read() {
    for section in ["mcpServers", "servers"] {
        let text = format!(
            r#"{{"{section}": {{
                "web": {{"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {{"N": 1}},
                    "autoApprove": ["*"], "comand": "x", "icon": 1}},
                "off": {{"command": "x", "disabled": true}}
            }}, "inputs": []}}"#
        );
        let found = parse(&text, Path::new("mcp.json"));
        assert_eq!(found.problems, []);
        assert_eq!(found.servers.len(), 1);
        let web = &found.servers[0];
        assert_eq!((web.name.as_str(), web.entry.args.len()), ("web", 2));
        assert_eq!(
            (web.origin.to_string(), web.origin_of("args.1").to_string()),
            ("mcp.json:2:17".to_owned(), "mcp.json:2:60".to_owned())
        );
        let expected = [
            "mcp.json:3:21: MCP server `web`, field `autoApprove`: nobody is let through the gate by it; `[[policy.rules]]` does that",
            "mcp.json:3:43: MCP server `web`, field `comand`: it is ignored; did you mean `command`?",
            "mcp.json:3:58: MCP server `web`, field `icon`: it has no meaning here",
        ];
        assert_eq!(found.notices, expected);
    }
}

#[test]
fn every_bad_server_is_named_with_its_place() {
    let text = "{\"mcpServers\": {\n\"a\": {\"transport\": \"stdoi\"},\n\"b\": {\"comand\": \"x\"},\n\
        \"c\": {},\n\"d\": {\"command\": \"x\", \"args\": [{}]},\n\"e\": {\"command\": \"x\", \"env\": 7},\n\"f\": 1}}";
    let expected = [
        "bad_value mcpServers.a.transport @ mcp.json:2:7",
        "missing mcpServers.b.comand @ mcp.json:3:7",
        "missing mcpServers.c @ mcp.json:4:1",
        "wrong_type mcpServers.d.args @ mcp.json:5:23",
        "wrong_type mcpServers.e.env @ mcp.json:6:23",
        "wrong_type mcpServers.f @ mcp.json:7:1",
    ];
    assert_eq!(problems(text), expected);
    let found = parse(text, Path::new("mcp.json"));
    assert_eq!(found.problems, [], "none of them stops the others");
    assert!(found.left_out[0].what.contains("did you mean `stdio`?"), "{:?}", found.left_out[0]);
    assert!(found.left_out[1].fix.contains("did you mean `command`?"), "{:?}", found.left_out[1]);
    assert_eq!(problems("{\n\"mcpServers\": {;}}"), ["syntax mcp.config_file @ mcp.json:2:16"]);
    assert_eq!(problems("{}"), ["missing mcp.config_file @ mcp.json"]);
}

#[test]
fn what_a_transport_cannot_do_here_is_said_of_the_server_and_its_field() {
    let text = r#"{"mcpServers": {
        "web": {"url": "https://x"},
        "old": {"transport": "sse", "url": "https://x"},
        "own": {"transport": "stdio-docker", "containerImage": "mine:1"},
        "ran": {"transport": "stdio-docker", "containerImage": "mine:1", "command": "/srv/x", "containerEnv": {"K": "v"},
            "toolPrefix": "r_", "containerMemory": 5}
    }}"#;
    let expected = [
        "unsupported mcpServers.web.url @ mcp.json:2:17",
        "unsupported mcpServers.old.transport @ mcp.json:3:17",
        "unsupported mcpServers.own.containerImage @ mcp.json:4:46",
    ];
    assert_eq!(problems(text), expected);
    let found = parse(text, Path::new("mcp.json"));
    assert!(found.problems.is_empty());
    assert_eq!(found.left_out.len(), 3);
    assert!(
        found.left_out.iter().all(|problem| problem.what.contains("MCP server `") && problem.what.contains("field `"))
    );
    assert_eq!(found.servers.len(), 1);
    assert_eq!((found.servers[0].entry.command.as_str(), found.servers[0].entry.env.len()), ("/srv/x", 1));
    let fields = ["containerImage", "toolPrefix", "containerMemory"];
    for (notice, field) in found.notices.iter().zip(fields) {
        assert!(notice.contains(&format!("`ran`, field `{field}`")), "{notice}");
    }
    assert_eq!(found.notices.len(), fields.len());
}

#[test]
fn an_mcp_config_of_mcp_orchestrator_loads_unchanged() {
    let text = r#"{
        "mcpServers": {
            "filesystem": {
                "transport": "stdio-docker", "containerImage": "mcp-server:latest", "enabled": true, "description": "Files"
            },
            "never": {"transport": "http", "url": "http://x", "enabled": false}
        },
        "settings": {"autoConnect": true, "healthCheckInterval": 60000, "toolNamespacing": "none"}
    }"#;
    assert_eq!(problems(text), Vec::<String>::new());
    let found = parse(text, Path::new("mcp.json"));
    assert!(found.servers.is_empty());
    assert!(
        found.notices[0].contains("`workspace` stands in") && found.notices[1].contains("mcp.json:8:"),
        "{:?}",
        found.notices
    );
}

#[test]
fn comments_and_last_commas_of_editors_are_taken() {
    let text = "{\n  // mine\n  \"servers\": {\"a\": {\"command\": \"x\", /* no */ \"args\": [\"//\",],},},\n}";
    let found = parse(text, Path::new("mcp.json"));
    assert_eq!(found.problems, []);
    assert_eq!(found.servers[0].entry.args, ["//"]);
}

/// What each server comes to: its command line, its variables with their values, and its tools.
fn lines(text: &str) -> Vec<String> {
    let found = parse(text, Path::new("/home/me/.mcp.json"));
    assert_eq!(found.problems, [], "{text}");
    let line = |server: &Named| {
        let McpServerEntry { command, args, env, tools } = &server.entry;
        let words = std::iter::once(command).chain(args).map(String::as_str).collect::<Vec<_>>().join(" ");
        let env = env.iter().map(|(name, value)| format!(" {name}={}", value.expose_secret()));
        let env = env.collect::<Vec<_>>().concat();
        let tools = tools.as_ref().map(|tools| format!(" [{}]", tools.join(","))).unwrap_or_default();
        format!("{}: {words}{env}{tools}", server.name)
    };
    found.servers.iter().map(line).collect()
}

#[test]
fn forms_of_other_programs_come_to_the_same_server() {
    let server = r#"{"command": "node", "args": ["s.js"]}"#;
    for file in [
        format!("\u{feff}{{\"mcpServers\": {{\"a\": {server}}}}}"),
        format!("{{\"servers\": {{\"a\": {server}}}, \"inputs\": []}}"),
        format!("{{\"mcp\": {{\"servers\": {{\"a\": {server}}}}}, \"editor.fontSize\": 12}}"),
        format!("{{\"mcp.servers\": {{\"a\": {server}}}}}"),
        format!("{{\"context_servers\": {{\"a\": {server}}}}}"),
        format!("{{\"a\": {server}}}"),
        format!("{{\"$schema\": \"x\", \"a\": {server}}}"),
        r#"{"context_servers": {"a": {"source": "custom", "command": {"path": "node", "args": ["s.js"], "env": null}, "settings": {}}}}"#.to_owned(),
        r#"{"mcp": {"a": {"type": "local", "command": ["node", "s.js"], "enabled": true}}}"#.to_owned(),
        r#"{"mcpServers": [{"name": "a", "command": "node", "args": "s.js"}]}"#.to_owned(),
        r#"{"mcpServers": {"a": {"type": "local", "command": "node s.js", "args": null, "env": null, "tools": ["*"]}}}"#.to_owned(),
        r#"{"mcpServers": {"a": {"type": "STDIO", "command": "node", "args": ["s.js", null], "url": null}}}"#.to_owned(),
        r#"{"mcpServers": {"a": {"type": "custom", "command": "node", "args": ["s.js"]}}}"#.to_owned(),
    ] {
        assert_eq!(lines(&file), ["a: node s.js"], "{file}");
    }
}

#[test]
fn odd_values_are_what_their_programs_mean() {
    let file = r#"{"mcpServers": {
        "numbers": {"command": "x", "args": ["--port", 8080, true], "env": {"N": 1, "B": false, "NOTHING": null}},
        "places": {"command": "x", "args": ["${workspaceFolder}/src"], "env": {"ROOT": "${workspaceFolder}", "T": "$TOKEN"}},
        "pairs": {"command": "x", "env": ["A=1", {"name": "B", "value": "2"}]},
        "opencode": {"type": "local", "command": ["x"], "environment": {"A": "{env:B}"}},
        "chosen": {"command": "x", "tools": ["read", "write"]},
        "plugin": {"command": "${CLAUDE_PLUGIN_ROOT}/bin/x"},
        "off": {"command": "x", "disabled": "true"}, "inactive": {"command": "x", "isActive": false}, "null": null
    }}"#;
    let expected = [
        "chosen: x [read,write]",
        "numbers: x --port 8080 true B=false N=1",
        "opencode: x A=${B}",
        "pairs: x A=1 B=2",
        "places: x {workspace}/src ROOT={workspace} T=${TOKEN}",
        "plugin: /home/me/bin/x",
    ];
    let mut found = lines(file);
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn one_odd_entry_leaves_the_others() {
    for odd in [
        r#""text""#,
        "7",
        "[]",
        "true",
        "{}",
        r#"{"command": 7}"#,
        r#"{"command": ""}"#,
        r#"{"command": []}"#,
        r#"{"command": null}"#,
        r#"{"command": {}}"#,
        r#"{"command": "x", "args": {}}"#,
        r#"{"command": "x", "args": [[]]}"#,
        r#"{"command": "x", "env": "A"}"#,
        r#"{"command": "x", "env": {"A": {}}}"#,
        r#"{"type": 7}"#,
        r#"{"type": "nonsense"}"#,
        r#"{"serverUrl": "https://x"}"#,
        r#"{"httpUrl": "https://x"}"#,
        r#"{"type": "streamable-http", "url": "https://x"}"#,
        r#"{"type": "remote", "url": "https://x"}"#,
    ] {
        let file = format!(r#"{{"mcpServers": {{"odd": {odd}, "good": {{"command": "x"}}}}}}"#);
        let found = parse(&file, Path::new("mcp.json"));
        assert_eq!(found.problems, [], "{odd}");
        let names: Vec<_> = found.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!((names, found.left_out.len()), (vec!["good"], 1), "{odd}");
        assert!(found.left_out[0].what.contains("`odd`"), "{odd}: {:?}", found.left_out[0]);
    }
}

#[test]
fn text_of_windows_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp.json");
    let text = "\u{feff}{\"mcpServers\": {}}";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes().to_vec(), wide] {
        fs::write(&path, bytes).expect("written");
        let read = read(&path).expect("text");
        assert!(read.ends_with("{\"mcpServers\": {}}"), "{read:?}");
        assert_eq!(parse(&read, &path).problems, []);
    }
    fs::write(&path, [0x80, 0xff]).expect("written");
    assert!(read(&path).is_err());
}
