//! Formats of one's own, writers, closed spans, and fields of spans.

use std::fmt;

use contextvar::tracing::{ContextFormat, ContextWriter, SpanContextLayer, record_in_span};
use contextvar::{Context, context_var};
use tracing::{Event, Subscriber, field, info, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{FmtSpan, Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::{Output, REQUEST_ID, TENANT, acme};

/// Writes the template with the event's fields in place of `{}`.
#[derive(Clone)]
struct Template(&'static str);

impl<S, N> FormatEvent<S, N> for Template
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (before, after) = self.0.split_once("{}").unwrap();
        writer.write_str(before)?;
        ctx.format_fields(writer.by_ref(), event)?;
        writer.write_str(after)
    }
}

#[test]
fn a_format_of_ones_own() {
    let output = Output::default();
    for (template, expected) in [
        ("> {}\n", "> hello request_id=7\n"),
        ("{\"msg\":\"{}\"}\n", "{\"msg\":\"hello\",\"request_id\":7}\n"),
        (
            "{\"msg\":\"{}\",\"request_id\" : 1}\n",
            "{\"msg\":\"hello\",\"request_id\" : 1,\"request_id_2\":7}\n",
        ),
        ("{\"a\":\"request_id\",\"b\":\"{}\"}", "{\"a\":\"request_id\",\"b\":\"hello\",\"request_id\":7}"),
        // Only keys of the object itself count.
        (
            "{\"a\":{\"request_id\":1},\"b\":\"\\\"request_id\\\":{}\"}\n",
            "{\"a\":{\"request_id\":1},\"b\":\"\\\"request_id\\\":hello\",\"request_id\":7}\n",
        ),
        // The quote is escaped, so the brace is in the string.
        ("{\"a\":\"\\\"}{}\"}", "{\"a\":\"\\\"}hello\",\"request_id\":7}"),
        // The backslash is escaped, and not the quote.
        (
            "{\"a\":\"{}\\\\\",\"request_id\":1}\n",
            "{\"a\":\"hello\\\\\",\"request_id\":1,\"request_id_2\":7}\n",
        ),
        ("{\"a\":[{},\"request_id\"]}", "{\"a\":[hello,\"request_id\"],\"request_id\":7}"),
        ("{ } {}\n", "{ } hello request_id=7\n"),
        ("{\"{}\n", "{\"hello request_id=7\n"),
        ("}{}{\n", "}hello{ request_id=7\n"),
    ] {
        let subscriber = tracing_subscriber::fmt().with_writer(output.clone()).with_ansi(false);
        let subscriber = subscriber.event_format(ContextFormat::around(Template(template))).finish();
        tracing::subscriber::with_default(subscriber, || REQUEST_ID.sync_scope(7, || info!("hello")));
        assert_eq!(output.take(), expected, "{template}");
    }
    let subscriber = tracing_subscriber::fmt().with_writer(output.clone()).with_ansi(false);
    let subscriber = subscriber.event_format(ContextFormat::around(Template("{}\n"))).finish();
    tracing::subscriber::with_default(subscriber, || REQUEST_ID.sync_scope(7, || info!(request_id = 1)));
    assert_eq!(output.take(), "request_id=1 request_id_2=7\n");
}

/// The layer formats its lines without knowing the variables.
#[test]
fn a_writer_adds_the_variables() {
    let output = Output::default();
    let writer = || ContextWriter::new(output.clone());
    let text = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(writer()).finish();
    let json = tracing_subscriber::fmt().json().with_writer(writer()).finish();
    tracing::subscriber::with_default(text, || {
        info!("outside");
        REQUEST_ID.sync_scope(7, || info!("hello"));
    });
    let text = " INFO it::logging::layers: outside\n INFO it::logging::layers: hello request_id=7\n";
    assert_eq!(output.take(), text);
    tracing::subscriber::with_default(json, || acme().run(|| info!("hello")));
    let line: serde_json::Value = serde_json::from_str(&output.take()).unwrap();
    assert_eq!((&line["request_id"], &line["TENANT"]), (&7.into(), &"acme".into()));
    assert_eq!(line["fields"], serde_json::json!({"message": "hello"}));
}

#[test]
fn a_closed_span_shows_the_variables_it_was_opened_with() {
    let output = Output::default();
    fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(output: &Output) -> impl Layer<S> {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(output.clone())
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .event_format(ContextFormat::new(Format::default().without_time().with_ansi(false)))
    }
    let open_and_close = || {
        let span = acme().run(|| info_span!("span", request_id = 1));
        REQUEST_ID.sync_scope(8, || {
            info!("close");
            drop(span);
        });
    };
    let close_line = |lines: &str| {
        let lines: Vec<_> = lines.lines().collect();
        assert!(lines[0].starts_with(" INFO span{request_id=1}: it::logging::layers: new "), "{}", lines[0]);
        // An event of one's own that says "close" is an event.
        assert_eq!(lines[1], " INFO it::logging::layers: close request_id=8");
        let start = " INFO span{request_id=1}: it::logging::layers: close time.busy=";
        assert!(lines[2].starts_with(start), "{}", lines[2]);
        let mut fields: Vec<_> = lines[2].split(' ').filter(|word| !word.contains("time.")).skip(5).collect();
        fields.sort_unstable();
        fields.join(" ")
    };
    let subscriber = tracing_subscriber::registry().with(SpanContextLayer::new()).with(layer(&output));
    tracing::subscriber::with_default(subscriber, open_and_close);
    assert_eq!(close_line(&output.take()), "TENANT=acme request_id=7");
    // Nobody knows them without the layer; those of the code that drops the span would be wrong.
    let subscriber = tracing_subscriber::registry().with(layer(&output));
    tracing::subscriber::with_default(subscriber, open_and_close);
    assert_eq!(close_line(&output.take()), "");
}

/// A layer that formats its lines without knowing the variables.
#[test]
fn a_layer_writes_a_closed_span_in_the_context_it_was_opened_in() {
    let output = Output::default();
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_writer(ContextWriter::new(output.clone()));
    let subscriber = tracing_subscriber::registry().with(SpanContextLayer::around(lines));
    tracing::subscriber::with_default(subscriber, || {
        let span = REQUEST_ID.sync_scope(7, || info_span!("span", n = field::Empty));
        let outside = info_span!("outside");
        REQUEST_ID.sync_scope(8, || {
            span.record("n", 1);
            span.in_scope(|| info!("hello"));
            drop(span);
            drop(outside);
        });
    });
    let lines = [
        " INFO span: it::logging::layers: new request_id=7\n",
        " INFO outside: it::logging::layers: new\n",
        " INFO span{n=1}: it::logging::layers: hello request_id=8\n",
        " INFO span{n=1}: it::logging::layers: close request_id=7\n",
        " INFO outside: it::logging::layers: close\n",
    ];
    assert_eq!(output.take(), lines.concat());
}

/// The wrapper passes every call to the layer in it.
#[test]
fn a_wrapped_layer_receives_every_call() {
    use std::sync::{Arc, Mutex};

    use tracing::level_filters::LevelFilter;
    use tracing::{Metadata, span};
    use tracing_subscriber::layer;

    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<&'static str>>>);

    impl Calls {
        fn add(&self, call: &'static str) {
            self.0.lock().unwrap().push(call);
        }
    }

    impl<S: Subscriber> Layer<S> for Calls {
        fn on_register_dispatch(&self, _: &tracing::Dispatch) {
            self.add("dispatch");
        }
        fn on_layer(&mut self, _: &mut S) {
            self.add("layer");
        }
        fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
            tracing::subscriber::Interest::sometimes()
        }
        fn enabled(&self, metadata: &Metadata<'_>, _: layer::Context<'_, S>) -> bool {
            metadata.name() != "disabled"
        }
        fn event_enabled(&self, event: &Event<'_>, _: layer::Context<'_, S>) -> bool {
            event.metadata().target() != "disabled"
        }
        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(LevelFilter::INFO)
        }
        fn on_new_span(&self, _: &span::Attributes<'_>, _: &span::Id, _: layer::Context<'_, S>) {
            self.add("new");
        }
        fn on_record(&self, _: &span::Id, _: &span::Record<'_>, _: layer::Context<'_, S>) {
            self.add("record");
        }
        fn on_follows_from(&self, _: &span::Id, _: &span::Id, _: layer::Context<'_, S>) {
            self.add("follows");
        }
        fn on_event(&self, _: &Event<'_>, _: layer::Context<'_, S>) {
            self.add("event");
        }
        fn on_enter(&self, _: &span::Id, _: layer::Context<'_, S>) {
            self.add("enter");
        }
        fn on_exit(&self, _: &span::Id, _: layer::Context<'_, S>) {
            self.add("exit");
        }
        fn on_close(&self, _: span::Id, _: layer::Context<'_, S>) {
            self.add("close");
        }
        fn on_id_change(&self, _: &span::Id, _: &span::Id, _: layer::Context<'_, S>) {
            self.add("id");
        }
    }

    let calls = Calls::default();
    let layer = SpanContextLayer::around(calls.clone());
    assert_eq!(Layer::<tracing_subscriber::Registry>::max_level_hint(&layer), Some(LevelFilter::INFO));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        assert!(info_span!("disabled").is_disabled());
        let span = info_span!("span", n = field::Empty);
        span.record("n", 1);
        span.follows_from(&info_span!("cause"));
        span.in_scope(|| info!("hello"));
        info!(target: "disabled", "hello");
    });
    let expected =
        ["layer", "dispatch", "new", "record", "new", "follows", "close", "enter", "event", "exit", "close"];
    assert_eq!(*calls.0.lock().unwrap(), expected);
}

