//! The columns. Each peer does the operations the fastest way its own API offers.

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

    /// Measures `operation` with so many variables set. None if there is no such thing.
    ///
    /// The variable that is read or set is the first that was set; the others only have to be there.
    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading>;

    /// By how much a wrapped future is larger than the plain one.
    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        None
    }
}

/// Places in the list of all.
pub(crate) const CONTEXTVAR: usize = 0;
pub(crate) const FLOOR: usize = 1;
pub(crate) const TASK_LOCAL: usize = 2;
pub(crate) const OPENTELEMETRY: usize = 3;

pub(crate) fn all() -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = (0..8).map(make).collect();
    match cpython::CPython::start() {
        Some(cpython) => peers.push(Box::new(cpython)),
        None => eprintln!("no python3 here: its column is left out"),
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

/// Hands the numbers 0 to 999 to a macro, as three digits, and makes an array of arrays of arrays of the
/// results: a thousand statics or types, where a peer needs one for each variable.
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

/// An array as `thousand!` makes it.
type Thousand<T> = [[[T; 10]; 10]; 10];

fn flat<T>(thousand: &Thousand<T>) -> &[T] {
    thousand.as_flattened().as_flattened()
}
