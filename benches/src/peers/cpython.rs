//! CPython's `contextvars`: a script runs the same operations, and gets its rounds through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::Peer;
use crate::measure::{Meter, Reading};
use crate::operation::Operation;

pub(crate) struct CPython {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    version: String,
}

impl CPython {
    /// Starts the script. Returns `None` if there is no python3, or if it is too old.
    pub(crate) fn start() -> Option<Self> {
        let mut python = Command::new("python3");
        python.arg("-c").arg(include_str!("cpython.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().ok()?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take()?);
        let mut hello = String::new();
        output.read_line(&mut hello).ok()?;
        let version = hello.trim_end().strip_prefix("ready ")?.to_owned();
        Some(CPython { child, input, output, version })
    }
}

impl Peer for CPython {
    fn name(&self) -> &'static str {
        "CPython contextvars"
    }

    fn library(&self) -> Option<String> {
        Some(format!("CPython {}", self.version))
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        // The script answers with nanoseconds, or with "none".
        let input = self.input.as_mut()?;
        writeln!(input, "{operation:?} {variables} {}", meter.repeats).ok()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).ok()?;
        let time = Duration::from_nanos(answer.trim().parse().ok()?);
        Some(Reading { operations: meter.repeats, time, allocated: None })
    }
}

impl Drop for CPython {
    fn drop(&mut self) {
        // The script ends when its input does.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