#[test]
fn a_span_keeps_the_values_that_logs_show_until_it_is_closed() {
    use std::sync::Arc;

    #[context_var(log)]
    static SHOWN: Arc<str>;
    #[context_var(log, inherit = false)]
    static SHOWN_AND_NOT_INHERITED: Arc<str>;
    #[context_var]
    static NOT_SHOWN: Arc<str>;
    #[context_var(inherit = false)]
    static NOT_INHERITED: Arc<str>;

    let values = ["a", "b", "c", "d"].map(Arc::<str>::from);
    let counts = || values.each_ref().map(Arc::strong_count);
    let subscriber = tracing_subscriber::registry().with(SpanContextLayer::new());
    tracing::subscriber::with_default(subscriber, || {
        let [a, b, c, d] = values.clone();
        let context = Context::new().with_value(&SHOWN, a).with_value(&SHOWN_AND_NOT_INHERITED, b);
        let mut context = context.with_value(&NOT_SHOWN, c).with_value(&NOT_INHERITED, d);
        let span = context.run(|| info_span!("span"));
        drop(context);
        assert_eq!(counts(), [2, 2, 1, 1]);
        drop(span);
        assert_eq!(counts(), [1; 4]);
    });
}

#[test]
fn variables_are_recorded_in_the_fields_of_a_span() {
    let output = Output::default();
    let subscriber =
        tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(output.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("request", request_id = field::Empty, other = 1);
        acme().run(|| record_in_span(&span));
        TENANT.sync_scope("no field of this name".to_owned(), || record_in_span(&span));
        span.in_scope(|| info!("hello"));
    });
    assert_eq!(output.take(), " INFO request{other=1 request_id=7}: it::logging::layers: hello\n");
}
