//! Variables in log records, and in those that opentelemetry-appender-tracing makes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use contextvar::context_var;
use contextvar::opentelemetry::ContextLogProcessor;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::{InstrumentationScope, Key, Value};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    InMemoryLogExporter, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use tracing::info;
use tracing_subscriber::layer::SubscriberExt;

use super::types::{of_typed, typed};
use super::{of_request, request};

fn processor() -> ContextLogProcessor {
    ContextLogProcessor::new().with_filter(|name| name.starts_with("shop."))
}

/// A logger, and what it exports.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) provider: SdkLoggerProvider,
    logger: SdkLogger,
    exporter: InMemoryLogExporter,
}

impl Records {
    pub(super) fn new() -> Self {
        Records::with(processor())
    }

    fn with(processor: ContextLogProcessor) -> Self {
        let exporter = InMemoryLogExporter::default();
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(processor)
            .with_simple_exporter(exporter.clone())
            .build();
        Records { logger: provider.logger("tests"), provider, exporter }
    }

    fn emit(&self, attributes: &[(&'static str, i64)]) {
        let mut record = self.logger.create_log_record();
        record.add_attributes(attributes.iter().copied());
        self.logger.emit(record);
    }

    /// Returns and removes the body and the attributes of each record.
    pub(super) fn take(&self) -> Vec<(String, BTreeMap<String, AnyValue>)> {
        let records = self.exporter.get_emitted_logs().unwrap();
        self.exporter.reset();
        let shown = |record: &SdkLogRecord| {
            let mut map = BTreeMap::new();
            for (key, value) in record.attributes_iter() {
                let twice = map.insert(key.to_string(), value.clone());
                assert_eq!(twice, None, "{key} occurs twice");
            }
            let body = match record.body() {
                Some(AnyValue::String(text)) => text.to_string(),
                _ => String::new(),
            };
            (body, map)
        };
        records.iter().map(|data| shown(&data.record)).collect()
    }

    /// Returns the attributes of the only record.
    fn take_attributes(&self) -> BTreeMap<String, AnyValue> {
        let [(_, attributes)] = self.take().try_into().unwrap();
        attributes
    }
}

/// Returns the attributes of a span as those of a record.
pub(super) fn of_record(attributes: BTreeMap<String, Value>) -> BTreeMap<String, AnyValue> {
    let any_value = |value| match value {
        Value::Bool(value) => AnyValue::Boolean(value),
        Value::I64(value) => AnyValue::Int(value),
        Value::F64(value) => AnyValue::Double(value),
        Value::String(value) => AnyValue::String(value),
        other => panic!("{other:?}"),
    };
    attributes.into_iter().map(|(key, value)| (key, any_value(value))).collect()
}

#[test]
fn a_record_has_the_variables_of_the_code_that_logs() {
    let records = Records::new();
    records.emit(&[]);
    assert_eq!(records.take_attributes(), BTreeMap::new());
    request(7).run(|| records.emit(&[]));
    assert_eq!(records.take_attributes(), of_record(of_request(7)));
}

#[test]
fn attributes_of_records_keep_their_types_and_json_is_structured() {
    let records = Records::new();
    typed().run(|| records.emit(&[]));
    let mut expected = of_record(of_typed());
    let list = vec![AnyValue::Int(1), "null".into(), u64::MAX.to_string().into()];
    let json: HashMap<Key, AnyValue> = HashMap::from([
        ("numbers".into(), AnyValue::ListAny(Box::new(list))),
        ("ratio".into(), AnyValue::Double(0.5)),
        ("yes".into(), AnyValue::Boolean(true)),
        ("name".into(), "a \"b\"".into()),
    ]);
    expected.insert("shop.json".to_owned(), AnyValue::Map(Box::new(json)));
    assert_eq!(records.take_attributes(), expected);
}

#[test]
fn an_attribute_of_a_record_keeps_its_name() {
    let records = Records::new();
    request(7).run(|| records.emit(&[("shop.request", 1), ("shop.request_2", 2)]));
    let shown = records.take_attributes();
    assert_eq!(shown["shop.request"], AnyValue::Int(1));
    assert_eq!(shown["shop.request_2"], AnyValue::Int(2));
    let numbered: Vec<_> = shown.iter().filter(|(_, value)| **value == AnyValue::Int(7)).collect();
    // Another test has a variable whose name is `shop.request_3`.
    assert!(["shop.request_3", "shop.request_4"].contains(&&**numbered[0].0), "{shown:?}");
    assert_eq!(shown.len(), 4);
}

#[test]
fn a_filter_and_a_limit_select_the_variables_of_records() {
    let only_tenant = Records::with(ContextLogProcessor::new().with_filter(|name| name == "shop.tenant"));
    request(7).run(|| only_tenant.emit(&[]));
    let tenant = of_record(of_request(7)).split_off("shop.tenant");
    assert_eq!(only_tenant.take_attributes(), tenant);
    for n in [0, 1, 5] {
        let limited = Records::with(processor().with_max_attributes(n));
        typed().run(|| limited.emit(&[("own", 1)]));
        assert_eq!(limited.take_attributes().len(), n + 1);
    }
}

#[test]
fn events_of_tracing_become_records_with_variables() {
    let records = Records::new();
    let bridge = OpenTelemetryTracingBridge::new(&records.provider);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(bridge), || {
        info!("outside");
        request(7).run(|| info!(n = 1, shop.tenant = "own", "inside"));
    });
    let [outside, inside] = records.take().try_into().unwrap();
    assert_eq!(outside, ("outside".to_owned(), BTreeMap::new()));
    let expected = [
        ("n", AnyValue::Int(1)),
        ("shop.request", AnyValue::Int(7)),
        ("shop.tenant", "own".into()),
        ("shop.tenant_2", "tenant-7".into()),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(inside, ("inside".to_owned(), BTreeMap::from(expected)));
}

#[test]
fn values_that_log_records_while_being_formatted() {
    struct Logs(u8);

    impl fmt::Display for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            records().emit(&[("of", self.0.into())]);
            write!(f, "{}", self.0)
        }
    }

