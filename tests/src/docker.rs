//! What a case needs to know of the Docker engine, asked of the engine itself and not of the code under test.

use crate::{Binaries, Tool, environment, repository};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

/// The image of these tests: what `lockkeeper image build` makes of today's programs.
pub const IMAGE: &str = "lockkeeper/sandbox:e2e";
/// The same with Node.js, and the MCP servers from npm below [`MODULES`].
pub const NODE_IMAGE: &str = "lockkeeper/sandbox:e2e-node";
/// Where they lie in it.
pub const MODULES: &str = "/opt/mcp/node_modules";

/// The label that says whose a container is.
const OWNER: &str = "io.lockkeeper.owner";
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the engine listens.
pub fn socket() -> PathBuf {
    let host = environment::docker_host().unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}

/// Whether an engine answers.
pub fn answers() -> bool {
    matches!(request("GET", "/_ping"), Ok((200, _)))
}

/// The containers of a deployment, running or not, by their ids.
pub fn containers(deployment: &str) -> Result<Vec<String>> {
    containers_at(&socket(), deployment)
}

/// Those of the engine that listens at this socket.
pub fn containers_at(socket: &Path, deployment: &str) -> Result<Vec<String>> {
    let filters = format!("{{%22label%22:[%22{OWNER}={deployment}%22]}}");
    let (status, body) = request_at(socket, "GET", &format!("/containers/json?all=true&filters={filters}"))?;
    ensure!(status == 200, "the engine lists no containers: {status}");
    let all: Vec<Value> = serde_json::from_slice(&body)?;
    Ok(all.iter().filter_map(|one| one["Id"].as_str().map(str::to_owned)).collect())
}

/// Removes a container, however it is.
pub fn remove(container: &str) -> Result<()> {
    let (status, _) = request("DELETE", &format!("/containers/{container}?force=true&v=true"))?;
    ensure!([204, 404, 409].contains(&status), "the engine does not remove {container}: {status}");
    Ok(())
}

/// Removes all containers of a deployment.
pub fn sweep_containers(deployment: &str) {
    for container in containers(deployment).unwrap_or_default() {
        let _ = remove(&container);
    }
}

/// Makes sure that the engine has the image of these tests, made of today's programs.
pub fn need_image() -> Result<()> {
    build(IMAGE, &[])
}

/// The same with Node.js and the MCP servers from npm.
pub fn need_node_image() -> Result<()> {
    let modules = format!("{}:{MODULES}", crate::package("").display());
    build(NODE_IMAGE, &["--with-node", "--add", &modules])
}

/// Builds an image unless one is there that is newer than what it is made of. One test does it at a time.
fn build(tag: &str, arguments: &[&str]) -> Result<()> {
    let folder = repository().join("target/tmp");
    fs::create_dir_all(&folder)?;
    let stamp = folder.join(tag.replace(['/', ':'], "-"));
    let file = fs::File::options().create(true).append(true).open(&stamp)?;
    file.lock()?;
    let server = &Binaries::find()?.server;
    let built = fs::read_to_string(&stamp)?;
    let inputs = [server.as_path(), &Tool::static_workspace(), &crate::package(".package-lock.json")];
    let newest = inputs.iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).max();
    let token = format!("{:?}", newest.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()));
    if built == token && matches!(request("GET", &format!("/images/{tag}/json")), Ok((200, _))) {
        return Ok(());
    }
    let host = format!("sandbox.docker.host=unix://{}", socket().display());
    let output = Command::new(server)
        .args(["image", "build", "--set", &host, "--tag", tag, "--workspace"])
        .arg(Tool::static_workspace())
        .args(arguments)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file.set_len(0)?;
    fs::write(&stamp, token)?;
    Ok(())
}

/// Asks the engine. In HTTP/1.0, so that an answer ends with its connection.
fn request(method: &str, path: &str) -> Result<(u16, Vec<u8>)> {
    request_at(&socket(), method, path)
}

fn request_at(socket: &Path, method: &str, path: &str) -> Result<(u16, Vec<u8>)> {
    let mut stream = connect(socket)?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").context("the engine's answer is cut off")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let Some(status) = status else { bail!("the engine does not speak HTTP: {head}") };
    Ok((status, answer.split_off(end + 4)))
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket).with_context(|| format!("no engine at {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
