//! json-subscriber.

// Recipe

use contextvar::tracing::ContextWriter;
use tracing_subscriber::fmt::MakeWriter;

fn init(output: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    json_subscriber::fmt().with_writer(ContextWriter::new(output)).init();
}

// Test

use serde_json::Value;
use tracing::info;

use crate::support::{Output, assert_json_lines, context, in_own_process, run_requests};

#[test]
fn a_line_has_the_variables() {
    in_own_process("json_subscriber::a_line_has_the_variables", || {
        let output = Output::default();
        init(output.clone());
        run_requests(2, |message| info!("{message}"));
        assert_json_lines(&output.take(), 2, "/fields/message", "");
    });
}

#[test]
fn a_field_of_a_flattened_event_keeps_its_name() {
    let output = Output::default();
    let lines = json_subscriber::fmt().flatten_event(true).with_writer(ContextWriter::new(output.clone()));
    tracing::subscriber::with_default(lines.finish(), || {
        context(7).run(|| info!(request_id = 8, "hello"));
    });
    let output = output.take();
    let line: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&line["request_id"], &line["request_id_2"]), (&8.into(), &7.into()));
    assert_eq!(output.matches("\"request_id\"").count(), 1);
}
