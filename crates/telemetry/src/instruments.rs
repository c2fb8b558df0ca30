use crate::{
    catalog::{self, Metric},
    names::Names,
};
use lockkeeper_domain::{Code, Usage};
use lockkeeper_ports::{ServerHealth, ServerState};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter},
};
use std::time::Duration;

/// Ranges of durations of requests, in seconds, as the conventions for generative AI have them.
const REQUESTS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// The same for what people decide on, which takes longer.
const PEOPLE: [f64; 12] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 600.0, 1_800.0];
/// The same for what a store does, which takes less.
const STORE: [f64; 13] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Ranges of numbers of tokens, as the conventions have them.
const TOKEN_RANGES: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// How many models, and how many tools, are told apart; clients and servers choose their names.
const MODELS: usize = 64;
const TOOLS: usize = 512;

/// What is looked at when somebody asks, because others keep it.
pub struct Watched {
    /// The sessions that this server drives.
    pub sessions: Box<dyn Fn() -> usize + Send + Sync>,
    /// The open connections.
    pub connections: Box<dyn Fn() -> usize + Send + Sync>,
    /// How often which refusal was given: of what, with which code.
    pub refusals: Box<dyn Fn() -> Vec<(&'static str, Code, u64)> + Send + Sync>,
    /// How the MCP servers do.
    pub servers: Box<dyn Fn() -> Vec<ServerHealth> + Send + Sync>,
    /// What runs.
    pub version: &'static str,
}

/// Everything that is counted and measured.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) sessions_created: Counter<u64>,
    pub(crate) turns: Counter<u64>,
    pub(crate) turn_duration: Histogram<f64>,
    pub(crate) tool_calls: Counter<u64>,
    pub(crate) approvals: Counter<u64>,
    pub(crate) approval_wait: Histogram<f64>,
    model_requests: Counter<u64>,
    model_duration: Histogram<f64>,
    first_chunk: Histogram<f64>,
    token_usage: Histogram<u64>,
    tokens: Counter<u64>,
    mcp_duration: Histogram<f64>,
    sandbox_starts: Counter<u64>,
    sandbox_start: Histogram<f64>,
    store_duration: Histogram<f64>,
    pub(crate) audit_bytes: Gauge<u64>,
    pub(crate) audit_removed: Counter<u64>,
    pub(crate) audit_lag: Gauge<f64>,
    models: Names,
    tools: Names,
}

/// A label.
pub(crate) fn label(name: &'static str, value: impl Into<opentelemetry::Value>) -> KeyValue {
    KeyValue::new(name, value.into())
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let count = |metric: Metric| counter(meter, metric);
        let seconds = |metric: Metric, ranges: &[f64]| {
            let histogram = meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.help);
            histogram.with_boundaries(ranges.to_vec()).build()
        };
        let (bytes, lag) = (catalog::AUDIT_BYTES, catalog::AUDIT_LAG);
        let usage = catalog::TOKEN_USAGE;
        let usage = meter.u64_histogram(usage.name).with_unit(usage.unit).with_description(usage.help);
        Self {
            sessions_created: count(catalog::SESSIONS_CREATED),
            turns: count(catalog::TURNS),
            turn_duration: seconds(catalog::TURN_DURATION, &PEOPLE),
            tool_calls: count(catalog::TOOL_CALLS),
            approvals: count(catalog::APPROVALS),
            approval_wait: seconds(catalog::APPROVAL_WAIT, &PEOPLE),
            model_requests: count(catalog::MODEL_REQUESTS),
            model_duration: seconds(catalog::MODEL_DURATION, &REQUESTS),
            first_chunk: seconds(catalog::FIRST_CHUNK, &REQUESTS),
            token_usage: usage.with_boundaries(TOKEN_RANGES.to_vec()).build(),
            tokens: count(catalog::TOKENS),
            mcp_duration: seconds(catalog::MCP_DURATION, &REQUESTS),
            sandbox_starts: count(catalog::SANDBOX_STARTS),
            sandbox_start: seconds(catalog::SANDBOX_START, &REQUESTS),
            store_duration: seconds(catalog::STORE_DURATION, &STORE),
            audit_bytes: meter.u64_gauge(bytes.name).with_unit(bytes.unit).with_description(bytes.help).build(),
            audit_removed: count(catalog::AUDIT_REMOVED),
            audit_lag: meter.f64_gauge(lag.name).with_unit(lag.unit).with_description(lag.help).build(),
            models: Names::new(MODELS),
            tools: Names::new(TOOLS),
        }
    }

    /// An answer of a model ended; `error` is the code of a failure.
    pub(crate) fn answered(
        &self,
        model: &Asked,
        outcome: &'static str,
        error: Option<&'static str>,
        duration: Duration,
    ) {
        let own = [label("provider", model.provider), label("outcome", outcome)];
        self.model_requests.add(1, &own);
        let mut labels = self.labels_of(model);
        labels.extend(error.map(|error| label("error.type", error)));
        self.model_duration.record(duration.as_secs_f64(), &labels);
    }

    /// The first piece of an answer came.
    pub(crate) fn first_piece(&self, model: &Asked, duration: Duration) {
        self.first_chunk.record(duration.as_secs_f64(), &self.labels_of(model));
    }

    /// What an answer cost.
    pub(crate) fn used(&self, model: &Asked, usage: Usage) {
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            let mut labels = self.labels_of(model);
            labels.push(label("gen_ai.token.type", kind));
            self.token_usage.record(tokens, &labels);
        }
        let kinds = [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("reasoning", usage.reasoning_tokens),
        ];
        for (kind, tokens) in kinds {
            self.tokens.add(tokens, &[label("provider", model.provider), label("type", kind)]);
        }
    }

    /// A server's tool was called.
    pub(crate) fn called(&self, server: &str, tool: &str, error: Option<&'static str>, duration: Duration) {
        let mut labels = vec![
            label("mcp.method.name", "tools/call"),
            label("gen_ai.operation.name", "execute_tool"),
            label("gen_ai.tool.name", self.tools.bounded(tool)),
            label("server", server.to_owned()),
            label("network.transport", "pipe"),
        ];
        labels.extend(error.map(|error| label("error.type", error)));
        self.mcp_duration.record(duration.as_secs_f64(), &labels);
    }

    /// A sandbox was started, or was not.
    pub(crate) fn sandbox(&self, kind: &'static str, outcome: &'static str, duration: Duration) {
        let labels = [label("kind", kind), label("outcome", outcome)];
        self.sandbox_starts.add(1, &labels);
        self.sandbox_start.record(duration.as_secs_f64(), &labels);
    }

    /// The store did something, or did not.
    pub(crate) fn stored(&self, operation: &'static str, outcome: &'static str, duration: Duration) {
        let labels = [label("operation", operation), label("outcome", outcome)];
        self.store_duration.record(duration.as_secs_f64(), &labels);
    }

    fn labels_of(&self, model: &Asked) -> Vec<KeyValue> {
        vec![
            label("gen_ai.operation.name", "chat"),
            label("gen_ai.provider.name", vendor(model.provider)),
            label("gen_ai.request.model", self.models.bounded(&model.model)),
        ]
    }
}

