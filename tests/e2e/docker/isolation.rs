//! MCP servers of one session that are hostile to each other, and an engine whose OCI runtime hangs.

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{calls, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Engine, Event, PATIENCE, docker};
use serde_json::{Value, json};
use std::{rc::Rc, time::Duration};
use tokio::time::{interval, timeout};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        an_approved_command_cannot_reach_another_server;
        files_of_every_server_are_seen_and_shared;
        server_that_one_user_stops_starts_for_another;
        server_that_one_user_crashes_starts_for_another;
        a_runtime_that_hangs_at_the_start_is_told needs OwnEngine;
    ]
}

const TOKEN: &str = "github-token-of-another-server";

/// A second server with a secret, whose tools are those of the built-in one.
async fn with_github(ground: &Ground) -> Result<lockkeeper_tests::Server> {
    let command = "mcp_servers.github = { command = 'lockkeeper-workspace', args = ['serve', '--root', '/workspace'], \
                   env = { GITHUB_TOKEN = 'TOKEN' } }";
    ground.setup().config(&command.replace("TOKEN'", &format!("{TOKEN}'"))).start().await
}

/// A step in which the built-in server runs a command: `github` has a tool of the same name.
fn in_workspace(command: &str) -> Value {
    calls(&[("workspace__execute_command", json!({ "command": command }))])
}

async fn outputs(client: &mut Client, steps: &[Value]) -> Result<Vec<Event>> {
    client.say(&script(steps)).await?;
    let events = client.approve_all().await?;
    Ok(events.into_iter().filter(|event| event.name == "tool:output").collect())
}

