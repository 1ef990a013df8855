//! Lines that `tracing_subscriber::fmt` writes to a sink, with the time and without colors.

use std::hint::black_box;
use std::io;

use contextvar::tracing::{ContextFormat, ContextWriter, record_in_span};
use contextvar::{Context, ContextSnapshot, ContextVar, context_var, for_each_log_field};
use tracing::{field, info, info_span};
use tracing_subscriber::util::SubscriberInitExt;

use super::row::Row;
use crate::measure::Meter;

pub(super) fn rows() -> Vec<Row> {
    let event = "a field of the event";
    let fields = "fields of the event";
    vec![
        Row::new("a line with no variable set", nothing_set).over(line),
        Row::new("a line with a variable", one).over(line).at_most(2000).beside(event, one_peer),
        Row::new("a line with two variables", two)
            .over(line)
            .beside(fields, two_peer)
            .beside("a span with two fields", two_span),
        Row::new("a line with eight variables", eight).over(line).beside(fields, eight_peer),
        Row::new("a line with a `u64`, a `bool` and an `f64`", typed).over(line).beside(fields, typed_peer),
        Row::new("a line through `ContextWriter`, a variable", writer)
            .over(line)
            .beside(event, one_peer)
            .why_not(2.8, "gets a finished line from a layer of any kind, looks for JSON in it, and builds it again"),
        Row::new("a line of JSON with no variable set", json_nothing_set).over(json_line),
        Row::new("a line of JSON with a variable", json_one).over(json_line).beside(event, json_one_peer),
        Row::new("a line of JSON with two variables", json_two)
            .over(json_line)
            .beside(fields, json_two_peer)
            .beside("a span with two fields", json_two_span),
        Row::new("a line of JSON with eight variables", json_eight)
            .over(json_line)
            .beside(fields, json_eight_peer),
        Row::new("a line of JSON with a `u64`, a `bool` and an `f64`", json_typed)
            .over(json_line)
            .beside(fields, json_typed_peer),
        Row::new("`record_in_span` of two variables", record)
            .beside("`Span::record`, twice", record_peer)
            .why_not(4.5, "finds the variables that are set, and the fields by their names; the peer names both in the code"),
        Row::new("`for_each_log_field` with a variable", for_each),
        Row::new("`ContextSnapshot::capture` with a variable", snapshot)
            .beside("the text of the value, in a `String`", snapshot_peer)
            .why_not(2.4, "also finds the variable, and keeps its name and whether its text needs quotes"),
    ]
}

#[context_var(log)]
static LOG_0: String;
#[context_var(log)]
static LOG_1: String;
#[context_var(log)]
static LOG_2: String;
#[context_var(log)]
static LOG_3: String;
#[context_var(log)]
static LOG_4: String;
#[context_var(log)]
static LOG_5: String;
#[context_var(log)]
static LOG_6: String;
#[context_var(log)]
static LOG_7: String;
#[context_var(log)]
static LOG_NUMBER: u64;
#[context_var(log)]
static LOG_FLAG: bool;
#[context_var(log)]
static LOG_RATIO: f64;

static TEXTS: [&ContextVar<String>; 8] = [&LOG_0, &LOG_1, &LOG_2, &LOG_3, &LOG_4, &LOG_5, &LOG_6, &LOG_7];

const VALUE: &str = "r-123456";

fn texts(number: usize) -> Context {
    TEXTS[..number].iter().fold(Context::new(), |context, var| context.with_value(var, VALUE.to_owned()))
}

fn types() -> Context {
    Context::new().with_value(&LOG_NUMBER, 1_234_567).with_value(&LOG_FLAG, true).with_value(&LOG_RATIO, 0.5)
}

fn start_text() {
    tracing_subscriber::fmt().with_writer(io::sink).with_ansi(false).init();
}

fn start_context_text() {
    tracing_subscriber::fmt()
        .with_writer(io::sink)
        .with_ansi(false)
        .map_event_format(ContextFormat::new)
        .init();
}

fn start_json() {
    tracing_subscriber::fmt().json().with_writer(io::sink).init();
}

fn start_context_json() {
    tracing_subscriber::fmt().json().with_writer(io::sink).map_event_format(ContextFormat::new).init();
}

fn log(meter: Meter) {
    meter.time(|| info!("handled"));
}

