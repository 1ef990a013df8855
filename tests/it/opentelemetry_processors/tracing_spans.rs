//! tracing-opentelemetry starts a span after the code that opens it has run on: when a span is entered, when
//! it is the parent of another one, when its context is needed, or when it is dropped.

use std::collections::BTreeMap;
use std::fmt;

use contextvar::context_var;
use contextvar::opentelemetry::ContextTracer;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{KeyValue, Value};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::{Span, field, info, info_span, instrument};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, registry};

use super::log_records::Records;
use super::{Spans, attributes, of_request, processor, request};

fn layer<T>(tracer: T) -> OpenTelemetryLayer<Registry, T>
where
    T: opentelemetry::trace::Tracer + 'static,
    T::Span: Send + Sync,
{
    OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
}

/// Runs `f` with and without context activation, and returns the attributes of the span that it opens as
/// `name`.
fn opened(name: &str, f: impl Fn()) -> BTreeMap<String, Value> {
    let both = [true, false].map(|activation| {
        let spans = Spans::new(processor());
        let layer = layer(ContextTracer::new(spans.tracer.clone())).with_context_activation(activation);
        tracing::subscriber::with_default(registry().with(layer), &f);
        let ended = spans.take();
        let mut named = ended.into_iter().filter(|span| span.name == name);
        let span = named.next().unwrap();
        assert_eq!(named.next(), None);
        attributes(span.attributes)
    });
    assert_eq!(both[0], both[1]);
    let [shown, _] = both;
    shown
}

fn open_in_7() -> Span {
    request(7).run(|| info_span!("opened"))
}

/// Each way in which the span starts, in another request.
#[test]
fn a_span_has_the_variables_of_the_code_that_opens_it() {
    type Way = (&'static str, fn(Span));
    let ways: [Way; 8] = [
        ("dropped", drop),
        ("entered", |span| span.in_scope(|| ())),
        ("entered twice", |span| {
            span.in_scope(|| ());
            request(9).run(|| span.in_scope(|| ()));
        }),
        ("the parent of a span", |span| drop(info_span!(parent: &span, "child"))),
        ("followed by a span", |span| {
            info_span!("follower").follows_from(&span);
        }),
        ("its context is needed", |span| drop(span.context())),
        ("its parent is set", |span| {
            let (trace, id) = (TraceId::from(1), SpanId::from(1));
            let remote = SpanContext::new(trace, id, TraceFlags::SAMPLED, true, TraceState::default());
            span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote)).unwrap();
            span.in_scope(|| ());
        }),
        ("in another span", |span| info_span!("other").in_scope(|| span.in_scope(|| ()))),
    ];
    for (way, start) in ways {
        let in_other_request = opened("opened", || request(8).run(|| start(open_in_7())));
        assert_eq!(in_other_request, of_request(7), "{way}");
        let in_none = opened("opened", || start(open_in_7()));
        assert_eq!(in_none, of_request(7), "{way}, outside of all requests");
        let opened_outside = opened("opened", || {
            let span = info_span!("opened");
            request(8).run(|| start(span));
        });
        assert_eq!(opened_outside, BTreeMap::new(), "{way}, opened outside of all requests");
    }
}

#[test]
fn spans_inside_others_have_their_own_variables() {
    #[instrument(name = "inner")]
    fn inner() {}

    let outer = || request(7).run(|| info_span!("outer")).in_scope(|| request(8).run(inner));
    assert_eq!(opened("inner", outer), of_request(8));
    assert_eq!(opened("outer", outer), of_request(7));

    // A span that OpenTelemetry's own API starts inside.
    let spans = Spans::new(processor());
    let subscriber = registry().with(layer(ContextTracer::new(spans.tracer.clone())));
    tracing::subscriber::with_default(subscriber, || {
        let outer = request(7).run(|| info_span!("outer"));
        outer.in_scope(|| request(8).run(|| opentelemetry::trace::Tracer::start(&spans.tracer, "inner")));
    });
    let [inner, outer] = spans.take().try_into().unwrap();
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    assert_eq!((attributes(inner.attributes), attributes(outer.attributes)), (of_request(8), of_request(7)));
}

