//! OpenTelemetry's trace, in the headers `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Writes the headers, if the current OpenTelemetry context has a span.
pub(super) fn inject(injector: &mut dyn Injector) {
    /// Leaves out headers without a value. The specification asks senders not to send an empty `tracestate`.
    struct WithValue<'a>(&'a mut dyn Injector);

    impl Injector for WithValue<'_> {
        fn set(&mut self, key: &str, value: String) {
            if !value.is_empty() {
                self.0.set(key, value);
            }
        }
    }

    if Context::map_current(Context::has_active_span) {
        TraceContextPropagator::new().inject(&mut WithValue(injector));
    }
}

/// Returns the current OpenTelemetry context with the span that the headers name. Returns `None` if they name
/// none, and if the current span belongs to the same trace: a layer for tracing has made it from the headers.
pub(crate) fn extract(extractor: &dyn Extractor) -> Option<Context> {
    let named = TraceContextPropagator::new().extract_with_context(&Context::new(), extractor);
    let span = named.span().span_context().clone();
    let current = Context::current();
    let is_new = span.is_valid() && current.span().span_context().trace_id() != span.trace_id();
    is_new.then(|| current.with_remote_span_context(span))
}

/// Does the same for HTTP headers.
pub(crate) fn extract_headers(headers: &HeaderMap) -> Option<Context> {
    const TRACE_PARENT: &str = "traceparent";
    const TRACE_STATE: &str = "tracestate";

    struct Headers<'a> {
        parent: &'a str,
        state: String,
    }

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            match key {
                TRACE_PARENT => Some(self.parent),
                TRACE_STATE => Some(&self.state),
                _ => None,
            }
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACE_PARENT, TRACE_STATE]
        }
    }

    let parent = headers.get(TRACE_PARENT)?.to_str().ok()?;
    // Several headers count as one.
    let states: Vec<&str> = headers.get_all(TRACE_STATE).iter().filter_map(|it| it.to_str().ok()).collect();
    extract(&Headers { parent, state: states.join(",") })
}

/// HTTP headers that OpenTelemetry's propagators write.
pub(super) struct Outgoing<'a>(pub(super) &'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
