use crate::world::{World, eventually};
use lockkeeper_domain::{Code, ServerName};
use lockkeeper_ports::{ServerState, ToolSessionStatus};
use serde_json::json;

fn status(state: ServerState) -> ToolSessionStatus {
    let up = state == ServerState::Up;
    ToolSessionStatus {
        server: ServerName::new("box"),
        state,
        tools: up.then_some(3),
        problem: (!up).then(|| "MCP server box ended with exit status 1".to_owned()),
        code: (!up).then_some(Code::ToolCrashed),
        left_out: Vec::new(),
    }
}

#[tokio::test]
async fn every_view_is_told_how_servers_do_and_one_that_comes_later_what_is_not_up() {
    let world = World::new([]);
    let (mut one, mut two) = (world.ready("sessionId=s1").await, world.ready("sessionId=s1").await);
    world.host.tell(status(ServerState::Restarting));
    let down = json!({"server": "box", "state": "restarting", "tools": 0,
                      "problem": "MCP server box ended with exit status 1", "code": "tool_crashed"});
    for view in [&mut one, &mut two] {
        let told = view.until("mcp:status").await;
        assert_eq!((&told.payload, told.meta.get("id")), (&down, None));
    }
    let mut later = world.ready("sessionId=s1").await;
    assert_eq!(later.until("mcp:status").await.payload, down);
    world.host.tell(status(ServerState::Up));
    for view in [&mut one, &mut two, &mut later] {
        assert_eq!(view.until("mcp:status").await.payload, json!({"server": "box", "state": "up", "tools": 3}));
    }
    assert_eq!(world.log("s1").await, [], "nothing of it is logged");
}

#[tokio::test]
async fn connections_and_refusals_are_counted() {
    let world = World::builder([]).tokens([("ann", "the-token-of-ann-1")]).build();
    let tally = world.gateway.tally();
    let mut stranger = world.connect("sessionId=s1", json!({"token": "another"})).await;
    stranger.until_end().await;
    drop(stranger);
    let mut ann = world.connect("sessionId=s1", json!({"token": "the-token-of-ann-1"})).await;
    ann.until("system:ready").await;
    assert_eq!(ann.call("turn:cancel", json!(null)).await["code"], "nothing_running");
    assert_eq!(ann.call("turn:cancel", json!(null)).await["code"], "nothing_running");
    let counts = [("command", Code::NothingRunning, 2), ("connection", Code::Unauthenticated, 1)];
    assert_eq!(tally.refusals(), counts);
    eventually("the stranger is gone", || tally.connections() == 1).await;
}