#[test]
fn a_field_keeps_its_name() {
    let mut expected = of_request(7);
    expected.remove("shop.tenant");
    expected.extend(attributes([
        KeyValue::new("shop.tenant", "own"),
        KeyValue::new("shop.tenant_2", "tenant-7"),
        KeyValue::new("recorded", 1),
    ]));
    let shown = opened("opened", || {
        let span = request(7).run(|| info_span!("opened", shop.tenant = "own", recorded = field::Empty));
        span.record("recorded", 1);
    });
    assert_eq!(shown, expected);
}

/// Why there is a `ContextTracer`.
#[test]
fn without_the_tracer_a_span_has_the_variables_of_the_code_that_enters_it() {
    let spans = Spans::new(processor());
    tracing::subscriber::with_default(registry().with(layer(spans.tracer.clone())), || {
        let span = open_in_7();
        request(8).run(|| span.in_scope(|| ()));
    });
    assert_eq!(spans.take_attributes(), of_request(8));
}

#[test]
fn the_tracer_alone_adds_no_attributes() {
    let spans = Spans::new(processor().with_max_attributes(0));
    tracing::subscriber::with_default(
        registry().with(layer(ContextTracer::new(spans.tracer.clone()))),
        || {
            drop(open_in_7());
        },
    );
    assert_eq!(spans.take_attributes(), BTreeMap::new());
}

/// Two values, each of which enters a span and logs while it is being formatted.
#[test]
fn values_that_enter_spans_and_log_while_being_formatted() {
    struct Enters(u8);

    impl fmt::Display for Enters {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _entered = info_span!("inside").entered();
            info!("inside");
            write!(f, "{}", self.0)
        }
    }

    #[context_var(log, name = "shop.enters_a")]
    static A: Enters;
    #[context_var(log, name = "shop.enters_b")]
    static B: Enters;

    // Only the global subscriber sees spans that are opened while a layer runs, so each tracer needs a process
    // of its own.
    const CHILD: &str = "CONTEXTVAR_TEST_ENTERS_SPANS";
    if let Ok(tracer) = std::env::var(CHILD) {
        let (spans, records) = (Spans::new(processor()), Records::new());
        let bridge = OpenTelemetryTracingBridge::new(&records.provider);
        match &*tracer {
            "context" => registry().with(layer(ContextTracer::new(spans.tracer.clone()))).with(bridge).init(),
            _ => registry().with(layer(spans.tracer.clone())).with(bridge).init(),
        }
        A.sync_scope(Enters(1), || {
            B.sync_scope(Enters(2), || info_span!("outer").in_scope(|| info!("outer")))
        });
        for span in spans.take() {
            println!("span {} with {}", span.name, attributes(span.attributes).len());
        }
        for (body, shown) in records.take() {
            println!("record {body} with {}", shown.len());
        }
        return;
    }
    for tracer in ["context", "plain"] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let name =
            "opentelemetry_processors::tracing_spans::values_that_enter_spans_and_log_while_being_formatted";
        let child = child.args([name, "--exact", "--nocapture"]).env(CHILD, tracer).output().unwrap();
        let lines = String::from_utf8(child.stdout).unwrap();
        assert!(child.status.success(), "{lines}");
        let shown: Vec<_> = lines.lines().filter(|line| line.contains(" outer ")).collect();
        assert_eq!(shown, ["span outer with 2", "record outer with 2"], "{tracer}: {lines}");
        // A value shows at most the other one in its span and in its record.
        let inside: Vec<_> = lines.lines().filter(|line| line.contains(" inside ")).collect();
        assert!(
            !inside.is_empty() && inside.iter().all(|line| !line.ends_with("with 2")),
            "{tracer}: {lines}"
        );
    }
}
