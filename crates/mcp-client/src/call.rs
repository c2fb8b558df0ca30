//! One call on one connection: sent once, and ended by whichever comes first of its answer, its time and its server.

use crate::{
    connection::Connection,
    link::{Call, CallTag, Down, Link},
    outcome,
    patience::Patience,
};
use lockkeeper_domain::{Code, ToolResult};
use lockkeeper_ports::{CallContext, TraceContext};
use rmcp::{
    model::{
        CallToolRequest, CallToolRequestParams, ClientRequest, CustomResult, GetExtensions, GetMeta, NumberOrString,
        RequestId, RequestMetaObject, ServerResult,
    },
    service::{PeerRequestOptions, ServiceError},
};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

type Answer = Result<Result<ServerResult, ServiceError>, tokio::sync::oneshot::error::RecvError>;

/// A request that is given up when this is dropped, and when nothing has answered it by then.
pub(crate) struct InFlight {
    link: Arc<Link>,
    id: Option<i64>,
    reason: &'static str,
}

impl InFlight {
    pub(crate) fn new(link: Arc<Link>, id: &RequestId) -> Self {
        let id = match id {
            NumberOrString::Number(id) => Some(*id),
            NumberOrString::String(_) => None,
        };
        Self { link, id, reason: "cancelled" }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.link.abandon(id, self.reason);
        }
    }
}

/// Sends the call and waits for what becomes of it.
pub(crate) async fn run(
    connection: &Arc<Connection>,
    tool: &str,
    args: Map<String, Value>,
    context: CallContext,
    tasks: &TaskTracker,
) -> ToolResult {
    let link = &connection.link;
    let call = Arc::new(Call::new(context.call, context.progress));
    let mut request = CallToolRequest::new(CallToolRequestParams::new(tool.to_owned()).with_arguments(args));
    request.extensions_mut().insert(CallTag(call.clone()));
    let mut request = ClientRequest::CallToolRequest(request);
    if let Some(trace) = &context.trace {
        place_in(trace, request.get_meta_mut());
    }
    let started = Instant::now();
    let Ok(mut handle) = connection.peer.send_request_with_option(request, PeerRequestOptions::no_options()).await
    else {
        return outcome::not_sent(Code::ToolCrashed, "its MCP server has just ended");
    };
    let mut in_flight = InFlight::new(link.clone(), &handle.id);
    tokio::select! {
        biased;
        answer = &mut handle.rx => ended(link, &call, answer).await,
        () = context.cancel.cancelled() => {
            tasks.spawn(connection.clone().probe());
            outcome::cancelled(&link.server)
        }
        down = link.wait_down() => cut_off(link, &call, &down),
        limit = expiry(link, &call, &connection.patience, started) => {
            in_flight.reason = "timed out";
            tasks.spawn(connection.clone().probe());
            outcome::timed_out(&link.server, &limit)
        }
    }
}

/// Tells the server which trace its work belongs to, under the keys that MCP reserves for it.
fn place_in(trace: &TraceContext, meta: &mut RequestMetaObject) {
    meta.set_traceparent(trace.traceparent.as_str());
    if let Some(state) = &trace.tracestate {
        meta.set_tracestate(state.as_str());
    }
}

async fn ended(link: &Link, call: &Call, answer: Answer) -> ToolResult {
    match answer {
        Ok(Ok(ServerResult::CustomResult(CustomResult(answer)))) => outcome::answered(&link.server, answer),
        Ok(Err(ServiceError::McpError(error))) => {
            over_limit(link, call).unwrap_or_else(|| outcome::refused(&error.message, error.code.0))
        }
        Ok(Err(ServiceError::TransportSend(_))) => {
            outcome::not_sent(Code::ToolTimeout, "its MCP server does not read its standard input")
        }
        // rmcp stops when the connection is over, and the connection says why.
        _ => cut_off(link, call, &*link.wait_down().await),
    }
}

fn cut_off(link: &Link, call: &Call, down: &Down) -> ToolResult {
    // A line without an end is a fault of the call that it answers before it is one of the connection.
    over_limit(link, call).unwrap_or_else(|| outcome::cut_off(&link.server, down))
}

fn over_limit(link: &Link, call: &Call) -> Option<ToolResult> {
    let max = link.config.max_line_bytes;
    if call.is_too_large() {
        return Some(outcome::too_large(&link.server, max));
    }
    call.is_lost().then(|| outcome::unmatched(&link.server, max))
}

/// Waits until the call has been silent, or in flight, for too long. Progress extends the one and never the other, and so
/// does an outage of the runtime, through which no answer comes.
async fn expiry(link: &Link, call: &Call, patience: &Patience, started: Instant) -> String {
    tokio::select! {
        biased;
        () = sleep_until(started + link.config.call_total()) => format!("{} s in all", link.config.call_total_secs),
        () = silence(call, patience, started, link.config.call_idle()) => format!("{} s", link.config.call_idle_secs),
    }
}

async fn silence(call: &Call, patience: &Patience, mut since: Instant, limit: Duration) {
    let mut outages = patience.availability().outages();
    loop {
        if patience.availability().is_away() {
            patience.back().await;
            since = Instant::now();
            outages = patience.availability().outages();
        }
        let end = call.alive().max(since) + limit;
        if Instant::now() < end {
            sleep_until(end).await;
        } else if patience.was_away_since(outages).await {
            patience.back().await;
            since = Instant::now();
            outages = patience.availability().outages();
        } else {
            return;
        }
    }
}