    #[context_var(log, name = "shop.logs_a")]
    static A: Logs;
    #[context_var(log, name = "shop.logs_b")]
    static B: Logs;

    fn records() -> &'static Records {
        static RECORDS: OnceLock<Records> = OnceLock::new();
        RECORDS.get_or_init(Records::new)
    }

    A.sync_scope(Logs(1), || B.sync_scope(Logs(2), || records().emit(&[])));
    let mut shown: Vec<_> = records().take().into_iter().map(|(_, attributes)| attributes).collect();
    shown.sort_by_key(|attributes| (attributes.contains_key("of"), attributes.len()));
    let counts: Vec<_> = shown.iter().map(|attributes| attributes.len()).collect();
    // The outer record shows both. Formatting each logs a record with the other, whose record shows none.
    assert_eq!(counts, [2, 1, 1, 2, 2], "{shown:?}");
}

/// Wants no records.
#[derive(Debug)]
struct WantsNone;

impl LogProcessor for WantsNone {
    fn emit(&self, _: &mut SdkLogRecord, _: &InstrumentationScope) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn event_enabled(&self, _: Severity, _: &str, _: Option<&str>) -> bool {
        false
    }
}

#[test]
fn the_processor_makes_no_records_wanted() {
    let wanted = |builder: opentelemetry_sdk::logs::LoggerProviderBuilder| {
        builder.build().logger("tests").event_enabled(Severity::Info, "tests", None)
    };
    let builder = || SdkLoggerProvider::builder().with_log_processor(processor());
    assert!(!wanted(builder().with_log_processor(WantsNone)));
    assert!(wanted(builder().with_simple_exporter(InMemoryLogExporter::default())));
}
