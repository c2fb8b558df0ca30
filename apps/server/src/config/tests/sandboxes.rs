//! What chooses where MCP servers run, and what follows from it.

use super::*;
use std::path::Path;

#[test]
fn in_containers_the_image_holds_the_built_in_server() {
    let sources = file("[mcp_servers.files]\ncommand = 'serve-files'\nargs = ['--root={workspace}']\n");
    let found = mcp_servers::servers(&sources.load(), Path::new("/nowhere/lockkeeper"), RuntimeKind::Docker);
    assert_eq!(found.problems, []);
    let commands: Vec<_> = found.all.iter().map(|server| server.command.join(" ")).collect();
    let workspace = "/usr/local/bin/lockkeeper-workspace serve --root {workspace}";
    assert_eq!(commands, [workspace, "serve-files --root={workspace}"]);
}

#[test]
fn variables_choose_the_sandboxes() {
    let environment: &[_] =
        &[("SANDBOX_RUNTIME", "docker"), ("SANDBOX_IMAGE", "tools:1"), ("DOCKER_HOST", "unix:///run/x.sock")];
    let sandbox = Sources { environment, ..Sources::default() }.load().config.sandbox;
    assert_eq!(sandbox.runtime, Some(RuntimeKind::Docker));
    assert_eq!((sandbox.docker.image.as_str(), sandbox.docker.host.as_str()), ("tools:1", "unix:///run/x.sock"));
}

#[test]
fn settings_of_an_engine_that_nobody_chose_are_no_problem() {
    let environment: &[_] = &[("DOCKER_HOST", "ssh://elsewhere")];
    check(Mode::Dev, &Sources { environment, ..Sources::default() }, &[]);
    let chosen = Sources { environment, file: "sandbox.runtime = 'docker'", ..Sources::default() };
    check(Mode::Dev, &chosen, &["bad_value sandbox.docker.host @ environment variable DOCKER_HOST"]);
}
