//! What `inspect::on_signal` prints, in processes of their own.

#![cfg(all(unix, not(miri)))]

use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::panic;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;

use contextvar::{ContextVar, inspect, thread};

/// Tells the parent when it is shown.
struct Tenant;

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell("shown");
        f.write_str("acme")
    }
}

static TENANT: ContextVar<Tenant> = ContextVar::new("tenant").debug();

fn tell(word: &str) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "\n{word}").unwrap();
    stdout.flush().unwrap();
}

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn child() {
    panic::set_hook(Box::new(|_| tell("panicked")));
    inspect::on_signal().unwrap();
    TENANT.set(Tenant);
    let (stop, stopped) = mpsc::channel::<()>();
    let worker = thread::spawn(move || stopped.recv());
    tell("ready");
    // Until the parent closes it.
    io::stdin().lines().for_each(drop);
    drop(stop);
    worker.join().unwrap().unwrap_err();
}

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    words: Box<dyn Iterator<Item = String>>,
}

impl Process {
    fn start() -> Process {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let words = Box::new(lines.filter(|line| ["ready", "shown", "panicked"].contains(&&**line)));
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
        assert!(context.starts_with(concat!("#1 thread  ", file!(), ":")), "{context}");
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
