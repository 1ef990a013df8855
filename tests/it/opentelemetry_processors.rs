//! Variables on OpenTelemetry's spans and log records.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use contextvar::opentelemetry::{ContextLogProcessor, ContextSpanProcessor, ContextTracer};
use contextvar::{Context, ContextVar, context_var};
use opentelemetry::trace::{Span as _, SpanBuilder, Tracer, TracerProvider};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor,
};

mod concurrent;
mod context_tracer;
mod log_records;
mod tracing_spans;
mod types;

#[context_var(log, name = "shop.request")]
static REQUEST: u64;

#[context_var(log, name = "shop.tenant")]
static TENANT: String;

fn request(n: u64) -> Context {
    Context::new().with_value(&REQUEST, n).with_value(&TENANT, format!("tenant-{n}"))
}

/// The attributes of [`request`].
fn of_request(n: u64) -> BTreeMap<String, Value> {
    attributes([KeyValue::new("shop.request", n as i64), KeyValue::new("shop.tenant", format!("tenant-{n}"))])
}

fn attributes(attributes: impl IntoIterator<Item = KeyValue>) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        let twice = map.insert(key.to_string(), value);
        assert_eq!(twice, None, "{key} occurs twice");
    }
    map
}

/// Returns a processor that leaves out the variables of other tests.
fn processor() -> ContextSpanProcessor {
    ContextSpanProcessor::new().with_filter(|name| name.starts_with("shop."))
}

/// A tracer, and what it exports.
#[derive(Clone)]
struct Spans {
    tracer: SdkTracer,
    exporter: InMemorySpanExporter,
}

impl Spans {
    fn new(processor: impl SpanProcessor + 'static) -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_simple_exporter(exporter.clone())
            .build();
        Spans { tracer: provider.tracer("tests"), exporter }
    }

    /// Returns and removes the spans that have ended.
    fn take(&self) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans().unwrap();
        self.exporter.reset();
        spans
    }

    /// Returns the attributes of the only span that has ended.
    fn take_attributes(&self) -> BTreeMap<String, Value> {
        let [span] = self.take().try_into().unwrap();
        attributes(span.attributes)
    }
}

#[test]
fn a_span_has_the_variables_of_the_code_that_starts_it() {
    let spans = Spans::new(processor());
    spans.tracer.start("outside").end();
    assert_eq!(spans.take_attributes(), BTreeMap::new());

    let span = request(7).run(|| {
        let span = spans.tracer.start("load");
        REQUEST.set(8); // too late
        span
    });
    request(9).run(|| drop(span));
    assert_eq!(spans.take_attributes(), of_request(7));

    // Nested spans show the variables of their own code.
    request(1).run(|| {
        spans.tracer.in_span("outer", |_| {
            REQUEST.sync_scope(2, || spans.tracer.in_span("inner", |_| ()));
        });
    });
    let [inner, outer] = spans.take().try_into().unwrap();
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    assert_eq!(attributes(outer.attributes), of_request(1));
    let inner = attributes(inner.attributes);
    assert_eq!((&inner["shop.request"], &inner["shop.tenant"]), (&2.into(), &"tenant-1".into()));
}

#[test]
fn an_attribute_keeps_its_name_and_the_variable_is_numbered() {
    #[context_var(log, name = "shop.request_3")]
    static NAMED_LIKE_A_NUMBERED_ONE: bool;

    let spans = Spans::new(processor());
    let own = [KeyValue::new("shop.request", 1), KeyValue::new("shop.request_2", 2)];
    let context = request(7).with_value(&NAMED_LIKE_A_NUMBERED_ONE, true);
    let mut expected = of_request(7);
    expected.remove("shop.request");
    expected.extend(attributes(own.clone()));
    expected.extend([("shop.request_3".to_owned(), true.into()), ("shop.request_4".to_owned(), 7.into())]);
    let builder = SpanBuilder::from_name("named").with_attributes(own);
    context.clone().run(|| builder.clone().start(&spans.tracer).end());
    assert_eq!(spans.take_attributes(), expected);
}