/// Covers: S1-2
async fn an_approved_command_cannot_reach_another_server(ground: Rc<Ground>) -> Result<()> {
    let server = with_github(&ground).await?;
    let mut client = server.connect().open().await?;
    // Backwards, since the plain secret is redacted from every output.
    let read = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep GITHUB | rev; echo looked";
    let inject = r#"call='{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"execute_command","arguments":{"command":"id > /workspace/ungated"}}}'
        for dir in /proc/[0-9]*; do
            [ "$(stat -c %u $dir 2>/dev/null || id -u)" = $(id -u) ] && continue
            echo found $dir
            for fd in 0 1; do (echo "$call" > $dir/fd/$fd) 2>/dev/null && echo wrote $dir/$fd; done
            kill -STOP ${dir#/proc/} 2>/dev/null && echo stopped $dir
        done; echo tried"#;
    let through = json!({ "command": "echo the truth; id -u" });
    let steps = [
        in_workspace(read),
        in_workspace(inject),
        calls(&[("github__execute_command", through)]),
        in_workspace("ls -A; id -u"),
    ];
    let seen = outputs(&mut client, &steps).await?;
    ensure!(seen.len() == 4, "{seen:?}");
    let read = stdout(&seen[0]);
    let backwards: String = TOKEN.chars().rev().collect();
    ensure!(read.contains("looked") && !read.contains(&backwards), "{read}");
    let injected = stdout(&seen[1]);
    // The init, the holder, the other server, and its supervisor.
    ensure!(injected.contains("tried") && injected.matches("found").count() >= 4, "{injected}");
    ensure!(!injected.contains("wrote") && !injected.contains("stopped"), "{injected}");
    let (other, own) = (stdout(&seen[2]), stdout(&seen[3]));
    ensure!(other.contains("the truth"), "it answers for itself: {other}");
    ensure!(!own.contains("ungated"), "no call ran past the gate: {own}");
    let user = |text: &str| text.lines().find_map(|line| line.trim().parse::<u32>().ok());
    ensure!(user(&other).is_some() && user(&other) != user(&own), "{other} and {own}");
    Ok(())
}

/// Covers: S1-2
async fn files_of_every_server_are_seen_and_shared(ground: Rc<Ground>) -> Result<()> {
    let server = with_github(&ground).await?;
    let mut client = server.connect().open().await?;
    let write = json!({ "path": "notes/a.txt", "content": "from github\n" });
    let steps = [
        calls(&[("github__write_file", write)]),
        in_workspace("echo and from workspace >> notes/a.txt && cat notes/a.txt"),
        calls(&[("github__read_file", json!({ "path": "notes/a.txt" }))]),
        calls(&[("github__execute_command", json!({ "command": "umask 077; echo closed > closed; whoami" }))]),
    ];
    let seen = outputs(&mut client, &steps).await?;
    ensure!(stdout(&seen[2]).contains("from github\nand from workspace\n"), "{:?}", seen[2]);
    ensure!(stdout(&seen[3]).contains("mcp"), "each user has a name: {:?}", seen[3]);
    let shown = client.call("workspace:read", json!({ "path": "notes/a.txt" })).await?;
    ensure!(shown["ok"] == true && shown.to_string().contains("from github"), "{shown}");
    // What a server closed to the others stays closed to the human's view, which goes through the built-in server.
    let listed = client.call("workspace:list", json!({})).await?;
    ensure!(listed["ok"] == true && listed.to_string().contains("closed"), "{listed}");
    let closed = client.call("workspace:read", json!({ "path": "closed" })).await?;
    ensure!(closed["ok"] != true && closed.to_string().contains("permission denied"), "{closed}");
    Ok(())
}

/// A server that reads in its sandbox's workspace whether to start.
const WILLING: &str = r#"case "$(cat /workspace/mode 2>/dev/null)" in stop) kill -STOP $$ ;; crash) exit 3 ;; esac
exec lockkeeper-workspace serve --root /workspace"#;

async fn server_that_one_user_stops_starts_for_another(ground: Rc<Ground>) -> Result<()> {
    one_users_failures_are_not_anothers(&ground, "stop").await
}

async fn server_that_one_user_crashes_starts_for_another(ground: Rc<Ground>) -> Result<()> {
    one_users_failures_are_not_anothers(&ground, "crash").await
}

/// Covers: S2-1
async fn one_users_failures_are_not_anothers(ground: &Ground, mode: &str) -> Result<()> {
    const ALICE: &str = "token-of-alice-0123456789abc";
    const BOB: &str = "token-of-bob-0123456789abcdef";
    let args = json!(["-c", WILLING]);
    let server = ground
        .setup()
        .config(&format!(
            "mcp_servers.github = {{ command = '/bin/sh', args = {args} }}
             mcp.limits.initialize_secs = 2
             mcp.limits.breaker_failures = 2
             mcp.limits.breaker_secs = 600
             auth.tokens.alice = '{ALICE}'
             auth.tokens.bob = '{BOB}'"
        ))
        .start()
        .await?;
    let mut alice = server.connect().auth("token", ALICE).open().await?;
    let end = calls(&[("github__execute_command", json!({ "command": "kill -9 $PPID" }))]);
    alice.say(&script(&[in_workspace(&format!("echo {mode} > mode")), end])).await?;
    alice.approve_all().await?;
    let is_held_back = |event: &Event| event.name == "mcp:status" && event.payload["state"] == "held_back";
    let held = alice.until_matching("the server to be held back", is_held_back).await?;
    ensure!(held.payload["server"] == "github", "{held:?}");
    // Only for her, in her next session as well.
    let mut next = server.connect().auth("token", ALICE).open().await?;
    next.until_matching("the server to be held back in the next session", is_held_back).await?;
    let mut bob = server.connect().auth("token", BOB).open().await?;
    let through = calls(&[("github__execute_command", json!({ "command": "echo it works" }))]);
    let seen = outputs(&mut bob, &[through]).await?;
    ensure!(stdout(&seen[0]).contains("it works"), "{seen:?}");
    Ok(())
}

/// Covers: A28
async fn a_runtime_that_hangs_at_the_start_is_told(ground: Rc<Ground>) -> Result<()> {
    let deployment = ground.deployment();
    // Of this case alone: processes are ended by it.
    let hung = format!("hung-runtime-of-{deployment}");
    let script = format!(
        "#!/bin/sh\nfor word; do [ \"$word\" = create ] && exec sh -c 'while :; do sleep 1; done' {hung}; done\n\
         exec runc \"$@\"\n"
    );
    let engine = Engine::with_runtime("hangs", &script)?;
    engine.build_image(docker::IMAGE)?;
    let server = ground
        .setup()
        .config(&format!(
            "sandbox.docker.host = '{}'
             sandbox.docker.runtime = 'hangs'
             sandbox.docker.start_timeout_ms = 2000
             sandbox.docker.stop_timeout_ms = 1000
             session.janitor_period_secs = 1
             session.orphan_grace_secs = 1",
            engine.host()
        ))
        .start()
        .await?;
    let mut client = server.connect().open_raw().await?;
    let told = client
        .until_matching("the sandbox's failure", |event| format!("{event:?}").contains("sandbox_unavailable"))
        .await?;
    let text = format!("{told:?}");
    ensure!(text.contains("did not start within 2s") && text.contains("Try again"), "{text}");
    ensure!(engine.kill_runtime(&hung) > 0, "the runtime hangs");
    let gone = async {
        let mut ticks = interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            engine.kill_runtime(&hung);
            if docker::containers_at(&engine.socket(), &deployment)?.is_empty() {
                return anyhow::Ok(());
            }
        }
    };
    timeout(PATIENCE, gone).await.context("a container is left")??;
    Ok(())
}
