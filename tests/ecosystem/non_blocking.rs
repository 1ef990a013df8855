//! tracing-appender.

// Recipe

use std::io::Write;

use contextvar::tracing::ContextFormat;
use tracing_appender::non_blocking::WorkerGuard;

fn init(file: impl Write + Send + 'static) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(file);
    let lines = tracing_subscriber::fmt().with_writer(writer).with_ansi(false);
    lines.map_event_format(ContextFormat::new).init();
    guard
}

// Test

use tracing::info;

use crate::support::{Output, assert_lines, in_own_process, run_requests};

#[test]
fn a_line_has_the_variables_of_the_code_that_logs() {
    in_own_process("non_blocking::a_line_has_the_variables_of_the_code_that_logs", || {
        let output = Output::default();
        let guard = init(output.clone());
        run_requests(100, |message| info!("{message}"));
        drop(guard);
        let output = output.take();
        // The time comes first.
        let lines: Vec<_> = output.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_lines(&lines.join("\n"), 100, |message, n| {
            let start = format!(" INFO ecosystem::non_blocking: {message}");
            n.map_or(start.clone(), |n| format!("{start} request_id={n} tenant=\"tenant {n}\""))
        });
    });
}
