//! slog, slog-async and slog-json.

// Recipe

use contextvar::{LogValue, for_each_log_field};
use slog::{BorrowedKV, Drain, KV, Logger, Never, OwnedKVList, Record, RecordStatic, Serializer, o};
use slog_async::{Async, AsyncGuard};

fn logger(drain: impl Drain<Ok = (), Err = Never> + Send + 'static) -> (Logger, AsyncGuard) {
    let (drain, guard) = Async::new(drain).build_with_guard();
    (Logger::root(ContextDrain(drain).fuse(), o!()), guard)
}

/// Adds the variables to each record, before it goes to another thread.
struct ContextDrain<D>(D);

impl<D: Drain> Drain for ContextDrain<D> {
    type Ok = D::Ok;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<D::Ok, D::Err> {
        let (location, tag, level) = (record.location(), record.tag(), record.level());
        let with_variables = (Variables, record.kv());
        let record_static = RecordStatic { location, tag, level };
        self.0.log(&Record::new(&record_static, record.msg(), BorrowedKV(&with_variables)), values)
    }
}

struct Variables;

impl KV for Variables {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        let mut result = Ok(());
        for_each_log_field(|name, value| {
            let written = match *value {
                LogValue::Bool(value) => serializer.emit_bool(name, value),
                LogValue::I64(value) => serializer.emit_i64(name, value),
                LogValue::U64(value) => serializer.emit_u64(name, value),
                LogValue::F64(value) => serializer.emit_f64(name, value),
                LogValue::Str(value) => serializer.emit_str(name, value),
                value => serializer.emit_str(name, &value.to_string()),
            };
            if written.is_err() {
                result = written;
            }
        });
        result
    }
}

// Test

use std::sync::OnceLock;

use serde_json::Value;
use slog::{FnValue, info};
use slog_json::Json;

use crate::support::{Output, REQUEST_ID, assert_json_lines, context, run_requests};

#[test]
fn a_record_has_the_variables_of_the_code_that_logs() {
    static LOGGER: OnceLock<Logger> = OnceLock::new();

    let output = Output::default();
    let (logger, guard) = logger(Json::default(output.clone()).fuse());
    LOGGER.set(logger.new(o!("version" => 1))).unwrap();
    run_requests(2, |message| info!(LOGGER.get().unwrap(), "{}", message; "place" => "here"));
    drop(guard);
    let output = output.take();
    assert_json_lines(&output, 2, "/msg", "");
    // The record's own values, those of the logger, and the level are kept.
    for field in ["\"place\":\"here\"", "\"version\":1", "\"level\":\"INFO\""] {
        assert_eq!(output.matches(field).count(), 11, "{output}");
    }
}

/// A value of a `Logger` is computed in the thread that drains.
#[test]
fn a_lazy_value_of_the_logger_finds_no_variables() {
    let output = Output::default();
    let (logger, guard) = logger(Json::default(output.clone()).fuse());
    let logger = logger.new(o!("lazy" => FnValue(|_| REQUEST_ID.get_or(0))));
    context(7).run(|| info!(logger, "hello"));
    drop(guard);
    let line: Value = serde_json::from_str(&output.take()).unwrap();
    assert_eq!((&line["request_id"], &line["lazy"]), (&7.into(), &0.into()));
}
