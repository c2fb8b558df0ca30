//! A collector of telemetry on loopback, which keeps all that it is sent.

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

/// How long something may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request: its path, its head and its body.
#[derive(Clone, Debug)]
pub struct Received {
    /// As in `/v1/traces`.
    pub path: String,
    /// The head as it came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Takes OTLP over HTTP until it is dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    received: watch::Receiver<Vec<Received>>,
    _tasks: JoinSet<()>,
}

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, received) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let sender = Arc::new(sender);
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let sender = Arc::clone(&sender);
                connections.spawn(async move { drop(serve(stream, &sender).await) });
            }
        });
        Ok(Self { url, received, _tasks: tasks })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// All spans that came so far.
    pub fn spans(&self) -> Vec<Span> {
        spans(&self.received.borrow())
    }

    /// The names of all metrics that came so far.
    pub fn metrics(&self) -> BTreeSet<String> {
        metrics(&self.received.borrow())
    }

    /// Waits until what came is enough.
    pub async fn wait_for(&self, what: &str, enough: impl Fn(&Self) -> bool) -> Result<()> {
        let mut received = self.received.clone();
        let wait = async {
            while !enough(self) {
                received.changed().await.context("the collector is gone")?;
            }
            Ok(())
        };
        timeout(PATIENCE, wait).await.with_context(|| format!("it never came: {what}"))?
    }
}

/// The text of a span's attribute.
pub fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    text_of(&span.attributes, name)
}

fn text_of<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn spans(received: &[Received]) -> Vec<Span> {
    let requests = received.iter().filter(|request| request.path == "/v1/traces");
    let decoded = requests.filter_map(|request| ExportTraceServiceRequest::decode(&*request.body).ok());
    let scopes = decoded.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn metrics(received: &[Received]) -> BTreeSet<String> {
    let requests = received.iter().filter(|request| request.path == "/v1/metrics");
    let decoded = requests.filter_map(|request| ExportMetricsServiceRequest::decode(&*request.body).ok());
    let scopes = decoded.flat_map(|request| request.resource_metrics).flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name).collect()
}

/// Answers each request of a connection with an empty success.
async fn serve(stream: TcpStream, received: &watch::Sender<Vec<Received>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        received.send_modify(|all| all.push(Received { path, head, body }));
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await?;
    }
}
