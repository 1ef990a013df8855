//! fern.

// Recipe

use std::sync::mpsc::Sender;

use contextvar::ContextSnapshot;

/// The lines are sent to a thread that writes them.
fn init(lines: Sender<String>) -> Result<(), log::SetLoggerError> {
    fern::Dispatch::new()
        .level(log::LevelFilter::Info)
        .format(|out, message, record| {
            let context = ContextSnapshot::capture();
            out.finish(format_args!("{} {message} [{context}]", record.level()));
        })
        .chain(lines)
        .apply()
}

// Test

use std::sync::mpsc;
use std::thread;

use crate::support::{assert_lines, in_own_process, run_requests};

#[test]
fn a_line_has_the_variables_of_the_code_that_logs() {
    in_own_process("fern::a_line_has_the_variables_of_the_code_that_logs", || {
        let (sender, receiver) = mpsc::channel();
        init(sender).unwrap();
        let writer = thread::spawn(move || receiver.iter().take(11).collect::<String>());
        run_requests(2, |message| log::info!("{message}"));
        assert_lines(&writer.join().unwrap(), 2, |message, n| match n {
            Some(n) => format!("INFO {message} [request_id={n} tenant=\"tenant {n}\"]"),
            None => format!("INFO {message} [no variables]"),
        });
    });
}
