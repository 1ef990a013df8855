//! env_logger.

// Recipe

use std::io::Write;

use contextvar::ContextSnapshot;

fn init(file: impl Write + Send + 'static) {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .target(env_logger::Target::Pipe(Box::new(file)))
        .format(|out, record| {
            let context = ContextSnapshot::capture();
            writeln!(out, "{} {} [{context}]", record.level(), record.args())
        })
        .init();
}

// Test

use crate::support::{Output, assert_lines, in_own_process, run_requests};

#[test]
fn a_line_has_the_variables() {
    in_own_process("env_logger::a_line_has_the_variables", || {
        let output = Output::default();
        init(output.clone());
        run_requests(2, |message| {
            log::info!("{message}");
            log::debug!("filtered out");
        });
        assert_lines(&output.take(), 2, |message, n| match n {
            Some(n) => format!("INFO {message} [request_id={n} tenant=\"tenant {n}\"]"),
            None => format!("INFO {message} [no variables]"),
        });
    });
}
