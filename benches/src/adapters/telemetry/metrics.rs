//! Counters of the crate `metrics` and of OpenTelemetry, with two labels.

use std::hint::black_box;

use contextvar::metrics::ContextRecorder;
use contextvar::opentelemetry::MetricAttributes;
use contextvar::{Context, context_var};
use metrics::counter;
use metrics_tracing_context::{MetricsLayer, TracingContextLayer};
use metrics_util::layers::Layer;
use metrics_util::registry::Registry;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, MeterProvider};
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::adapters::row::Row;
use crate::measure::{Meter, Reading};
use crate::observed::Counters;

pub(super) fn rows() -> Vec<Row> {
    let by_hand = "the labels in the macro";
    vec![
        Row::new("`counter!` with `ContextRecorder`, 2 labels", counter_ours)
            .over(counter_plain)
            .beside("metrics-tracing-context, a span with two fields", counter_tracing)
            .beside(by_hand, counter_by_hand)
            .why_not(2.5, "looks the combination up among the known ones, which bounds the series"),
        Row::new("`counter!` with `ContextRecorder`, nothing set", counter_ours_nothing_set)
            .over(counter_plain),
        Row::new("OpenTelemetry's `add` with `MetricAttributes`, 2 labels", add_ours)
            .over(add_plain)
            .beside("the attributes in the call", add_by_hand)
            .why_not(2.1, "as above, and the SDK hashes the combination again"),
        Row::new("OpenTelemetry's `add` with `MetricAttributes`, nothing set", add_ours_nothing_set)
            .over(add_plain),
    ]
}

#[context_var(name = "plan", metric)]
static PLAN: String;
#[context_var(name = "region", metric)]
static REGION: String;

const VALUES: (&str, &str) = ("gold", "eu-west");

fn ours() -> Context {
    Context::new().with_value(&PLAN, VALUES.0.to_owned()).with_value(&REGION, VALUES.1.to_owned())
}

fn theirs() -> (String, String) {
    black_box((VALUES.0.to_owned(), VALUES.1.to_owned()))
}

fn install(recorder: impl metrics::Recorder + Send + Sync + 'static) {
    assert!(metrics::set_global_recorder(recorder).is_ok());
}

fn counters() -> Counters {
    Counters(Registry::atomic())
}

fn count(meter: Meter) {
    meter.time(|| counter!("requests").increment(1));
}

fn counter_plain(meter: Meter) {
    install(counters());
    count(meter);
}

fn counter_ours(meter: Meter) {
    install(ContextRecorder::new(counters()));
    ours().run(|| count(meter));
}

fn counter_ours_nothing_set(meter: Meter) {
    // The variables are known to the process, and not set.
    drop(ours());
    install(ContextRecorder::new(counters()));
    Context::new().run(|| count(meter));
}

fn counter_by_hand(meter: Meter) {
    install(counters());
    let (plan, region) = theirs();
    meter.time(|| counter!("requests", "plan" => plan.clone(), "region" => region.clone()).increment(1));
}

fn counter_tracing(meter: Meter) {
    tracing_subscriber::registry().with(MetricsLayer::new()).init();
    install(TracingContextLayer::all().layer(counters()));
    info_span!("request", plan = VALUES.0, region = VALUES.1).in_scope(|| count(meter));
}

fn with_counter(f: impl FnOnce(Counter<u64>) -> Reading) {
    let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
    f(provider.meter("benches").u64_counter("requests").build());
}

fn add_plain(meter: Meter) {
    with_counter(|counter| meter.time(|| counter.add(1, &[])));
}

static ATTRIBUTES: MetricAttributes = MetricAttributes::new();

fn add_ours(meter: Meter) {
    let adds = |counter: Counter<u64>| meter.time(|| counter.add(1, &ATTRIBUTES.current(&[])));
    with_counter(|counter| ours().run(|| adds(counter)));
}

fn add_ours_nothing_set(meter: Meter) {
    drop(ours());
    let adds = |counter: Counter<u64>| meter.time(|| counter.add(1, &ATTRIBUTES.current(&[])));
    with_counter(|counter| Context::new().run(|| adds(counter)));
}

fn add_by_hand(meter: Meter) {
    let (plan, region) = theirs();
    with_counter(|counter| {
        meter.time(|| {
            let attributes = [KeyValue::new("plan", plan.clone()), KeyValue::new("region", region.clone())];
            counter.add(1, &attributes);
        })
    });
}