fn log_in(mut context: Context, meter: Meter) {
    context.run(|| log(meter));
}

fn log_one(meter: Meter) {
    let value = VALUE.to_owned();
    meter.time(|| info!(log_0 = value, "handled"));
}

fn log_two(meter: Meter) {
    let value = VALUE.to_owned();
    meter.time(|| info!(log_0 = value, log_1 = value, "handled"));
}

fn log_in_span(meter: Meter) {
    info_span!("request", log_0 = VALUE, log_1 = VALUE).in_scope(|| log(meter));
}

fn log_eight(meter: Meter) {
    let value = VALUE.to_owned();
    meter.time(|| {
        info!(
            log_0 = value,
            log_1 = value,
            log_2 = value,
            log_3 = value,
            log_4 = value,
            log_5 = value,
            log_6 = value,
            log_7 = value,
            "handled"
        );
    });
}

fn log_types(meter: Meter) {
    let (number, flag, ratio) = black_box((1_234_567_u64, true, 0.5));
    meter.time(|| info!(log_number = number, log_flag = flag, log_ratio = ratio, "handled"));
}

fn line(meter: Meter) {
    start_text();
    log(meter);
}

fn nothing_set(meter: Meter) {
    start_context_text();
    log_in(Context::new(), meter);
}

fn one(meter: Meter) {
    start_context_text();
    log_in(texts(1), meter);
}

fn one_peer(meter: Meter) {
    start_text();
    log_one(meter);
}

fn two(meter: Meter) {
    start_context_text();
    log_in(texts(2), meter);
}

fn two_peer(meter: Meter) {
    start_text();
    log_two(meter);
}

fn two_span(meter: Meter) {
    start_text();
    log_in_span(meter);
}

fn eight(meter: Meter) {
    start_context_text();
    log_in(texts(8), meter);
}

fn eight_peer(meter: Meter) {
    start_text();
    log_eight(meter);
}

fn typed(meter: Meter) {
    start_context_text();
    log_in(types(), meter);
}

fn typed_peer(meter: Meter) {
    start_text();
    log_types(meter);
}

fn writer(meter: Meter) {
    tracing_subscriber::fmt().with_writer(ContextWriter::new(io::sink)).with_ansi(false).init();
    log_in(texts(1), meter);
}

fn json_line(meter: Meter) {
    start_json();
    log(meter);
}

fn json_nothing_set(meter: Meter) {
    start_context_json();
    log_in(Context::new(), meter);
}

fn json_one(meter: Meter) {
    start_context_json();
    log_in(texts(1), meter);
}

fn json_one_peer(meter: Meter) {
    start_json();
    log_one(meter);
}

fn json_two(meter: Meter) {
    start_context_json();
    log_in(texts(2), meter);
}

fn json_two_peer(meter: Meter) {
    start_json();
    log_two(meter);
}

fn json_two_span(meter: Meter) {
    start_json();
    log_in_span(meter);
}

fn json_eight(meter: Meter) {
    start_context_json();
    log_in(texts(8), meter);
}

fn json_eight_peer(meter: Meter) {
    start_json();
    log_eight(meter);
}

fn json_typed(meter: Meter) {
    start_context_json();
    log_in(types(), meter);
}

fn json_typed_peer(meter: Meter) {
    start_json();
    log_types(meter);
}

fn record(meter: Meter) {
    tracing_subscriber::registry().init();
    let span = info_span!("request", log_0 = field::Empty, log_1 = field::Empty);
    texts(2).run(|| meter.time(|| record_in_span(&span)));
}

fn record_peer(meter: Meter) {
    tracing_subscriber::registry().init();
    let span = info_span!("request", log_0 = field::Empty, log_1 = field::Empty);
    let value = VALUE.to_owned();
    meter.time(|| {
        span.record("log_0", value.as_str());
        span.record("log_1", value.as_str());
    });
}

fn for_each(meter: Meter) {
    texts(1).run(|| {
        meter.time(|| {
            for_each_log_field(|name, value| {
                black_box((name, value));
            });
        })
    });
}

fn snapshot(meter: Meter) {
    texts(1).run(|| meter.time(ContextSnapshot::capture));
}

fn snapshot_peer(meter: Meter) {
    let value = VALUE.to_owned();
    meter.time(|| vec![("log_0", value.to_string())]);
}
