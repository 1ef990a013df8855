//! Markdown tables.

use std::env::consts::{ARCH, OS};
use std::fmt::Write;
use std::fs;

use crate::measure::{Figure, Figures};
use crate::operation::{Operation, SIZES};
use crate::peers::Peer;

/// Returns the tables of times and allocations.
pub(crate) fn tables(peers: &[Box<dyn Peer>], figures: &Figures) -> String {
    let mut text = measured(peers);
    for variables in SIZES {
        let _ = writeln!(text, "{}\n", times_heading(variables));
        let ns =
            |figure: &Figure| Some(format!("{} ({})", number(figure.median_ns), number(figure.minimum_ns)));
        text += &table(peers, figures, variables, ns);
    }
    for variables in [8, 1000] {
        let _ = writeln!(text, "## With {variables} variables set: allocations (bytes)\n");
        text += &table(peers, figures, variables, |figure| {
            let (allocations, bytes) = figure.allocated?;
            Some(if allocations == 0.0 {
                "0".to_owned()
            } else {
                format!("{} ({})", number(allocations), bytes.round())
            })
        });
    }
    text += "## Bytes that wrapping adds to a future\n\n";
    text += &header("variables set", peers.iter().map(|peer| peer.name()));
    for variables in SIZES {
        let added = peers.iter().map(|peer| peer.added_bytes(variables).map(|bytes| bytes.to_string()));
        text += &row(&variables.to_string(), added);
    }
    text.push('\n');
    text
}

/// Returns the heading of the times with this number of variables set.
pub(crate) fn times_heading(variables: usize) -> String {
    let set = if variables == 1 { "1 variable".to_owned() } else { format!("{variables} variables") };
    format!("## With {set} set: nanoseconds, median (minimum)")
}

/// The start of the paragraph that names the machine and the libraries.
pub(crate) const MEASURED: &str = "Measured on ";

fn measured(peers: &[Box<dyn Peer>]) -> String {
    let libraries: Vec<String> = peers.iter().filter_map(|peer| peer.library()).collect();
    let text = format!("{MEASURED}{} ({ARCH}, {OS}), with {}.", machine(), libraries.join(", "));
    wrap(&text, 110).join("\n") + "\n\n"
}

/// Returns the number and the model of this machine's cores.
pub(crate) fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let values = |name| cpus.lines().filter_map(move |line| line.strip_prefix(name)?.split_once(": "));
    let is_virtual = values("flags").any(|(_, flags)| flags.split(' ').any(|flag| flag == "hypervisor"));
    let kind = if is_virtual { "virtual cores" } else { "cores" };
    let model = values("model name").next().map_or("unknown", |(_, model)| model);
    format!("{} {kind} of an {model}", values("model name").count())
}

/// Returns a page of the docs: an introduction and tables.
pub(crate) fn page(intro: &str, tables: &str) -> String {
    format!("{intro}\n{tables}").trim_end().to_owned() + "\n"
}

pub(crate) const TIMES: &str = "\
# Benchmarks

Written by `cargo run --release -p benches`. The columns are measured by turns, round by round, so that noise of the
machine affects all of them. Read ratios, not nanoseconds. [Instruction counts](benchmarks-instructions.md) do not
drift. Another page shows [what grows](benchmarks-growth.md).

![Bars of the nanoseconds per operation with eight variables set, for contextvar and its peers, on a log
scale](benchmarks.svg)

- The chart has seven of the operations. `-- --chart` draws it again from this page, without a measurement.
- The second column is the floor: a bare `thread_local!`, a plain future, a plain task.
- A dash means that the peer has no such operation. tokio's `task_local!` has one variable per scope and nothing to
  copy, so eight variables are eight scopes, carried into each task by hand. tokio-inherit-task-local copies its table
  only together with a future or a closure.
- The variable that is read or set is the first one that was set, except in the row that reads each in turn.
- \"Copy, then the first set\" is `with_value` for opentelemetry, whose contexts never change.
- tracing's span gives the program no values, and it exists no matter how many variables are set.
- The request sets eight variables, spawns three tasks in copies, makes one blocking call, is polled 200 times together
  with its tasks, and reads 40 times. In every column most of the time is the runtime's, as the floor shows.
- CPython's figures include its loop, about 10 ns.
";

pub(crate) const INSTRUCTIONS: &str = "\
# Instructions per operation

