use crate::{
    Config, Watched,
    content::Content,
    courier::Courier,
    instruments::{self, Instruments},
    journal::Journal,
    models::{HeardLlm, HeardVendor, Listener},
    sandboxes::TimedSandboxes,
    store::TimedStore,
    tools::{Clerk, TimedTools},
    traces::Traces,
};
use lockkeeper_ports::{KeyedLlm, LlmProvider, SandboxRuntime, SessionStore, ToolHost};
use opentelemetry::{KeyValue, metrics::Meter, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use prometheus::{Registry, TextEncoder};
use secrecy::ExposeSecret as _;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// What the figures are by.
const SCOPE: &str = "lockkeeper";

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The client for the collector cannot be made.
    #[error("the client for the collector cannot be made")]
    Client(#[from] reqwest::Error),
    /// The exporter cannot be made.
    #[error("the exporter cannot be made")]
    Exporter(#[from] ExporterBuildError),
    /// The metrics cannot be collected.
    #[error("the metrics cannot be collected")]
    Sdk(#[from] OTelSdkError),
}

/// The metrics and traces of this process.
///
/// It wraps ports; what goes through the wrapped ones is counted, measured and traced.
#[derive(Debug)]
pub struct Telemetry {
    meter: Meter,
    instruments: Arc<Instruments>,
    journal: Arc<Journal>,
    traces: Traces,
    content: Content,
    registry: Registry,
    meters: SdkMeterProvider,
    spans: Option<SdkTracerProvider>,
    timeout: Duration,
}

impl Telemetry {
    /// Begins to count, and to send where the configuration names a collector. `config` has no problems; `version` is what this
    /// process is. Must be called in the runtime of the server.
    pub fn start(config: &Config, version: &'static str) -> Result<Self, SetupError> {
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let registry = Registry::new();
        let page = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(page);
        let mut spans = None;
        if let Some(endpoint) = &config.endpoint {
            let courier: Arc<dyn HttpClient> = Arc::new(Courier::new(config.timeout())?);
            let post = Post { config, endpoint: endpoint.trim_end_matches('/'), courier };
            if config.metrics {
                let interval = Duration::from_secs(config.metrics_secs);
                meters = meters.with_reader(PeriodicReader::builder(post.metrics()?).with_interval(interval).build());
            }
            if config.traces {
                spans = Some(post.spans(resource)?);
            }
        }
        let meters = meters.build();
        let meter = meters.meter(SCOPE);
        let instruments = Arc::new(Instruments::new(&meter));
        let traces = Traces::new(spans.as_ref().map(|spans| spans.tracer(SCOPE)));
        let content = Content::new(
            config.capture_content && config.traces && config.endpoint.is_some(),
            config.max_content_bytes,
        );
        let journal = Arc::new(Journal::new(Arc::clone(&instruments), traces.clone(), content));
        let timeout = config.timeout();
        Ok(Self { meter, instruments, journal, traces, content, registry, meters, spans, timeout })
    }

    /// The store, measured; its steps tell of turns, calls and approvals.
    pub fn store(&self, inner: Arc<dyn SessionStore>) -> Arc<dyn SessionStore> {
        let (instruments, journal) = (Arc::clone(&self.instruments), Arc::clone(&self.journal));
        Arc::new(TimedStore { inner, instruments, journal })
    }

    /// The runtime, measured.
    pub fn sandboxes(&self, inner: Arc<dyn SandboxRuntime>) -> Arc<dyn SandboxRuntime> {
        Arc::new(TimedSandboxes { inner, instruments: Arc::clone(&self.instruments), traces: self.traces.clone() })
    }

    /// The MCP servers, measured.
    pub fn tools(&self, inner: Arc<dyn ToolHost>) -> Arc<dyn ToolHost> {
        let (instruments, journal) = (Arc::clone(&self.instruments), Arc::clone(&self.journal));
        Arc::new(TimedTools {
            inner,
            clerk: Clerk { instruments, journal, traces: self.traces.clone(), content: self.content },
        })
    }

    /// The provider, measured.
    pub fn model(&self, inner: Arc<dyn LlmProvider>) -> Arc<dyn LlmProvider> {
        Arc::new(HeardLlm { inner, listener: self.listener() })
    }

    /// The vendor, each of whose providers is measured.
    pub fn vendor(&self, inner: Arc<dyn KeyedLlm>) -> Arc<dyn KeyedLlm> {
        Arc::new(HeardVendor { inner, listener: self.listener() })
    }

    /// Has what others keep looked at whenever the metrics are. For one call.
    pub fn watch(&self, watched: Watched) {
        instruments::watch(&self.meter, watched);
    }

    /// Tells how old the oldest record is that a write to the audit's sink is about.
    pub fn audit_lag(&self, lag: Duration) {
        self.instruments.audit_lag.record(lag.as_secs_f64(), &[]);
    }

    /// All metrics, in the text that Prometheus reads.
    pub fn page(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be written");
            String::new()
        })
    }

    /// Sends what is left, and nothing from then on. Blocks until it is sent, or the collector's time is over.
    pub fn end(&self) {
        let traced = self.spans.as_ref().map_or(Ok(()), |spans| spans.shutdown_with_timeout(self.timeout));
        let measured = self.meters.shutdown_with_timeout(self.timeout);
        for error in [traced.err(), measured.err()].into_iter().flatten() {
            tracing::debug!(%error, "not all telemetry could be sent at the end");
        }
    }

    fn listener(&self) -> Listener {
        let (instruments, journal) = (Arc::clone(&self.instruments), Arc::clone(&self.journal));
        Listener { instruments, journal, traces: self.traces.clone(), content: self.content }
    }
}

/// The way to the collector.
struct Post<'a> {
    config: &'a Config,
    endpoint: &'a str,
    courier: Arc<dyn HttpClient>,
}

impl Post<'_> {
    fn metrics(&self) -> Result<MetricExporter, ExporterBuildError> {
        MetricExporter::builder()
            .with_http()
            .with_shared_http_client(Arc::clone(&self.courier))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/metrics", self.endpoint))
            .with_headers(self.headers())
            .with_timeout(self.config.timeout())
            .build()
    }

    fn spans(&self, resource: Resource) -> Result<SdkTracerProvider, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(Arc::clone(&self.courier))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", self.endpoint))
            .with_headers(self.headers())
            .with_timeout(self.config.timeout())
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(self.config.max_queued_spans)
            .with_scheduled_delay(Duration::from_millis(self.config.spans_ms))
            .build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        // A turn is traced as a whole, or not at all.
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.config.sample_ratio)));
        Ok(SdkTracerProvider::builder()
            .with_span_processor(batches)
            .with_sampler(sampler)
            .with_resource(resource)
            .build())
    }

    fn headers(&self) -> HashMap<String, String> {
        let header =
            |(name, value): (&String, &secrecy::SecretString)| (name.clone(), value.expose_secret().to_owned());
        self.config.headers.iter().map(header).collect()
    }
}
