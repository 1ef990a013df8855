//! OpenTelemetry's trace, in the headers `traceparent` and `tracestate`.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::contains;

pub(super) static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) static TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// Returns the texts of `traceparent` and `tracestate`, if the span is valid.
pub(super) fn texts(span: &SpanContext) -> Option<(String, String)> {
    span.is_valid().then(|| (parent(span), span.trace_state().header()))
}

fn parent(span: &SpanContext) -> String {
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    let mut text = *b"00-................................-................-..";
    write_hex(&mut text[3..35], &span.trace_id().to_bytes());
    write_hex(&mut text[36..52], &span.span_id().to_bytes());
    write_hex(&mut text[53..], &[flags.to_u8()]);
    String::from_utf8(text.into()).expect("hexadecimal digits")
}

fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Returns the current OpenTelemetry context with the span that the headers name. Returns `None` if they name
/// none, and if the current span belongs to the same trace: a layer for tracing has made it from the headers.
pub(crate) fn extract(extractor: &dyn Extractor) -> Option<Context> {
    let current = Context::current();
    // A clone of the current one, if the headers name no span.
    let named = TraceContextPropagator::new().extract_with_context(&current, extractor);
    (trace_id(&named) != trace_id(&current)).then_some(named)
}

fn trace_id(context: &Context) -> TraceId {
    context.span().span_context().trace_id()
}

/// Does the same for HTTP headers.
pub(crate) fn extract_headers(headers: &HeaderMap) -> Option<Context> {
    struct Headers<'a> {
        parent: &'a str,
        state: Option<Cow<'a, str>>,
    }

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            match key {
                _ if key == TRACE_PARENT.as_str() => Some(self.parent),
                _ if key == TRACE_STATE.as_str() => self.state.as_deref(),
                _ => None,
            }
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACE_PARENT.as_str(), TRACE_STATE.as_str()]
        }
    }

    if !contains(headers, &TRACE_PARENT) {
        return None;
    }
    let parent = headers.get(&TRACE_PARENT)?.to_str().ok()?;
    // Several headers count as one.
    let mut states = headers.get_all(&TRACE_STATE).iter().filter_map(|it| it.to_str().ok());
    let first = states.next().map(Cow::Borrowed);
    let state = first.map(|first| states.fold(first, |states, next| states + "," + next));
    extract(&Headers { parent, state })
}
