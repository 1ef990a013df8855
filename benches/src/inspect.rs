//! What the feature `inspect` costs: compiled in, and switched on.

#[cfg(feature = "inspect")]
mod clock;
#[cfg(feature = "inspect")]
mod listed;
mod programs;

use std::fmt::Write;

use self::programs::PROGRAMS;
use crate::alloc;
use crate::instructions;
use crate::measure::Meter;

/// The argument that makes this program run one operation, for callgrind. The arguments after it are the operation,
/// whether the list is on, and the repeats.
pub(crate) const ONLY: &str = "--only-inspect";

/// The argument that makes this program print the instructions of each operation while the list is off, or in a
/// build without it.
pub(crate) const COUNT: &str = "--count-inspect";

const ON: &str = "on";
const OFF: &str = "off";

pub(crate) fn run_one(arguments: &[&str]) {
    let [program, is_on, repeats] = arguments else { panic!("{ONLY} takes three arguments") };
    #[cfg(feature = "inspect")]
    if *is_on == ON {
        contextvar::inspect::enable();
    }
    assert!(cfg!(feature = "inspect") || *is_on == OFF);
    alloc::recycle_aligned_blocks();
    let meter = Meter { repeats: repeats.parse().unwrap(), count_allocations: false };
    (PROGRAMS[program.parse::<usize>().unwrap()].run)(meter);
}

/// Counts the instructions of each operation.
fn count(is_on: &str) -> Result<Vec<f64>, String> {
    let count = |program: usize| {
        eprint!("\r{:<60}", PROGRAMS[program].name);
        let count = instructions::count(&[ONLY, &program.to_string(), is_on], 10_000)?;
        Ok(count.expect("every program has an operation"))
    };
    let counts = (0..PROGRAMS.len()).map(count).collect();
    eprintln!("\r{:<60}", "");
    counts
}

/// Returns a line for each operation.
pub(crate) fn count_off() -> Result<String, String> {
    Ok(count(OFF)?.into_iter().fold(String::new(), |mut lines, count| {
        let _ = writeln!(lines, "{count}");
        lines
    }))
}

/// Returns all tables, and a line for each target that was missed.
#[cfg(feature = "inspect")]
pub(crate) fn tables() -> Result<(String, Vec<String>), String> {
    listed::tables()
}
