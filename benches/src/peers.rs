//! The peers: the columns of the tables. Each runs the operations in the fastest way that its API offers.

mod contextvar;
mod cpython;
mod dcontext;
mod floor;
mod inherit;
mod opentelemetry;
mod task_local;
mod tracing;

use crate::measure::{Meter, Reading};
use crate::operation::Operation;

pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// Returns the name and the version of the library, unless another peer has the same one.
    fn library(&self) -> Option<String> {
        None
    }

    /// Measures `operation` with `variables` variables set. Returns `None` if the peer has no such operation.
    ///
    /// The operation reads or sets the variable that was set first.
    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading>;

    /// Returns the bytes that the wrapper adds to a future.
    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        None
    }
}

// Indices in the list of all peers.
pub(crate) const CONTEXTVAR: usize = 0;
pub(crate) const FLOOR: usize = 1;
pub(crate) const TASK_LOCAL: usize = 2;
pub(crate) const OPENTELEMETRY: usize = 3;

pub(crate) fn all() -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = (0..8).map(make).collect();
    match cpython::CPython::start() {
        Some(cpython) => peers.push(Box::new(cpython)),
        None => eprintln!("CPython's column is omitted: there is no python3 of a supported version"),
    }
    peers
}

pub(crate) fn make(place: usize) -> Box<dyn Peer> {
    match place {
        CONTEXTVAR => Box::new(contextvar::Contextvar::default()),
        FLOOR => Box::new(floor::Floor),
        TASK_LOCAL => Box::new(task_local::TaskLocal),
        OPENTELEMETRY => Box::new(opentelemetry::OpenTelemetry::default()),
        4 => Box::new(opentelemetry::OpenTelemetryCurrent::default()),
        5 => Box::new(inherit::Inherit),
        6 => Box::new(dcontext::Dcontext),
        _ => Box::new(tracing::Tracing),
    }
}

/// Returns the name and the version of a dependency that Cargo.toml pins.
fn pinned(library: &str) -> Option<String> {
    let mut lines = include_str!("../Cargo.toml").lines();
    let line = lines.find_map(|line| line.strip_prefix(library)?.strip_prefix(" = "))?;
    let (version, _) = line.split_once("\"=")?.1.split_once('"')?;
    Some(format!("{library} {version}"))
}

/// Calls a macro with each number from 0 to 999, as three digits, and makes nested arrays of the results. For
/// peers that need a static or a type for each variable.
macro_rules! thousand {
    ($item:ident) => { $crate::peers::ten!(hundreds $item) };
}
macro_rules! hundreds {
    ($item:ident $hundreds:tt) => { $crate::peers::ten!(tens $item $hundreds) };
}
macro_rules! tens {
    ($item:ident $hundreds:tt $tens:tt) => { $crate::peers::ten!($item $hundreds $tens) };
}
macro_rules! ten {
    ($next:ident $($digits:tt)*) => {
        [
            $next!($($digits)* 0),
            $next!($($digits)* 1),
            $next!($($digits)* 2),
            $next!($($digits)* 3),
            $next!($($digits)* 4),
            $next!($($digits)* 5),
            $next!($($digits)* 6),
            $next!($($digits)* 7),
            $next!($($digits)* 8),
            $next!($($digits)* 9),
        ]
    };
}
pub(crate) use {hundreds, ten, tens, thousand};

/// The arrays that `thousand!` makes.
type Thousand<T> = [[[T; 10]; 10]; 10];

fn flat<T>(thousand: &Thousand<T>) -> &[T] {
    thousand.as_flattened().as_flattened()
}
