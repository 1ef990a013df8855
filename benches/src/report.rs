//! Markdown tables.

use std::fmt::Write;

use crate::measure::{Figure, Figures};
use crate::operation::{Operation, SIZES};
use crate::peers::Peer;

/// The times, then the allocations.
pub(crate) fn tables(peers: &[Box<dyn Peer>], figures: &Figures) -> String {
    let mut text = String::new();
    for variables in SIZES {
        let set = if variables == 1 { "1 variable".to_owned() } else { format!("{variables} variables") };
        let _ = writeln!(text, "## With {set} set: nanoseconds, median (minimum)\n");
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

/// Tables as a page of the docs, with what a reader must know.
pub(crate) fn page(intro: &str, tables: &str) -> String {
    format!("{intro}\n{tables}").trim_end().to_owned() + "\n"
}

pub(crate) const TIMES: &str = "\
# Benchmarks

Written by `cargo run --release -p benches`. Each column is measured in turn with the others, round by round, so
that all have their share of the machine's noise. Read ratios, not nanoseconds. [Instructions](benchmarks-instructions.md)
do not drift; [what grows](benchmarks-growth.md) has a page of its own too.

![The times with eight variables set](benchmarks.svg)

- The second column is the floor: a bare `thread_local!`, a plain future, a plain task.
- A dash: there is no such thing. tokio's `task_local!` has one variable a scope, and nothing to copy; what it does
  with eight is eight scopes, carried into each task by hand. tokio-inherit-task-local copies its table only together
  with a future or a closure.
- The variable that is read or set is the first that was set, but for the row that reads each in turn.
- \"Copy, then the first set\" is `with_value` for opentelemetry, whose contexts never change.
- tracing's span has no values for the program, and there is one whatever is set.
- The request sets eight variables, spawns three tasks in copies, makes one blocking call, is polled 200 times with
  its tasks, and reads 40 times. Most of it is the runtime's, for every column; the floor says how much.
- CPython's loop is in its figures, some 10 ns.
";

pub(crate) const INSTRUCTIONS: &str = "\
# Instructions an operation

Written by `cargo run --release -p benches -- --instructions`, counted by callgrind. The measuring loop is included,
some 3 instructions. The columns and rows are those of [the benchmarks](benchmarks.md).
";

pub(crate) const GROWTH: &str = "\
# What grows

Written by `cargo run --release -p benches -- --growth`. Nanoseconds unless said otherwise.
";

pub(crate) const LOAD: &str = "\
# An HTTP service under load

Written by `cargo run --release -p benches -- --load`: two services on axum with one layer and two variables, or with
headers and arguments instead; each request spawns two tasks. `wrk` on the same machine asks for 90 seconds each, fifteen
turns of six; medians, and in brackets medians of the ratios to the first column. The layer that does nothing is what any
middleware costs in axum, such as one that makes up a request's id.
";

#[cfg(tokio_unstable)]
pub(crate) const HOOKS: &str = "\
# Runtimes whose tasks inherit by hooks

Written by `RUSTFLAGS=\"--cfg tokio_unstable\" cargo run --release -p benches -- --hooks`: medians of 101 rounds of
1000, the columns in turn, four variables set. All columns are of tokio built with its unstable API.
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

/// A row; what a peer cannot do is a dash.
pub(crate) fn row(first: &str, cells: impl Iterator<Item = Option<String>>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
    format!("| {first} | {} |\n", cells.join(" | "))
}

/// Three digits are as many as the machine's noise allows.
pub(crate) fn number(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.1}"),
        ..1000.0 => format!("{number:.0}"),
        _ => {
            // Thousands apart, for the eye.
            let digits = format!("{number:.0}");
            let (head, tail) = digits.split_at(digits.len() - 3);
            format!("{head} {tail}")
        }
    }
}