/// Which model was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The provider, as Lockkeeper calls it.
    pub(crate) provider: &'static str,
    pub(crate) model: String,
}

/// The name that the conventions have for a provider.
pub(crate) fn vendor(provider: &'static str) -> &'static str {
    match provider {
        "claude" => "anthropic",
        "gemini" => "gcp.gemini",
        other => other,
    }
}

/// Has what others keep looked at whenever the metrics are.
pub(crate) fn watch(meter: &Meter, watched: Watched) {
    let Watched { sessions, connections, refusals, servers, version } = watched;
    gauge(meter, catalog::SESSIONS, move || vec![(wide(sessions()), vec![])]);
    gauge(meter, catalog::CONNECTIONS, move || vec![(wide(connections()), vec![])]);
    gauge(meter, catalog::INFO, move || vec![(1, vec![label("version", version)])]);
    let refusals = move || {
        let one =
            |(of, code, count): (&'static str, Code, u64)| (count, vec![label("of", of), label("code", code.as_str())]);
        refusals().into_iter().map(one).collect()
    };
    total(meter, catalog::REFUSALS, refusals);
    let servers = std::sync::Arc::new(servers);
    let health = std::sync::Arc::clone(&servers);
    gauge(meter, catalog::MCP_SERVERS, move || health().iter().flat_map(processes).collect());
    let restarts = |health: &ServerHealth| (health.restarts, vec![label("server", health.server.as_str().to_owned())]);
    total(meter, catalog::MCP_RESTARTS, move || servers().iter().map(restarts).collect());
}

/// One value for each state, also where there is none: what was up a moment ago must be seen to be gone.
fn processes(health: &ServerHealth) -> Vec<(u64, Vec<KeyValue>)> {
    let one = |state: ServerState| {
        let count = health.processes.get(&state).copied().unwrap_or_default();
        let server = health.server.as_str().to_owned();
        (wide(count), vec![label("server", server), label("state", state.as_str())])
    };
    ServerState::ALL.into_iter().map(one).collect()
}

type Values = Vec<(u64, Vec<KeyValue>)>;

fn gauge(meter: &Meter, metric: Metric, look: impl Fn() -> Values + Send + Sync + 'static) {
    let gauge = meter.u64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
    let _ =
        gauge.with_callback(move |seen| look().iter().for_each(|(value, labels)| seen.observe(*value, labels))).build();
}

fn total(meter: &Meter, metric: Metric, look: impl Fn() -> Values + Send + Sync + 'static) {
    let total = meter.u64_observable_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
    let _ =
        total.with_callback(move |seen| look().iter().for_each(|(value, labels)| seen.observe(*value, labels))).build();
}

fn counter(meter: &Meter, metric: Metric) -> Counter<u64> {
    meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

fn wide(count: usize) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}
