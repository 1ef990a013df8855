//! getting_started: a first program for each kind of program.

use std::env;
use std::io::{self, Write};
use std::process::{self, Command};
use std::sync::{Arc, Mutex};

use contextvar::tracing::ContextFormat;
use tracing::subscriber::DefaultGuard;

mod actix_web;
#[expect(dead_code, reason = "`main` binds a fixed port")]
mod axum;
mod command_line;
#[expect(dead_code, reason = "`main` binds a fixed port")]
mod hyper;
mod message_consumer;
mod tests;
#[expect(dead_code, reason = "`main` binds a fixed port")]
mod tonic;

/// Returns the lines that the page shows as the output of a program.
fn shown(section: &str) -> Vec<&'static str> {
    let page = include_str!("../../contextvar/src/guide/getting_started.md");
    let mut sections = page.split("\n## ");
    let section = sections.find(|text| text.lines().next() == Some(section)).unwrap();
    section.split_once("```text\n").unwrap().1.split_once("```").unwrap().0.lines().collect()
}

/// What the tasks of the current thread log, in the format of the programs, without times.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts a log, which ends when the guard is dropped.
    fn start() -> (Log, DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().without_time().with_ansi(false);
        let lines = lines.with_writer(move || writer.clone()).map_event_format(ContextFormat::new);
        (log, tracing::subscriber::set_default(lines.finish()))
    }

    /// Returns the lines of a program, in which the name of its crate is `shop`.
    fn lines(&self, program: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.replace(program, "shop")).collect()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a program in a process of its own, which runs the calling test, and only that one, with the command
/// that `configure` completes. Returns the lines that the program logs, without times, in alphabetical order.
fn lines_of(main: fn(), program: &str, configure: impl FnOnce(&mut Command) -> &mut Command) -> Vec<String> {
    const OWN_PROCESS: &str = "CONTEXTVAR_TEST_OWN_PROCESS";
    if env::var_os(OWN_PROCESS).is_some() {
        main();
        process::exit(0);
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(OWN_PROCESS, "1").env("RUST_TEST_NOCAPTURE", "1").env("NO_COLOR", "1");
    let output = configure(&mut command).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let lines = out.lines().filter_map(|line| line.find(" INFO ").map(|start| &line[start..]));
    let mut lines: Vec<_> = lines.map(|line| line.replace(program, "shop")).collect();
    lines.sort_unstable();
    lines
}

/// Sorts the lines that the page shows, as [`lines_of`] does: tasks of several threads log in any order.
fn sorted(mut lines: Vec<&str>) -> Vec<&str> {
    lines.sort_unstable();
    lines
}
