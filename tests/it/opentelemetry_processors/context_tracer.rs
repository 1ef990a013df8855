//! Spans that a `ContextTracer` starts.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::{fmt, panic};

use contextvar::context_var;
use contextvar::opentelemetry::ContextTracer;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};

use super::{Spans, attributes, of_request, processor, request};

#[test]
fn a_value_that_activates_a_span_while_a_context_tracer_formats_it() {
    struct Activates;

    impl fmt::Display for Activates {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            spans().tracer.in_span("inner", |_| f.write_str("shown"))
        }
    }

    #[context_var(log, name = "shop.activates")]
    static ACTIVATES: Activates;

    fn spans() -> &'static Spans {
        static SPANS: OnceLock<Spans> = OnceLock::new();
        SPANS.get_or_init(|| Spans::new(processor()))
    }

    let tracer = ContextTracer::new(spans().tracer.clone());
    ACTIVATES.sync_scope(Activates, || tracer.start("outer").end());
    let [inner, outer] = spans().take().try_into().unwrap();
    assert_eq!(attributes(inner.attributes), BTreeMap::new());
    assert_eq!(attributes(outer.attributes), attributes([KeyValue::new("shop.activates", "shown")]));
}

/// Panics when a span starts.
#[derive(Debug)]
struct Panics;

impl SpanProcessor for Panics {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {
        panic!("a span starts");
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn a_panic_while_a_span_starts_leaves_nothing_to_the_next_span() {
    let panics = SdkTracerProvider::builder().with_span_processor(Panics).build();
    let tracer = ContextTracer::new(panics.tracer("tests"));
    let builder = request(7).run(|| tracer.span_builder("panics"));
    let start = panic::AssertUnwindSafe(|| builder.start(&tracer));
    assert!(panic::catch_unwind(start).is_err());

    let spans = Spans::new(processor());
    request(8).run(|| spans.tracer.start("next").end());
    assert_eq!(spans.take_attributes(), of_request(8));
}

#[test]
fn a_span_of_a_context_tracer_shows_the_variables_of_its_builder() {
    let spans = Spans::new(processor());
    let tracer = ContextTracer::new(spans.tracer.clone());
    let started = |builder: SpanBuilder| {
        request(8).run(|| builder.start(&tracer).end());
        spans.take_attributes()
    };
    assert_eq!(started(request(7).run(|| tracer.span_builder("noted"))), of_request(7));
    assert_eq!(started(tracer.span_builder("made where none is set")), BTreeMap::new());
    // Builders that have no notes.
    assert_eq!(started(SpanBuilder::from_name("by hand")), of_request(8));
    let own = [KeyValue::new("shop.request", 1)];
    let mut expected = of_request(8);
    expected.extend([("shop.request".to_owned(), 1.into()), ("shop.request_2".to_owned(), 8.into())]);
    assert_eq!(started(request(7).run(|| tracer.span_builder("replaced")).with_attributes(own)), expected);
    // Methods that start the span themselves.
    request(7).run(|| tracer.in_span("in", |cx| cx.span().set_attribute(KeyValue::new("own", 1))));
    let mut expected = of_request(7);
    expected.insert("own".to_owned(), 1.into());
    assert_eq!(spans.take_attributes(), expected);

    // A span that is not recorded leaves nothing to the next one.
    let off = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let off = ContextTracer::new(off.tracer("tests"));
    request(7).run(|| off.span_builder("off")).start(&off).end();
    request(8).run(|| spans.tracer.start("next").end());
    assert_eq!(spans.take_attributes(), of_request(8));
}
