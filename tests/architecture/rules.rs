use crate::graph::{Edge, Graph, Kind};

const DOMAIN: &str = "lockkeeper-domain";
const PORTS: &str = "lockkeeper-ports";
const ORCHESTRATOR: &str = "lockkeeper-orchestrator";
/// The decoder of a protocol, for the adapters that speak it.
const SSE: &str = "lockkeeper-sse";
/// What the adapters of models share.
const LLM_COMMON: &str = "lockkeeper-llm-common";
const SANITIZER: &str = "lockkeeper-sanitizer";
const TOOL_SCHEMA: &str = "lockkeeper-tool-schema";
const TELEMETRY: &str = "lockkeeper-telemetry";

/// The adapters and the interfaces: what only the server puts together.
const ADAPTERS: &[&str] = &[
    "lockkeeper-docker-runtime",
    "lockkeeper-embedded-store",
    "lockkeeper-jwt-auth",
    "lockkeeper-llm-claude",
    "lockkeeper-llm-demo",
    "lockkeeper-llm-gemini",
    "lockkeeper-llm-openai",
    "lockkeeper-local-runtime",
    "lockkeeper-mcp-client",
    "lockkeeper-redis-store",
    "lockkeeper-telemetry",
];
const INTERFACES: &[&str] = &["lockkeeper-socket-gateway", "lockkeeper-http-api"];

/// What tests of any crate may use besides.
const FOR_TESTS: &[&str] = &["lockkeeper-testkit", "lockkeeper-embedded-store", PORTS];

/// Each foreign technology, and the crates that may name it. `deny.toml` says the same of transitive use.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("aho-corasick", &[SANITIZER]),
    ("async-openai", &["lockkeeper-llm-openai"]),
    ("axum", &["lockkeeper-http-api"]),
    ("bollard", &["lockkeeper-docker-runtime"]),
    ("cap-std", &["lockkeeper-workspace"]),
    ("clap", &["lockkeeper", "lockkeeper-workspace"]),
    ("engineioxide", &["lockkeeper-socket-gateway"]),
    ("eventsource-stream", &[]),
    ("figment", &["lockkeeper"]),
    ("fred", &["lockkeeper-redis-store"]),
    ("governor", &["lockkeeper-socket-gateway"]),
    // The last two's tests hold what the server says against its descriptions.
    ("jsonschema", &[TOOL_SCHEMA, "lockkeeper-http-api", "lockkeeper-tests"]),
    // The tests play an issuer.
    ("jsonwebtoken", &["lockkeeper-jwt-auth", "lockkeeper-tests"]),
    ("landlock", &["lockkeeper-local-runtime", "lockkeeper-workspace"]),
    ("mockall", &[PORTS, ORCHESTRATOR]),
    ("opentelemetry", &[TELEMETRY]),
    ("opentelemetry-http", &[TELEMETRY]),
    ("opentelemetry-otlp", &[TELEMETRY]),
    ("opentelemetry-prometheus", &[TELEMETRY]),
    // The tests play a collector.
    ("opentelemetry-proto", &["lockkeeper-tests"]),
    ("opentelemetry_sdk", &[TELEMETRY]),
    ("prometheus", &[TELEMETRY]),
    ("prost", &["lockkeeper-tests"]),
    ("redb", &["lockkeeper-embedded-store"]),
    // The server makes the one client that the vendors' crates share.
    (
        "reqwest",
        &[
            "lockkeeper",
            "lockkeeper-jwt-auth",
            "lockkeeper-llm-claude",
            "lockkeeper-llm-gemini",
            "lockkeeper-llm-openai",
            TELEMETRY,
        ],
    ),
    ("regex", &[SANITIZER]),
    ("rmcp", &["lockkeeper-mcp-client", "lockkeeper-workspace"]),
    ("seccompiler", &["lockkeeper-local-runtime"]),
    ("socketioxide", &["lockkeeper-socket-gateway"]),
    ("socketioxide-core", &["lockkeeper-socket-gateway"]),
    // The second one's tests read what it logs.
    ("tracing-subscriber", &["lockkeeper", "lockkeeper-llm-openai"]),
    ("vte", &[SANITIZER]),
];

/// Dependencies between members that point the wrong way.
pub(crate) fn broken_layers(graph: &Graph) -> Vec<String> {
    let is_ours = |edge: &&Edge| edge.to == "lockkeeper" || edge.to.starts_with("lockkeeper-");
    let say = |edge: &Edge| format!("{} must not use {} ({:?})", edge.from, edge.to, edge.kind);
    graph.edges().iter().filter(is_ours).filter(|edge| !is_allowed(edge)).map(say).collect()
}

/// Uses of a foreign technology outside of its one crate.
pub(crate) fn broken_wrappers(graph: &Graph) -> Vec<String> {
    let broken = |edge: &&Edge| WRAPPERS.iter().any(|(name, by)| edge.to == *name && !by.contains(&edge.from.as_str()));
    graph.edges().iter().filter(broken).map(|edge| format!("{} must not name {}", edge.from, edge.to)).collect()
}

/// Dependencies that a manifest takes without the workspace's table.
pub(crate) fn own_versions(manifests: &[(String, String)]) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, text) in manifests {
        let manifest: toml::Table = text.parse().expect("cargo has just read it");
        let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
        let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
        for (name, entry) in tables.flatten() {
            if entry.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                broken.push(format!("{path}: {name} has a version of its own"));
            }
        }
    }
    broken
}

/// Manifests that do not take the workspace's lints.
pub(crate) fn without_lints(manifests: &[(String, String)]) -> Vec<String> {
    let inherits = |text: &str| {
        let manifest: toml::Table = text.parse().expect("cargo has just read it");
        manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) == Some(true)
    };
    manifests.iter().filter(|(_, text)| !inherits(text)).map(|(path, _)| path.clone()).collect()
}

fn is_allowed(edge: &Edge) -> bool {
    let to = edge.to.as_str();
    allowed(&edge.from).is_some_and(|allowed| allowed.contains(&to))
        || (edge.kind == Kind::Development && FOR_TESTS.contains(&to) && edge.from != DOMAIN)
}

/// What production code of a member may use; `None` for one that has no place yet.
fn allowed(from: &str) -> Option<Vec<&'static str>> {
    Some(match from {
        DOMAIN | SANITIZER | SSE | TOOL_SCHEMA | "lockkeeper-workspace" => vec![],
        PORTS => vec![DOMAIN],
        LLM_COMMON => vec![DOMAIN, PORTS],
        ORCHESTRATOR | "lockkeeper-mcp-client" => vec![DOMAIN, PORTS, SANITIZER, TOOL_SCHEMA],
        "lockkeeper-testkit" => vec![DOMAIN, PORTS],
        // The server puts all of it together, and starts the sandbox's binary by its path.
        "lockkeeper" => [&[DOMAIN, PORTS, ORCHESTRATOR, SANITIZER], ADAPTERS, INTERFACES].concat(),
        // Real clients know the wire alone.
        "lockkeeper-tests" => vec![],
        "lockkeeper-llm-claude" | "lockkeeper-llm-gemini" => vec![DOMAIN, PORTS, LLM_COMMON, SSE],
        "lockkeeper-llm-openai" => vec![DOMAIN, PORTS, LLM_COMMON],
        name if INTERFACES.contains(&name) => vec![DOMAIN, PORTS, ORCHESTRATOR],
        name if ADAPTERS.contains(&name) => vec![DOMAIN, PORTS],
        _ => return None,
    })
}
