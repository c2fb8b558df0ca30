//! The bare side: the same container and the same MCP server by nothing but the calls of the engine's API, over its socket.

use anyhow::{Context, Result, bail, ensure};
use lockkeeper_tests::docker;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// The label that says whose a container is.
const OWNER: &str = "io.lockkeeper.owner";
/// How each frame of an attached stream begins: its kind, three zeros, its length.
const HEADER: usize = 8;
const STDOUT: u8 = 1;

/// What a server under test asked the engine for, to be asked for again.
#[derive(Debug)]
pub(crate) struct Profile {
    create: Value,
    exec: Value,
}

/// A container of the bare side's.
#[derive(Debug)]
pub(crate) struct Container(String);

/// An MCP server in a container, with its streams attached.
#[derive(Debug)]
pub(crate) struct Process {
    stream: UnixStream,
    /// What came and is no whole frame yet.
    frames: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    requests: u64,
}

impl Profile {
    /// Reads it off a container in which an MCP server runs. What is made from it is labelled as `owner`'s. The MCP server
    /// is run as it is, without the supervisor that the server under test puts before it.
    pub(crate) async fn of(container: &str, owner: &str) -> Result<Self> {
        let found = call("GET", &format!("/containers/{container}/json"), None).await?;
        let mut create = found["Config"].clone();
        let fields = create.as_object_mut().context("a container without a configuration")?;
        fields.remove("Hostname");
        fields.insert("Labels".into(), json!({ OWNER: owner }));
        fields.insert("HostConfig".into(), found["HostConfig"].clone());
        let exec = found["ExecIDs"][0].as_str().context("nothing runs in the container")?;
        let exec = call("GET", &format!("/exec/{exec}/json"), None).await?;
        let arguments = exec["ProcessConfig"]["arguments"].as_array().context("a process without arguments")?;
        let command: Vec<_> = arguments.iter().skip_while(|argument| *argument != "--").skip(1).collect();
        ensure!(!command.is_empty(), "the process is under no supervisor: {exec}");
        let exec = json!({
            "User": exec["ProcessConfig"]["user"],
            "WorkingDir": create["WorkingDir"],
            "Env": ["HOME=/workspace", "LANG=C.UTF-8"],
            "AttachStdin": true,
            "AttachStdout": true,
            "AttachStderr": true,
            "Cmd": command,
        });
        Ok(Self { create, exec })
    }

    /// From nothing to the list of the tools.
    pub(crate) async fn start(&self) -> Result<(Container, Process)> {
        let created = call("POST", "/containers/create", Some(&self.create)).await?;
        let id = created["Id"].as_str().context("a container without an id")?;
        call("POST", &format!("/containers/{id}/start"), None).await?;
        let exec = call("POST", &format!("/containers/{id}/exec"), Some(&self.exec)).await?;
        let mut process = Process::attach(exec["Id"].as_str().context("an exec without an id")?).await?;
        let client = json!({ "name": "bench", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        process.request("initialize", &hello).await?;
        process.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        let tools = process.request("tools/list", &json!({})).await?;
        ensure!(tools["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "no tools: {tools}");
        Ok((Container(id.to_owned()), process))
    }
}

impl Container {
    /// Gives it another name.
    pub(crate) async fn rename(&self, name: &str) -> Result<()> {
        call("POST", &format!("/containers/{}/rename?name={name}", self.0), None).await.map(drop)
    }

    /// Removes it.
    pub(crate) async fn remove(self) -> Result<()> {
        call("DELETE", &format!("/containers/{}?force=true&v=true", self.0), None).await.map(drop)
    }
}

impl Process {
    async fn attach(exec: &str) -> Result<Self> {
        let stream = connect().await?;
        let mut process = Self { stream, frames: Vec::new(), stdout: Vec::new(), stderr: Vec::new(), requests: 0 };
        let body = json!({ "Detach": false, "Tty": false }).to_string();
        let head = format!(
            "POST /exec/{exec}/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        process.stream.write_all(head.as_bytes()).await?;
        loop {
            if let Some(end) = end_of_head(&process.frames) {
                let head: Vec<u8> = process.frames.drain(..end).collect();
                let head = String::from_utf8_lossy(&head);
                ensure!(head.starts_with("HTTP/1.1 101"), "the engine does not attach: {head}");
                return Ok(process);
            }
            process.read().await?;
        }
    }

    /// A request, and what it was answered.
    pub(crate) async fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await?;
        loop {
            while let Some(end) = self.stdout.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.stdout.drain(..=end).collect();
                let mut message: Value = serde_json::from_slice(&line)?;
                if message["id"] == id {
                    ensure!(message.get("result").is_some(), "{method} was refused: {message}");
                    return Ok(message["result"].take());
                }
            }
            self.read().await?;
            self.sort_out();
        }
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        Ok(self.stream.write_all(format!("{message}\n").as_bytes()).await?)
    }

    async fn read(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.frames).await?;
        ensure!(read > 0, "the process has ended: {}", String::from_utf8_lossy(&self.stderr));
        Ok(())
    }

    /// Puts whole frames where they belong.
    fn sort_out(&mut self) {
        while let Some((header, _)) = self.frames.split_first_chunk::<HEADER>() {
            let [kind, _, _, _, length @ ..] = *header;
            let end = HEADER + u32::from_be_bytes(length) as usize;
            if self.frames.len() < end {
                return;
            }
            let stream = if kind == STDOUT { &mut self.stdout } else { &mut self.stderr };
            stream.extend(self.frames.drain(..end).skip(HEADER));
        }
    }
}

/// The id of a container, running or not, by its name.
pub(crate) async fn id_of(name: &str) -> Result<String> {
    let found = call("GET", &format!("/containers/{name}/json"), None).await?;
    found["Id"].as_str().map(str::to_owned).context("a container without an id")
}

/// Whether a process runs in a container, besides its own.
pub(crate) async fn is_in_use(container: &str) -> bool {
    let found = call("GET", &format!("/containers/{container}/json"), None).await;
    found.is_ok_and(|found| found["ExecIDs"].as_array().is_some_and(|execs| !execs.is_empty()))
}

/// One call of the API. In HTTP/1.0, so that the answer ends with its connection.
async fn call(method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let mut stream = connect().await?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = end_of_head(&answer).context("the engine's answer is cut off")?;
    let (head, rest) = answer.split_at(end);
    let head = String::from_utf8_lossy(head);
    match head.split_whitespace().nth(1) {
        Some("200" | "201") => Ok(serde_json::from_slice(rest)?),
        Some("204" | "304") => Ok(Value::Null),
        _ => bail!("{method} {path}: {head}{}", String::from_utf8_lossy(rest)),
    }
}

async fn connect() -> Result<UnixStream> {
    let socket = docker::socket();
    UnixStream::connect(&socket).await.with_context(|| format!("no engine at {}", socket.display()))
}

/// Where what follows a head begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4)
}
