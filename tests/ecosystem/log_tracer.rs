//! tracing-log: lines of libraries that use the `log` crate.

// Recipe

use contextvar::tracing::ContextFormat;
use tracing_subscriber::fmt::MakeWriter;

fn init(output: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    // With tracing-subscriber's default features, `init` also sets the logger of `log`.
    let lines = tracing_subscriber::fmt().with_writer(output).with_ansi(false);
    lines.map_event_format(ContextFormat::new).init();
}

// Test

use crate::support::{Output, assert_json_lines, assert_lines, in_own_process, run_requests};

#[test]
fn lines_of_both_crates_have_the_variables() {
    in_own_process("log_tracer::lines_of_both_crates_have_the_variables", || {
        let output = Output::default();
        init(output.clone());
        let expected = |level: &str, target: &str, message: &str, n: Option<u64>| {
            let start = format!("{level} {target}: {message}");
            n.map_or(start.clone(), |n| format!("{start} request_id={n} tenant=\"tenant {n}\""))
        };
        let without_times = || {
            let output = output.take();
            let lines = output.lines().map(|line| line.split_once(' ').unwrap().1.trim_start());
            lines.collect::<Vec<_>>().join("\n")
        };
        run_requests(2, |message| log::warn!(target: "orders", "{message}"));
        assert_lines(&without_times(), 2, |message, n| expected("WARN", "orders", message, n));
        run_requests(2, |message| {
            tracing::info!("{message}");
            log::debug!("filtered out");
        });
        assert_lines(&without_times(), 2, |message, n| expected("INFO", "ecosystem::log_tracer", message, n));
    });
}

#[test]
fn lines_in_json_have_the_variables() {
    in_own_process("log_tracer::lines_in_json_have_the_variables", || {
        let output = Output::default();
        let lines = tracing_subscriber::fmt().json().with_writer(output.clone());
        lines.map_event_format(ContextFormat::new).init();
        run_requests(2, |message| log::warn!(target: "orders", "{message}"));
        let output = output.take();
        assert_json_lines(&output, 2, "/fields/message", "/fields");
        assert_eq!(output.matches("\"level\":\"WARN\"").count(), 11, "{output}");
        assert_eq!(output.matches("\"target\":\"orders\"").count(), 11, "{output}");
    });
}
