//! Spans, log records and metrics. The peers keep their values in OpenTelemetry's context or in variables of
//! the code that starts a span or counts.

mod metrics;

use std::hint::black_box;
use std::time::Duration;

use contextvar::opentelemetry::{ContextLogProcessor, ContextSpanProcessor};
use contextvar::{Context, context_var};
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};

use super::row::Row;
use crate::measure::Meter;
use crate::observed::Discard;

type OtelContext = opentelemetry::Context;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::new("start and end a span, `ContextSpanProcessor`, 3 variables", span_ours)
            .over(span_plain)
            .beside("a processor that reads OpenTelemetry's context", span_processor)
            .why_not(1.6, "a variable does not take the name of an attribute, and the SDK shows those only in a copy (1000)")
            .beside("`set_attribute` by hand, 3 times", span_by_hand)
            .why_not(6.1, "the same, and the SDK copies a span's data at its end for each of two processors (2000)"),
        Row::new("start and end a span, `ContextSpanProcessor`, no variable set", span_ours_nothing_set)
            .over(span_plain)
            .beside("a processor that reads OpenTelemetry's context", span_processor_nothing_set),
        Row::new("emit a log record, `ContextLogProcessor`, 3 variables", record_ours)
            .over(record_plain)
            .beside("a processor that reads OpenTelemetry's context", record_processor)
            .why_not(2.3, RECORD)
            .beside("`add_attribute` by hand, 3 times", record_by_hand)
            .why_not(2.4, RECORD),
        Row::new("emit a log record, `ContextLogProcessor`, no variable set", record_ours_nothing_set)
            .over(record_plain)
            .beside("a processor that reads OpenTelemetry's context", record_processor_nothing_set),
    ];
    rows.extend(metrics::rows());
    rows
}

const RECORD: &str =
    "finds the variables that are set, their types and free names; the peer has three values in the code";

#[context_var(name = "shown.number", log)]
static NUMBER: u64;
#[context_var(name = "shown.text", log)]
static TEXT: String;
#[context_var(name = "shown.flag", log)]
static FLAG: bool;

/// What the peers keep in OpenTelemetry's context.
#[derive(Debug)]
struct Three {
    number: u64,
    text: String,
    flag: bool,
}

impl Three {
    fn new() -> Self {
        Three { number: 1_234_567, text: "r-123456".to_owned(), flag: true }
    }
}

fn ours() -> Context {
    let Three { number, text, flag } = Three::new();
    Context::new().with_value(&NUMBER, number).with_value(&TEXT, text).with_value(&FLAG, flag)
}

fn theirs() -> OtelContext {
    OtelContext::new().with_value(Three::new())
}

#[derive(Debug)]
struct FromContext;

impl SpanProcessor for FromContext {
    fn on_start(&self, span: &mut Span, context: &OtelContext) {
        if let Some(three) = context.get::<Three>() {
            set_attributes(span, three);
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn set_attributes(span: &mut Span, three: &Three) {
    span.set_attribute(KeyValue::new("shown.number", three.number as i64));
    span.set_attribute(KeyValue::new("shown.text", three.text.clone()));
    span.set_attribute(KeyValue::new("shown.flag", three.flag));
}

fn tracer(processor: Option<impl SpanProcessor + 'static>) -> SdkTracer {
    let provider = SdkTracerProvider::builder().with_simple_exporter(Discard);
    let provider = match processor {
        Some(processor) => provider.with_span_processor(processor),
        None => provider,
    };
    provider.build().tracer("benches")
}

fn spans(meter: Meter, tracer: SdkTracer) {
    meter.time(|| drop(tracer.start("request")));
}

fn span_plain(meter: Meter) {
    spans(meter, tracer(None::<FromContext>));
}

fn span_ours(meter: Meter) {
    ours().run(|| spans(meter, tracer(Some(ContextSpanProcessor::new()))));
}

fn span_ours_nothing_set(meter: Meter) {
    Context::new().run(|| spans(meter, tracer(Some(ContextSpanProcessor::new()))));
}

fn span_processor(meter: Meter) {
    let _attached = theirs().attach();
    spans(meter, tracer(Some(FromContext)));
}

fn span_processor_nothing_set(meter: Meter) {
    spans(meter, tracer(Some(FromContext)));
}

fn span_by_hand(meter: Meter) {
    let tracer = tracer(None::<FromContext>);
    let three = black_box(Three::new());
    meter.time(|| {
        let mut span = tracer.start("request");
        set_attributes(&mut span, &three);
    });
}

impl LogProcessor for FromContext {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        OtelContext::map_current(|context| {
            if let Some(three) = context.get::<Three>() {
                add_attributes(record, three);
            }
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn add_attributes(record: &mut SdkLogRecord, three: &Three) {
    record.add_attribute("shown.number", three.number as i64);
    record.add_attribute("shown.text", three.text.clone());
    record.add_attribute("shown.flag", three.flag);
}

/// Stands for an exporter: takes records and does nothing with them.
#[derive(Debug)]
struct DiscardRecords;

impl LogProcessor for DiscardRecords {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        black_box(record);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn logger(processor: Option<impl LogProcessor + 'static>) -> SdkLogger {
    let provider = SdkLoggerProvider::builder();
    let provider = match processor {
        Some(processor) => provider.with_log_processor(processor),
        None => provider,
    };
    provider.with_log_processor(DiscardRecords).build().logger("benches")
}

fn records(meter: Meter, logger: SdkLogger) {
    meter.time(|| logger.emit(record(&logger)));
}

fn record(logger: &SdkLogger) -> SdkLogRecord {
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Info);
    record.set_body(AnyValue::from("handled"));
    record
}

fn record_plain(meter: Meter) {
    records(meter, logger(None::<FromContext>));
}

fn record_ours(meter: Meter) {
    ours().run(|| records(meter, logger(Some(ContextLogProcessor::new()))));
}

fn record_ours_nothing_set(meter: Meter) {
    Context::new().run(|| records(meter, logger(Some(ContextLogProcessor::new()))));
}

fn record_processor(meter: Meter) {
    let _attached = theirs().attach();
    records(meter, logger(Some(FromContext)));
}

fn record_processor_nothing_set(meter: Meter) {
    records(meter, logger(Some(FromContext)));
}

fn record_by_hand(meter: Meter) {
    let logger = logger(None::<FromContext>);
    let three = black_box(Three::new());
    meter.time(|| {
        let mut record = record(&logger);
        add_attributes(&mut record, &three);
        logger.emit(record);
    });
}
