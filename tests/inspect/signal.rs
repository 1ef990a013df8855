//! What `inspect::on_signal` prints, in a process of its own: the binary `signaled`.

#![cfg(all(unix, not(miri)))]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    words: Box<dyn Iterator<Item = String>>,
}

impl Process {
    fn start() -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signaled"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let words = Box::new(BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap));
        let mut process = Process { stdin: child.stdin.take(), child, words };
        assert_eq!(process.next_word(), "ready");
        process
    }

    fn next_word(&mut self) -> String {
        self.words.next().expect("the process lives")
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn end(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn each_of_both_signals_prints_the_list() {
    let mut process = Process::start();
    let mut stderr = BufReader::new(process.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    for signal in ["-USR1", "-QUIT"] {
        process.signal(signal);
        assert_eq!(stderr.next().unwrap(), "contextvar: 1 context");
        assert_eq!(stderr.next().unwrap(), "");
        let context = stderr.next().unwrap();
        assert!(context.starts_with("#1 thread  tests/inspect/signaled.rs:"), "{context}");
        assert_eq!(stderr.next().unwrap().trim(), "tenant=acme");
        assert_eq!(stderr.next().unwrap(), "");
    }
    process.end();
}

#[test]
fn a_signal_is_handled_after_standard_error_was_closed() {
    let mut process = Process::start();
    drop(process.child.stderr.take());
    for _ in 0..3 {
        process.signal("-USR1");
        assert_eq!(process.next_word(), "shown");
    }
    process.end();
}
