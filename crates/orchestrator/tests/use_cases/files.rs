//! A session's owner looks at the files of the sandbox.

use crate::desk::{Desk, User, principal};
use lockkeeper_domain::{Code, Content, KnownContent, Seq, ToolResult};
use lockkeeper_orchestrator::{EntryKind, Janitor, Swept};
use lockkeeper_ports::{Clock, EventLog, SandboxId, SessionRepository};
use lockkeeper_testkit::{llm::Step, tools::FakeTool};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A desk whose sandboxes hold `a.txt` of six bytes, in parts of three.
fn desk() -> Desk {
    let desk = Desk::new([Step::text("hi")]);
    let read = |args: serde_json::Value, _| async move {
        let from = usize::try_from(args["offset"].as_u64().unwrap_or(0)).expect("small");
        let mut content = vec![Content::text(&"abcdef"[from..from + 3])];
        if from == 0 {
            content.push(Content::text("[Bytes 0 to 3 of 6. Next offset: 3.]"));
        }
        ToolResult::succeeded(content)
    };
    desk.host.set_tools([
        FakeTool::says("box", "list_files", "file  a.txt  6\ndir   sub/\n"),
        FakeTool::new("box", "read_file", read),
    ]);
    desk
}

#[tokio::test(start_paused = true)]
async fn a_look_is_answered_from_any_server_and_leaves_no_trace_in_the_log() {
    let desk = desk();
    let owner = User::ready(&desk.another().manager()).await;
    let other = User::ready(&desk.another().manager()).await;
    for user in [&owner, &other] {
        let listing = user.manager.list_files(&user.session, &user.me, ".".to_owned()).await.expect("listed");
        let entries: Vec<_> = listing.entries.iter().map(|e| (e.name.as_str(), e.kind, e.size)).collect();
        assert_eq!(entries, [("a.txt", EntryKind::File, Some(6)), ("sub", EntryKind::Directory, None)]);
        let read = |offset| user.manager.read_file(&user.session, &user.me, "a.txt".to_owned(), offset, Some(3));
        let (first, last) = (read(0).await.expect("read"), read(3).await.expect("read"));
        assert_eq!((first.content, first.next_offset), (vec![Content::text("abc")], Some(3)));
        assert_eq!((last.content, last.next_offset), (vec![Content::text("def")], None));
    }
    assert_eq!((owner.manager.live_sessions(), other.manager.live_sessions()), (1, 0), "one server drives it");
    let calls = desk.host.calls();
    assert_eq!(calls[1].args, json!({"path": "a.txt", "offset": 0, "limit": 3, "unit": "bytes"}));
    assert_eq!((desk.store.last(&owner.session).await.expect("a log").seq, calls.len()), (Seq::default(), 6));
}

#[tokio::test(start_paused = true)]
async fn nobody_else_sees_the_files_and_nothing_is_started_for_a_look() {
    let desk = desk();
    let ann = User::ready(&desk.manager()).await;
    let bob = principal("bob");
    let list = |by| ann.manager.list_files(&ann.session, by, ".".to_owned());
    assert_eq!(list(&bob).await.expect_err("not his").code, Code::Forbidden);
    ann.manager.end(&ann.session, &ann.me).await.expect("ended");
    let refused = list(&ann.me).await.expect_err("there is no sandbox");
    assert_eq!(refused.code, Code::SandboxUnavailable);
    assert_eq!((ann.manager.live_sessions(), desk.host.sessions().len()), (0, 1), "another sandbox was started");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_without_the_built_in_server_says_so() {
    let mut desk = desk();
    desk.workspace = None;
    let ann = User::ready(&desk.manager()).await;
    let refused = ann.manager.list_files(&ann.session, &ann.me, ".".to_owned()).await.expect_err("no such server");
    assert_eq!(refused.code, Code::UnknownTool);
    assert!(refused.hint.expect("a hint").contains("mcp.workspace"));
}

#[tokio::test(start_paused = true)]
async fn looks_are_bounded_in_number_in_time_and_in_size() {
    let mut desk = desk();
    desk.config.looks_at_once = 1;
    desk.config.max_look_bytes = 2_048;
    let image = KnownContent::Image { data: "iVBORw0KGgo=".to_owned(), mime_type: "image/png".to_owned() };
    let gate = Arc::new(Semaphore::new(0));
    desk.host.set_tools([
        FakeTool::waits_for("box", "list_files", Arc::clone(&gate), "[The directory is empty.]"),
        FakeTool::answers("box", "read_file", ToolResult::succeeded(vec![Content::Known(image.clone())])),
    ]);
    let ann = User::ready(&desk.manager()).await;
    let list = || ann.manager.list_files(&ann.session, &ann.me, ".".to_owned());
    let (hung, refused) = tokio::join!(list(), list());
    assert_eq!(hung.expect_err("five seconds are over").code, Code::ToolTimeout);
    assert_eq!(refused.expect_err("one at once").code, Code::Busy);
    let part = ann.manager.read_file(&ann.session, &ann.me, "a.png".to_owned(), 0, Some(9_999)).await.expect("read");
    assert_eq!(part.content, [Content::Known(image)]);
    assert_eq!(desk.host.calls()[1].args["limit"], 2_048);
    gate.add_permits(1);
    assert_eq!(list().await.expect("room again").entries, []);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_instead_is_the_answer() {
    let desk = desk();
    desk.host.set_tools([FakeTool::fails("box", "list_files", Code::ToolFailed, "x does not exist.")]);
    let ann = User::ready(&desk.manager()).await;
    let refused = ann.manager.list_files(&ann.session, &ann.me, "x".to_owned()).await.expect_err("not there");
    assert_eq!((refused.code, refused.message.as_str()), (Code::ToolFailed, "x does not exist."));
    let missing = ann.manager.read_file(&ann.session, &ann.me, "x".to_owned(), 0, None).await.expect_err("no tool");
    assert_eq!(missing.code, Code::SandboxUnavailable);
    desk.host.lose_sandbox(&SandboxId::new(ann.sandbox().await));
    let gone = ann.manager.list_files(&ann.session, &ann.me, "x".to_owned()).await.expect_err("gone");
    assert_eq!(gone.code, Code::SandboxUnavailable);
}

/// Reading files for a long time is use, on this server and in the store.
#[tokio::test(start_paused = true)]
async fn session_whose_files_are_read_never_expires() {
    let desk = desk();
    let ann = User::ready(&desk.manager()).await;
    let janitor = Janitor::new(Arc::clone(&ann.manager));
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_mins(1)).await;
        ann.manager.list_files(&ann.session, &ann.me, ".".to_owned()).await.expect("listed");
        assert_eq!(janitor.sweep().await, Swept::default());
    }
    let record = desk.store.get(&ann.session).await.expect("read").expect("a record");
    assert!(desk.clock.now().since(record.last_active_at) < Duration::from_mins(2));
}
