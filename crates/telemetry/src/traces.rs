//! Spans, where they are wanted.

use lockkeeper_ports::TraceContext;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

/// Makes spans, or none at all.
#[derive(Clone, Debug)]
pub(crate) struct Traces(Option<SdkTracer>);

/// A piece of work in its place in a trace; it ends when it is dropped at the latest. Nothing where nothing is traced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work(Option<Context>);

impl Traces {
    pub(crate) fn new(tracer: Option<SdkTracer>) -> Self {
        Self(tracer)
    }

    /// Begins a piece of work, as a part of `parent` or as the first of its trace.
    pub(crate) fn begin(&self, name: String, kind: SpanKind, parent: &Work, attributes: Vec<KeyValue>) -> Work {
        let Some(tracer) = &self.0 else { return Work::default() };
        let parent = parent.0.clone().unwrap_or_default();
        let span = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        Work(Some(parent.with_span(span.start_with_context(tracer, &parent))))
    }
}

impl Work {
    /// Adds to what is known of it.
    pub(crate) fn note(&self, attribute: KeyValue) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(attribute);
        }
    }

    /// Ends it; `error` is the code of a failure, never its words.
    pub(crate) fn end(&self, error: Option<&'static str>) {
        let Some(context) = &self.0 else { return };
        let span = context.span();
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(error));
        }
        span.end();
    }

    /// Its place, as W3C Trace Context writes it, for those who do a part of it elsewhere.
    pub(crate) fn place(&self) -> Option<TraceContext> {
        let context = self.0.as_ref()?;
        let span = context.span();
        let place = span.span_context();
        let flags = place.trace_flags().to_u8();
        let traceparent = format!("00-{}-{}-{flags:02x}", place.trace_id(), place.span_id());
        let state = place.trace_state().header();
        Some(TraceContext { traceparent, tracestate: Some(state).filter(|state| !state.is_empty()) })
    }
}
