//! The handshake, the tool list, and requests that are not valid.

use serde_json::{Value, json};

use crate::client::{BINARY, Client};

#[test]
fn the_handshake_agrees_on_the_version_of_the_client() {
    for version in ["2025-11-25", "2025-06-18"] {
        let mut client = Client::uninitialised(&[BINARY], &[]);
        let answer = client.initialize(version);
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert_eq!(answer["result"]["capabilities"], json!({ "tools": {} }));
        assert_eq!(answer["result"]["serverInfo"]["name"], "lockkeeper-workspace");
    }
}

#[test]
fn the_tool_list_is_the_one_on_record() {
    let mut client = Client::start(&[]);
    let answer = client.request("tools/list", &json!({}));
    insta::assert_json_snapshot!(answer["result"]["tools"]);
}

#[test]
fn limits_given_as_flags_show_in_the_tool_list() {
    let mut client = Client::start(&["--timeout-ms", "7", "--max-timeout-ms", "8"]);
    let answer = client.request("tools/list", &json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list");
    let run = tools.iter().find(|tool| tool["name"] == "execute_command").expect("listed");
    let timeout = &run["inputSchema"]["properties"]["timeout_ms"];
    assert_eq!((&timeout["default"], &timeout["maximum"]), (&json!(7), &json!(8)));
}

#[test]
fn a_session_without_initialize_works_as_2026_07_28_has_it() {
    let mut client = Client::uninitialised(&[BINARY], &[]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    let arguments = json!({ "command": "echo hello" });
    let params = json!({ "name": "execute_command", "arguments": arguments, "_meta": meta });
    let answer = client.request("tools/call", &params);
    assert_eq!(answer["result"]["structuredContent"]["stdout"], "hello\n", "{answer}");
}

#[test]
fn an_unknown_tool_is_a_protocol_error() {
    let mut client = Client::start(&[]);
    let answer = client.request("tools/call", &json!({ "name": "rm", "arguments": {} }));
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["message"], "Unknown tool: rm");
}

#[test]
fn arguments_that_do_not_fit_are_errors_that_name_the_fault() {
    let mut client = Client::start(&[]);
    let cases: [(&str, Value, &str); 7] = [
        ("read_file", json!({}), "missing field `path`"),
        ("read_file", json!({ "path": "a", "lines": 3 }), "unknown field `lines`"),
        ("read_file", json!({ "path": "a", "unit": "words" }), "unknown variant `words`"),
        ("write_file", json!({ "path": "a", "content": 3 }), "invalid type: integer `3`"),
        ("list_files", json!({ "path": ".", "all": true }), "unknown field `all`"),
        ("execute_command", json!({ "command": "true", "timeout_ms": 0 }), "between 1 and 600000"),
        ("execute_command", json!({ "command": "true", "shell": "zsh" }), "unknown field `shell`"),
    ];
    for (tool, arguments, part) in cases {
        client.call(tool, &arguments).expect_error(part);
    }
}

#[test]
fn noise_on_the_wire_does_not_end_the_session() {
    let mut client = Client::start(&[]);
    client.send_line("not json");
    client.send_line("");
    client.send_line("{\"jsonrpc\":\"2.0\",\"id\":99,\"method\":\"no/such\"}\r");
    assert_eq!(client.answer(99)["error"]["code"], -32601);
    client.run("echo still here").expect_text("still here");
}

#[test]
fn the_server_ends_with_its_input() {
    let mut client = Client::start(&[]);
    client.hang_up();
    assert!(client.server.wait().expect("it ends").success());
}

#[test]
fn a_root_that_is_not_there_is_said_on_standard_error() {
    let output =
        std::process::Command::new(BINARY).args(["serve", "--root", "/no/such/place"]).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot open the workspace /no/such/place"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}
