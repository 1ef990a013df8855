//! Variables on OpenTelemetry's spans and log records.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::{fmt, panic};

use contextvar::opentelemetry::{ContextLogProcessor, ContextSpanProcessor, ContextTracer};
use contextvar::{Context, ContextVar, context_var};
use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor,
};

mod concurrent;
mod log_records;
mod tracing_spans;

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

/// Variables of all types, declared in [`typed`].
fn typed() -> Context {
    #[derive(Debug)]
    struct OnlyDebug;

    /// A `Display` that fails after some text.
    struct Broken;

    impl fmt::Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }

    #[derive(serde::Serialize)]
    struct Json {
        numbers: Vec<Option<u64>>,
        none: Option<u8>,
        ratio: f32,
        yes: bool,
        name: &'static str,
    }

    #[context_var(log, name = "shop.signed")]
    static SIGNED: i8;
    #[context_var(log, name = "shop.large")]
    static LARGE: u64;
    #[context_var(log, name = "shop.larger")]
    static LARGER: u128;
    #[context_var(log, name = "shop.lowest")]
    static LOWEST: i128;
    #[context_var(log, name = "shop.ratio")]
    static RATIO: f64;
    #[context_var(log, name = "shop.half")]
    static HALF: f32;
    #[context_var(log, name = "shop.yes")]
    static YES: bool;
    #[context_var(log, name = "shop.str")]
    static STR: &'static str;
    #[context_var(log, name = "shop.some")]
    static SOME: Option<u16>;
    #[context_var(log, name = "shop.none")]
    static NONE: Option<u16>;
    #[context_var(log, name = "shop.display")]
    static DISPLAY: std::net::Ipv4Addr;
    #[context_var(log, name = "shop.debug")]
    static DEBUG: OnlyDebug;
    #[context_var(log, name = "shop.broken")]
    static BROKEN: Broken;
    #[context_var(log = serde, name = "shop.json")]
    static JSON: Json;
    static SECRET: ContextVar<u64> = ContextVar::new("shop.secret").log().secret();

    let json = Json {
        numbers: vec![Some(1), None, Some(u64::MAX)],
        none: None,
        ratio: 0.5,
        yes: true,
        name: "a \"b\"",
    };
    Context::new()
        .with_value(&SIGNED, -1)
        .with_value(&LARGE, u64::MAX)
        .with_value(&LARGER, u128::MAX)
        .with_value(&LOWEST, i128::MIN)
        .with_value(&RATIO, 0.1)
        .with_value(&HALF, 0.5)
        .with_value(&YES, true)
        .with_value(&STR, "größe")
        .with_value(&SOME, Some(3))
        .with_value(&NONE, None)
        .with_value(&DISPLAY, std::net::Ipv4Addr::LOCALHOST)
        .with_value(&DEBUG, OnlyDebug)
        .with_value(&BROKEN, Broken)
        .with_value(&JSON, json)
        .with_value(&SECRET, 1)
}

/// The attributes of [`typed`], apart from the JSON.
fn of_typed() -> BTreeMap<String, Value> {
    attributes([
        KeyValue::new("shop.signed", -1),
        KeyValue::new("shop.large", u64::MAX.to_string()),
        KeyValue::new("shop.larger", u128::MAX.to_string()),
        KeyValue::new("shop.lowest", i128::MIN.to_string()),
        KeyValue::new("shop.ratio", 0.1),
        KeyValue::new("shop.half", 0.5),
        KeyValue::new("shop.yes", true),
        KeyValue::new("shop.str", "größe"),
        KeyValue::new("shop.some", 3),
        KeyValue::new("shop.display", "127.0.0.1"),
        KeyValue::new("shop.debug", "OnlyDebug"),
        KeyValue::new("shop.broken", "half"),
    ])
}

#[test]
fn attributes_of_spans_keep_their_types() {
    let spans = Spans::new(processor());
    typed().run(|| spans.tracer.start("typed").end());
    let mut expected = of_typed();
    let json =
        r#"{"numbers":[1,null,18446744073709551615],"none":null,"ratio":0.5,"yes":true,"name":"a \"b\""}"#;
    expected.insert("shop.json".to_owned(), json.into());
    assert_eq!(spans.take_attributes(), expected);
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
        typed().run(|| {
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
