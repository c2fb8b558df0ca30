//! All metrics: their names, what they measure, and which labels they have.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// How much there is now.
    Gauge,
    /// How often values fell into which range.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, as OpenTelemetry writes it.
    pub name: &'static str,
    /// Its name for Prometheus: with its unit, and `_total` where it only grows.
    pub prometheus: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// Its labels, as Prometheus writes them. How many values each has is bounded.
    pub labels: &'static [&'static str],
    /// What it measures, for people.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($ident:ident = $name:literal, $prometheus:literal, $kind:ident, $unit:literal, $labels:expr, $help:literal;)*) => {
        $(pub(crate) const $ident: Metric = Metric {
            name: $name,
            prometheus: $prometheus,
            kind: Kind::$kind,
            unit: $unit,
            labels: &$labels,
            help: $help,
        };)*
        /// Every metric that there is.
        pub const METRICS: &[Metric] = &[$($ident,)*];
    };
}

metrics! {
    SESSIONS = "lockkeeper.sessions", "lockkeeper_sessions", Gauge, "{session}", [],
        "Sessions that this server drives.";
    SESSIONS_CREATED = "lockkeeper.sessions.created", "lockkeeper_sessions_created_total", Counter, "{session}", [],
        "Sessions that were created.";
    TURNS = "lockkeeper.turns", "lockkeeper_turns_total", Counter, "{turn}", ["stop_reason"],
        "Turns that ended, by why.";
    TURN_DURATION = "gen_ai.invoke_agent.duration", "gen_ai_invoke_agent_duration_seconds", Histogram, "s",
        ["gen_ai_operation_name", "gen_ai_agent_name", "error_type"],
        "How long turns took, approvals included.";
    TOOL_CALLS = "lockkeeper.tool.calls", "lockkeeper_tool_calls_total", Counter, "{call}", ["server", "outcome"],
        "Calls of tools that got their result, by MCP server and by `succeeded` or the code of the failure.";
    APPROVALS = "lockkeeper.approvals", "lockkeeper_approvals_total", Counter, "{approval}", ["decision"],
        "Questions at the gate that were settled, by how.";
    APPROVAL_WAIT = "lockkeeper.approval.wait", "lockkeeper_approval_wait_seconds", Histogram, "s", ["decision"],
        "How long calls waited for an answer of a human.";
    MODEL_REQUESTS = "lockkeeper.model.requests", "lockkeeper_model_requests_total", Counter, "{request}",
        ["provider", "outcome"],
        "Answers that models were asked for, by `succeeded`, `cancelled` or the code of the failure.";
    MODEL_DURATION = "gen_ai.client.operation.duration", "gen_ai_client_operation_duration_seconds", Histogram, "s",
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"],
        "How long answers of models took, to their end.";
    FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk", "gen_ai_client_operation_time_to_first_chunk_seconds",
        Histogram, "s", ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"],
        "How long it took until the first piece of an answer came.";
    TOKEN_USAGE = "gen_ai.client.token.usage", "gen_ai_client_token_usage", Histogram, "{token}",
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"],
        "Tokens of an answer, by `input` and `output`.";
    TOKENS = "lockkeeper.model.tokens", "lockkeeper_model_tokens_total", Counter, "{token}", ["provider", "type"],
        "Tokens in all: `input` with `cached_input` among them, and `output` with `reasoning` among them.";
    MCP_DURATION = "mcp.client.operation.duration", "mcp_client_operation_duration_seconds", Histogram, "s",
        ["mcp_method_name", "gen_ai_operation_name", "gen_ai_tool_name", "server", "network_transport", "error_type"],
        "How long MCP servers took for calls of their tools.";
    MCP_SERVERS = "lockkeeper.mcp.servers", "lockkeeper_mcp_servers", Gauge, "{process}", ["server", "state"],
        "Processes of MCP servers, by the server's name and the state of the process.";
    MCP_RESTARTS = "lockkeeper.mcp.restarts", "lockkeeper_mcp_restarts_total", Counter, "{restart}", ["server"],
        "How often processes of MCP servers were started again.";
    SANDBOX_STARTS = "lockkeeper.sandbox.starts", "lockkeeper_sandbox_starts_total", Counter, "{sandbox}",
        ["kind", "outcome"],
        "Starts of sandboxes: `cold` for a session that waited, `reserve` for the pool, `adopt` out of the pool.";
    SANDBOX_START = "lockkeeper.sandbox.start.duration", "lockkeeper_sandbox_start_duration_seconds", Histogram, "s",
        ["kind", "outcome"],
        "How long starts of sandboxes took.";
    STORE_DURATION = "lockkeeper.store.operation.duration", "lockkeeper_store_operation_duration_seconds", Histogram, "s",
        ["operation", "outcome"],
        "How long operations of the store took.";
    AUDIT_BYTES = "lockkeeper.audit.size", "lockkeeper_audit_size_bytes", Gauge, "By", [],
        "Bytes of the audit trail, as of its last clean-up.";
    AUDIT_REMOVED = "lockkeeper.audit.removed", "lockkeeper_audit_removed_total", Counter, "{record}", ["reason"],
        "Records that were removed from the audit trail: for their `age`, or for the `size` of the trail.";
    AUDIT_LAG = "lockkeeper.audit.lag", "lockkeeper_audit_lag_seconds", Gauge, "s", [],
        "Age of the oldest record that the last write to the sink of the audit was about.";
    CONNECTIONS = "lockkeeper.connections", "lockkeeper_connections", Gauge, "{connection}", [],
        "Socket.IO connections that are open.";
    REFUSALS = "lockkeeper.refusals", "lockkeeper_refusals_total", Counter, "{refusal}", ["of", "code"],
        "What clients wanted and did not get: a `connection` or a `command`, by code.";
    INFO = "lockkeeper.info", "lockkeeper_info", Gauge, "", ["version"],
        "Always 1; the version that runs is its label.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_have_the_form_that_prometheus_wants() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.prometheus).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(metric.kind == Kind::Counter, metric.prometheus.ends_with("_total"), "{}", metric.name);
            assert_eq!(metric.unit == "s", metric.prometheus.ends_with("_seconds"), "{}", metric.name);
            assert!(metric.prometheus.starts_with(&metric.name.replace('.', "_")), "{}", metric.name);
        }
    }
}
