use crate::{
    case::{Case, Ground, Runtime, cases},
    conversation::stdout,
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Event, Setup, docker, package, program};
use serde_json::{Value, json};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        server_everything_from_npm_runs_in_the_sandbox needs JavaScript;
        server_filesystem_from_npm_shares_the_workspace needs JavaScript;
        a_server_that_cannot_start_leaves_the_others_alone;
    ]
}

/// A server whose sandboxes also run an MCP server out of the npm packages of these tests.
fn with_server(ground: &Ground, name: &str, arguments: &[&str]) -> Result<Setup> {
    if ground.runtime() == Runtime::Docker {
        return in_an_image(ground, name, arguments);
    }
    let node = program("node").context("no node")?;
    let main = package(&format!("@modelcontextprotocol/server-{name}/dist/index.js"));
    let modules = package("");
    let mut args = vec![main.display().to_string()];
    args.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Ok(ground.setup().config(&format!(
        "sandbox.local.read_only = [{}]
         mcp_servers.{name} = {{ command = {}, args = {} }}",
        json!(modules),
        json!(node),
        json!(args),
    )))
}

/// The same out of an image that holds Node.js and the packages.
fn in_an_image(ground: &Ground, name: &str, arguments: &[&str]) -> Result<Setup> {
    docker::need_node_image()?;
    let main = format!("{}/@modelcontextprotocol/server-{name}/dist/index.js", docker::MODULES);
    let args: Vec<_> = [main.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    Ok(ground.setup().config(&format!(
        "sandbox.docker.image = '{}'
         mcp_servers.{name} = {{ command = 'node', args = {} }}",
        docker::NODE_IMAGE,
        json!(args),
    )))
}

async fn server_everything_from_npm_runs_in_the_sandbox(ground: Rc<Ground>) -> Result<()> {
    let server = with_server(&ground, "everything", &["stdio"])?.start().await?;
    let mut client = server.connect().open().await?;
    let steps = [
        calls(&[("echo", json!({ "message": "from afar" })), ("get-sum", json!({ "a": 19, "b": 23 }))]),
        calls(&[("trigger-long-running-operation", json!({ "duration": 1, "steps": 4 }))]),
        calls(&[("get-tiny-image", json!({}))]),
    ];
    client.say(&script(&steps)).await?;
    let events = client.approve_all().await?;
    let mut outputs: Vec<&Event> = events.iter().filter(|event| event.name == "tool:output").collect();
    // Calls of a step run side by side: which of them is done first is nobody's promise.
    outputs.sort_by_key(|event| event.call().map(str::to_owned));
    ensure!(outputs.len() == 4, "{events:?}");
    ensure!(stdout(outputs[0]).contains("from afar"), "{:?}", outputs[0]);
    ensure!(stdout(outputs[1]).contains("42"), "{:?}", outputs[1]);
    ensure!(events.iter().any(|event| event.name == "tool:progress"), "a long call tells of its progress");
    let image: Value = serde_json::from_str(outputs[3].text())?;
    let parts = image.as_array().context("content is an array")?;
    ensure!(parts.iter().any(|part| part["type"] == "image"), "{image}");
    Ok(())
}

async fn server_filesystem_from_npm_shares_the_workspace(ground: Rc<Ground>) -> Result<()> {
    let server = with_server(&ground, "filesystem", &["."])?.start().await?;
    let mut client = server.connect().open().await?;
    let steps = [
        run("echo written by the workspace server > shared.txt"),
        calls(&[("filesystem__read_text_file", json!({ "path": "shared.txt" }))]),
        calls(&[("filesystem__read_text_file", json!({ "path": "/etc/hostname" }))]),
    ];
    client.say(&script(&steps)).await?;
    let events = client.approve_all().await?;
    let outputs: Vec<&Event> = events.iter().filter(|event| event.name == "tool:output").collect();
    ensure!(outputs.len() == 2 && stdout(outputs[1]).contains("written by the workspace server"), "{events:?}");
    ensure!(events.iter().any(|event| event.name == "tool:error"), "a path outside is refused by that server");
    Ok(())
}

async fn a_server_that_cannot_start_leaves_the_others_alone(ground: Rc<Ground>) -> Result<()> {
    let setup = ground.setup().config("mcp_servers.absent = { command = '/no/such/program' }");
    let server = setup.start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo the others work")])).await?;
    let events = client.approve_all().await?;
    ensure!(events.iter().any(|event| event.name == "tool:output" && stdout(event).contains("the others work")));
    let told = client.journal().iter().any(|event| event.name == "system:message" && event.text().contains("absent"));
    ensure!(told, "nobody was told: {:?}", client.journal());
    Ok(())
}
