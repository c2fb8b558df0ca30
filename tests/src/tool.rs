use crate::{Engine, binaries::is_as_new, browser, docker, environment};
use std::path::{Path, PathBuf};

/// Something that a test needs and that may not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Node.js with socket.io-client and the MCP servers from npm.
    JavaScript,
    /// Node.js with the parser of AsyncAPI documents.
    AsyncApi,
    /// Node.js with the client package, built.
    TypeScript,
    /// Python with python-socketio.
    Python,
    /// llama.cpp with a small model.
    RealModel,
    /// Chromium with what drives it, and the console that it shows.
    Browser,
    /// The statically linked workspace binary.
    StaticWorkspace,
    /// A Redis server, and the client that makes a cluster of several.
    Redis,
    /// What checks units of systemd.
    Systemd,
    /// A Docker engine, and what the image of its sandboxes is made of.
    Docker,
    /// What a Docker engine of a test's own takes.
    OwnEngine,
}

impl Tool {
    /// Why it is not there, and what provides it; `None` when it is.
    pub fn missing(self) -> Option<String> {
        let (what, path, command) = match self {
            Self::Docker => return docker_missing(),
            Self::OwnEngine => return Engine::missing(),
            Self::Redis => {
                let missing = ["redis-server", "redis-cli"].into_iter().find(|name| program(name).is_none());
                return missing.map(|name| format!("there is no {name}; run `apt-get install redis-server`"));
            }
            Self::Systemd => {
                let missing = program("systemd-analyze").is_none();
                return missing.then(|| "there is no systemd-analyze; run `apt-get install systemd`".to_owned());
            }
            Self::Browser => return browser::missing(),
            Self::JavaScript | Self::AsyncApi | Self::TypeScript if program("node").is_none() => {
                return Some("Node.js 18 or later is not on the PATH; `./scripts/test` says how to get it".to_owned());
            }
            Self::JavaScript => {
                let path = package("socket.io-client/package.json");
                ("the npm packages of the clients are not installed", path, "npm ci --prefix tests/clients/js")
            }
            Self::AsyncApi => {
                let path = asyncapi("node_modules/@asyncapi/parser/package.json");
                ("the parser of AsyncAPI documents is not installed", path, "npm ci --prefix tests/clients/asyncapi")
            }
            Self::TypeScript => {
                let path = repository().join("apps/client/dist/index.js");
                (
                    "the client package is not built",
                    path,
                    "npm ci --prefix apps/client && npm --prefix apps/client run build",
                )
            }
            Self::Python => {
                let made = "python3 -m venv tests/clients/python/.venv && \
                     tests/clients/python/.venv/bin/pip install -r tests/clients/python/requirements.txt";
                ("the Python client is not installed", clients().join("python/.venv/bin/python"), made)
            }
            Self::RealModel => {
                let model = "a language model of one's own is not installed";
                (model, clients().join("real-model/.venv/installed"), "./scripts/test --real-model")
            }
            Self::StaticWorkspace => {
                ("the static workspace binary is not built", Self::static_workspace(), "./scripts/workspace-static")
            }
        };
        (!path.exists()).then(|| format!("{what}; run `{command}`"))
    }

    /// Where `./scripts/workspace-static` puts its program.
    pub fn static_workspace() -> PathBuf {
        repository().join("target/static/lockkeeper-workspace")
    }
}

fn docker_missing() -> Option<String> {
    if !docker::answers() {
        let socket = docker::socket();
        return Some(format!("no Docker engine answers at {}; run `./scripts/test` or `dockerd`", socket.display()));
    }
    let (program, missing) = (Tool::static_workspace(), Tool::StaticWorkspace.missing());
    let stale = || {
        let list = repository().join("target/release/lockkeeper-workspace.d");
        let stale = !is_as_new(&program, &list);
        stale.then(|| {
            "the static workspace binary is older than its source; run `./scripts/workspace-static`".to_owned()
        })
    };
    missing.or_else(stale)
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository").to_owned()
}

/// A file out of the npm packages of these tests.
pub fn package(path: &str) -> PathBuf {
    clients().join("js/node_modules").join(path)
}

/// A file of what holds the AsyncAPI document against its specification.
pub fn asyncapi(path: &str) -> PathBuf {
    clients().join("asyncapi").join(path)
}

/// A program of the client package's own tests against a server.
pub fn typescript(name: &str) -> PathBuf {
    repository().join("apps/client/tests/server").join(name)
}

/// Where the program of this name is.
pub fn program(name: &str) -> Option<PathBuf> {
    environment::search_path().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The folder of the client programs.
pub(crate) fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}