Written by `cargo run --release -p benches -- --instructions`, counted by callgrind. The counts include the measuring
loop, about 3 instructions. The columns and rows are those of [the benchmarks](benchmarks.md). The tables of requests
and tasks at the end are in [the adapters' page](benchmarks-instructions-adapters.md) too, which explains them. Here the
build has no features for logs, telemetry, baggage and reports.
";

pub(crate) const INSTRUCTIONS_OF_ADAPTERS: &str = "\
# Instructions of the adapters

Written by `cargo run --release -p benches --features adapters -- --instructions`, counted by callgrind: requests, tasks,
logs, telemetry and baggage, with contextvar and with the crate that does the same job. The build has all features of
contextvar. Requests and tasks are also in [the instructions per operation](benchmarks-instructions.md), in a build without
the features for logs, telemetry, baggage and reports.

- \"Without\" is the same operation without what the row measures, or an operation that the row names. contextvar and
  each peer add their figures to it. A dash means that the figures are those of the whole operation.
- \"Ratio\" is what contextvar adds, divided by what the peer adds.
- Each peer does the job in the fastest way that its API offers. A peer that is written by hand has the code that one
  would write without contextvar.
- A request is a call of an axum router by a task, until the end of the response's body. A layer of contextvar also runs
  the body in the request's context, so there are peers with the body and without.
- The blocks of tokio's tasks are recycled. glibc searches its heap for them, which takes a few hundred instructions more
  or less, whatever is measured.
";

pub(crate) const GROWTH: &str = "\
# What grows

Written by `cargo run --release -p benches -- --growth`. Figures are nanoseconds unless a heading says otherwise.
";

pub(crate) const LOAD: &str = "\
# An HTTP service under load

Written by `cargo run --release -p benches -- --load`. Each of the four services runs on axum, has one layer, and spawns
two tasks per request. `wrk` runs on the same machine. In each of 80 rounds every service has one turn of a second, in an
order that rotates, so the noise of the machine affects all of them. A ratio is the median of the 80 ratios within a round;
the interval in brackets has the true median with a probability of at least 95 %, however the ratios are distributed.

- The **layer that does nothing** calls the inner service. The handler reads the request's two headers into strings, and
  passes these to its tasks as arguments.
- The **same service again** listens on another port. Its ratio to itself is the noise of the machine.
- The **equivalent layer** does what a `ContextLayer` with two variables does, without a context: it takes the request
  apart, reads the two headers into strings, and wraps the future and the body, with its size hint. The handler is the same.
- With **contextvar**, a `ContextLayer` sets two variables from the headers, and the handler's tasks read them.
";

#[cfg(feature = "observed")]
pub(crate) const LOAD_OBSERVED: &str = "\
# An HTTP service whose variables show

Written by `cargo run --release -p benches --features observed -- --load-observed`. Each service runs on axum, in a process
of its own, with a `ContextLayer`, two variables and two tasks per request. In each row, both services do what the row
names: they write a line, start a span, count, make the headers for another service. In the second one the variables
show there, the response has a header, and the layer extracts baggage, which `wrk` does not send. The row of the noise
compares two processes of the same service.

`wrk` keeps 64 connections busy on the same machine, 48 seconds per service, in turns of one second. The figures are
requests per second: medians, and the median of the 48 ratios within one round. The interval in brackets has the true
median with a probability of at least 95 %, however the ratios are distributed.
";

#[cfg(feature = "inspect")]
pub(crate) const INSPECT: &str = "\
# What `inspect` costs

Written by `cargo run --release -p benches --features inspect -- --inspect`. With `-- --inspect --check` it also reports
missed targets. While the list is off, a read may cost no more instructions, and a poll two more. While it is on, a poll may
cost 15 ns more, a hand-over 150 ns more, and a context 300 bytes more.

- \"Off\": the feature is compiled in, and the list is off. \"On\": `inspect::enable()` was called before the context was handed
  over. Two variables are set in the context, a `u64` and a `String`.
- Callgrind counts the instructions, as the difference of two runs, one with twice as many repeats. The counts include about 3
  instructions of the measuring loop and, in the column \"on\", those of the thread that writes the time. All builds have the
  features `macros`, `tokio`, `tower` and `stream`. `inspect` turns `report` on.
- The times are the best of 101 rounds of a millisecond. The rounds alternate between off and on in one process.
- A hand-over wraps a future in a copy of the context and drops it. The context is listed, entered once (a future is dropped in
  its context), and removed from the list. The closure is called once.
- \"More\" for a request covers a context that is listed, entered twice and written. The response is 8 bytes larger, so
  `memcpy` moves it.
- Each thread uses a part of the list that has its own lock. Two threads share only the reference counts of the values that
  both copy. Listing a context makes one more copy.
- A task's bytes are those allocated, less those freed, when all tasks have been polled once.
- An open page fetches the page's answer once a second.
";

#[cfg(tokio_unstable)]
pub(crate) const HOOKS: &str = "\
# Runtimes whose tasks inherit through hooks

Written by `RUSTFLAGS=\"--cfg tokio_unstable\" cargo run --release -p benches -- --hooks`. The figures are medians of 101
rounds of 1000, measured by turns, with four variables set. In all columns tokio is built with its unstable API.
";

fn table(
    peers: &[Box<dyn Peer>],
    figures: &Figures,
    variables: usize,
    cell: impl Fn(&Figure) -> Option<String>,
) -> String {
    let mut text = header("operation", peers.iter().map(|peer| peer.name()));
    for operation in Operation::ALL.into_iter().filter(|operation| operation.runs_with(variables)) {
        let cells = (0..peers.len()).map(|peer| figures.get(&(operation, variables, peer)).and_then(&cell));
        text += &row(operation.title(), cells);
    }
    text.push('\n');
    text
}

pub(crate) fn header<'a>(first: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    format!("| {first} | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()))
}

/// Returns a row. A dash stands for an operation that a peer does not have.
pub(crate) fn row(first: &str, cells: impl Iterator<Item = Option<String>>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
    format!("| {first} | {} |\n", cells.join(" | "))
}

/// Returns the text in lines of at most this many bytes.
pub(crate) fn wrap(text: &str, length: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last] += word;
        } else if lines[last].len() + 1 + word.len() <= length {
            lines[last] += " ";
            lines[last] += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Formats a number with three digits, which is the precision that the machine's noise allows.
pub(crate) fn number(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.1}"),
        ..1000.0 => format!("{number:.0}"),
        _ => {
            // Separates the thousands.
            let digits = format!("{number:.0}");
            let (head, tail) = digits.split_at(digits.len() - 3);
            format!("{head} {tail}")
        }
    }
}
