//! An MCP client that writes JSON-RPC lines and reads them back.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::{Value, json};

/// How long a test waits for what must come; only a failure takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lockkeeper-workspace");

/// A session with a server over a workspace of its own.
pub(crate) struct Client {
    pub(crate) server: Child,
    pub(crate) folder: tempfile::TempDir,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Messages that came while another was awaited.
    early: Vec<Value>,
    next_id: u64,
}

impl Client {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut client = Self::uninitialised(&[BINARY], flags);
        client.initialize("2025-11-25");
        client.notify("notifications/initialized", &json!({}));
        client
    }

    /// A server that is started by `command`, the binary's path included.
    pub(crate) fn uninitialised(command: &[&str], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let root = folder.path().join("ws");
        std::fs::create_dir(&root).expect("made");
        let mut server = Command::new(command[0])
            .args(&command[1..])
            .args(["serve", "--root"])
            .arg(&root)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdin = server.stdin.take();
        let stdout = BufReader::new(server.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { server, folder, stdin, lines, early: Vec::new(), next_id: 1 }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("ws")
    }

    pub(crate) fn initialize(&mut self, version: &str) -> Value {
        let client = json!({ "name": "test", "version": "1" });
        self.request("initialize", &json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client }))
    }

    pub(crate) fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not hung up");
        stdin.write_all(line.as_bytes()).expect("written");
        stdin.write_all(b"\n").expect("written");
    }

    pub(crate) fn send(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send_line(&request.to_string());
        id
    }

    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.send_line(&message.to_string());
    }

    /// The first message that `wanted` picks.
    pub(crate) fn await_message(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&wanted) {
            return self.early.remove(at);
        }
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the server answers");
            let message: Value = serde_json::from_str(&line).expect("the server writes JSON");
            if wanted(&message) {
                return message;
            }
            self.early.push(message);
        }
    }

    /// Whether an answer to `id` came while others were awaited.
    pub(crate) fn answered(&self, id: u64) -> bool {
        self.early.iter().any(|message| message["id"] == id)
    }

    pub(crate) fn answer(&mut self, id: u64) -> Value {
        self.await_message(|message| message["id"] == id)
    }

    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    pub(crate) fn send_call(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.send("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Outcome {
        let id = self.send_call(tool, arguments);
        self.outcome(id)
    }

    pub(crate) fn outcome(&mut self, id: u64) -> Outcome {
        let answer = self.answer(id);
        Outcome(answer.get("result").cloned().unwrap_or_else(|| panic!("no result: {answer}")))
    }

    pub(crate) fn run(&mut self, command: &str) -> Outcome {
        self.call("execute_command", &json!({ "command": command }))
    }

    /// Makes a FIFO in the workspace: opening it is how a test and a command meet.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.root().join(name);
        make_fifo(&path);
        path
    }

    pub(crate) fn hang_up(&mut self) {
        drop(self.stdin.take());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.server.wait();
    }
}

pub(crate) fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
}

/// The result of a tool call.
#[derive(Debug)]
pub(crate) struct Outcome(pub(crate) Value);

impl Outcome {
    pub(crate) fn is_error(&self) -> bool {
        self.0["isError"] == true
    }

    /// The text blocks, joined by line ends.
    pub(crate) fn text(&self) -> String {
        let blocks = self.0["content"].as_array().expect("content");
        let texts = blocks.iter().filter_map(|block| block["text"].as_str());
        texts.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn structured(&self) -> &Value {
        &self.0["structuredContent"]
    }

    #[track_caller]
    pub(crate) fn expect_text(&self, expected: &str) {
        assert_eq!((self.text().as_str(), self.is_error()), (expected, false));
    }

    #[track_caller]
    pub(crate) fn expect_error(&self, part: &str) {
        assert!(self.is_error() && self.text().contains(part), "{part:?} is not in {:?}", self.0);
    }
}