#[test]
fn a_filter_and_a_limit_select_the_variables() {
    let spans = Spans::new(ContextSpanProcessor::new().with_filter(|name| name == "shop.tenant"));
    request(7).run(|| spans.tracer.start("filtered").end());
    assert_eq!(spans.take_attributes(), attributes([KeyValue::new("shop.tenant", "tenant-7")]));

    for n in [0, 1, 5] {
        let spans = Spans::new(processor().with_max_attributes(n));
        // Attributes of the span itself do not count.
        types::typed().run(|| {
            SpanBuilder::from_name("limited").with_attributes([KeyValue::new("own", 1)]).start(&spans.tracer)
        });
        assert_eq!(spans.take_attributes().len(), n + 1);
    }
}

#[test]
fn a_span_has_at_most_32_variables_by_default() {
    static MANY: [ContextVar<u64>; 40] = [const { ContextVar::new("shop.many").log() }; 40];

    let mut context = Context::new();
    for var in &MANY {
        context.set(var, 1);
    }
    let spans = Spans::new(processor());
    context.run(|| spans.tracer.start("many").end());
    assert_eq!(spans.take_attributes().len(), 32);
}

#[test]
fn a_span_that_is_not_recorded_shows_no_values() {
    struct Unreachable;

    impl fmt::Display for Unreachable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            unreachable!("the span is not recorded")
        }
    }

    #[context_var(log, name = "shop.unreachable")]
    static UNREACHABLE: Unreachable;

    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor())
        .with_sampler(Sampler::AlwaysOff)
        .build();
    let tracer = provider.tracer("tests");
    UNREACHABLE.sync_scope(Unreachable, || tracer.start("dropped").end());
}

/// Each value starts a span while it is being formatted.
#[test]
fn values_that_start_spans_while_being_formatted() {
    struct Starts(u8);

    impl fmt::Display for Starts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            spans().tracer.start(format!("of {}", self.0)).end();
            write!(f, "{}", self.0)
        }
    }

    #[context_var(log, name = "shop.a")]
    static A: Starts;
    #[context_var(log, name = "shop.b")]
    static B: Starts;
    #[context_var(log, name = "shop.c")]
    static C: Starts;

    fn spans() -> &'static Spans {
        static SPANS: OnceLock<Spans> = OnceLock::new();
        SPANS.get_or_init(|| Spans::new(processor()))
    }

    let context = || {
        let context = Context::new().with_value(&A, Starts(1)).with_value(&B, Starts(2));
        context.with_value(&C, Starts(3))
    };
    let noting = ContextTracer::new(spans().tracer.clone());
    // With the second tracer the values are formatted before the span starts.
    for start in [&|| spans().tracer.start("hello"), &|| noting.span_builder("hello").start(&noting)]
        as [&dyn Fn() -> Span; 2]
    {
        context().run(|| start().end());
        let ended = spans().take();
        let named = |name: &str| {
            let spans = ended.iter().filter(|span| span.name == name);
            let mut shown: Vec<_> = spans.map(|span| attributes(span.attributes.clone())).collect();
            shown.sort_by_key(BTreeMap::len);
            shown
        };
        let value = |name: &'static str, value: &'static str| KeyValue::new(name, value);
        let hello = attributes([value("shop.a", "1"), value("shop.b", "2"), value("shop.c", "3")]);
        assert_eq!(named("hello"), [hello]);
        // Formatting a value for the outer span starts a span with the other two values. The spans that these
        // start show none.
        let of_one = attributes([value("shop.b", "2"), value("shop.c", "3")]);
        assert_eq!(named("of 1"), [BTreeMap::new(), BTreeMap::new(), of_one]);
        assert_eq!(ended.len(), 1 + 3 * 3);
    }
}

#[test]
fn processors_have_a_debug_text_and_nothing_to_flush() {
    use opentelemetry_sdk::logs::LogProcessor;

    let (spans, logs) = (ContextSpanProcessor::default(), ContextLogProcessor::default());
    assert_eq!(format!("{spans:?}"), "ContextSpanProcessor { max_attributes: 32, .. }");
    assert_eq!(format!("{logs:?}"), "ContextLogProcessor { max_attributes: 32, .. }");
    for result in [spans.force_flush(), spans.shutdown(), spans.shutdown()] {
        result.unwrap();
    }
    for result in [logs.force_flush(), logs.shutdown(), logs.shutdown()] {
        result.unwrap();
    }
}
