//! The JSON of tracing-subscriber itself.

// Recipe

use contextvar::tracing::ContextFormat;
use tracing_subscriber::fmt::MakeWriter;

fn init(output: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    // `flatten_event` puts the fields into the line itself, and not into its member `fields`.
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(output);
    lines.map_event_format(ContextFormat::new).init();
}

// Test

use tracing::info;

use crate::support::{Output, assert_json_lines, in_own_process, run_requests};

#[test]
fn a_line_has_the_variables() {
    in_own_process("json::a_line_has_the_variables", || {
        let output = Output::default();
        init(output.clone());
        run_requests(2, |message| info!("{message}"));
        let output = output.take();
        println!("{output}");
        assert_json_lines(&output, 2, "/message", "");
    });
}
