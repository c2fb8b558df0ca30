//! Files as other programs write them.

use super::*;

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
        \"c\": {},\n\"d\": {\"command\": \"x\", \"args\": [1]},\n\"e\": {\"command\": \"x\", \"env\": []},\n\"f\": 1}}";
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
    assert!(found.problems[0].what.contains("did you mean `stdio`?"), "{:?}", found.problems[0]);
    assert!(found.problems[1].fix.contains("did you mean `command`?"), "{:?}", found.problems[1]);
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
