//! Short rounds, the columns in turn.
//!
//! criterion and divan run one benchmark to its end before the next, and gungraun counts but does not time. On a
//! machine shared with others the speed drifts by more than the differences looked for, so whoever is measured
//! in a slow minute loses. Here every column gets a round of about a millisecond, one after the other, many
//! times: all see the same drift, and the ratios of their medians hold. That needs thirty lines, so they are here.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::alloc::{self, Allocated};
use crate::operation::{Operation, SIZES};
use crate::peers::Peer;

/// How a peer measures an operation: it makes ready, then hands the operation to one of these methods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    /// How often the operation is done.
    pub(crate) repeats: u64,
    /// Count allocations, which disturbs the time.
    pub(crate) count_allocations: bool,
}

/// What a [`Meter`] measured, of all repeats together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) operations: u64,
    pub(crate) time: Duration,
    /// None where they are not counted.
    pub(crate) allocated: Option<Allocated>,
}

impl Meter {
    /// Does `operation` again and again. Two or three instructions a repeat are the loop's.
    ///
    /// Never inlined, so that the loop is compiled by itself: what is around it must not decide which registers
    /// are free in it.
    #[inline(never)]
    pub(crate) fn time<R>(self, mut operation: impl FnMut() -> R) -> Reading {
        let start = self.start();
        for _ in 0..self.repeats {
            black_box(operation());
        }
        start.stop()
    }

    /// The same for a `sweep` that does the operation `length` times by itself.
    pub(crate) fn time_sweeps(mut self, length: usize, sweep: impl FnMut()) -> Reading {
        let sweeps = self.repeats.div_ceil(length as u64);
        self.repeats = sweeps;
        Reading { operations: sweeps * length as u64, ..self.time(sweep) }
    }

    pub(crate) fn start(self) -> Started {
        if self.count_allocations {
            alloc::start_counting();
        }
        Started { meter: self, start: Instant::now() }
    }
}

pub(crate) struct Started {
    meter: Meter,
    start: Instant,
}

impl Started {
    pub(crate) fn stop(self) -> Reading {
        let time = self.start.elapsed();
        let allocated = self.meter.count_allocations.then(alloc::stop_counting);
        Reading { operations: self.meter.repeats, time, allocated }
    }
}

/// What all rounds of one peer, operation and size came to, for one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) median_ns: f64,
    pub(crate) minimum_ns: f64,
    /// Allocations and their bytes.
    pub(crate) allocated: Option<(f64, f64)>,
}

/// The figures by operation, size, and place of the peer in the list.
pub(crate) type Figures = BTreeMap<(Operation, usize, usize), Figure>;

const ROUNDS: usize = 101;
const ROUND: Duration = Duration::from_millis(1);
/// Where making ready takes long (a thousand scopes), fewer rounds have to do.
const PATIENCE: Duration = Duration::from_secs(2);
const FEWEST_ROUNDS: usize = 7;

/// Measures all operations with all peers.
pub(crate) fn all(peers: &mut [Box<dyn Peer>]) -> Figures {
    let mut figures = Figures::new();
    for operation in Operation::ALL {
        for variables in SIZES.into_iter().filter(|&size| operation.runs_with(size)) {
            eprint!("\r{:<60}", format!("{}, {variables} set", operation.title()));
            for (peer, figure) in side_by_side(peers, operation, variables) {
                figures.insert((operation, variables, peer), figure);
            }
        }
    }
    eprintln!("\r{:<60}", "");
    figures
}

/// Measures one operation with all peers that have it, in turn.
fn side_by_side(peers: &mut [Box<dyn Peer>], operation: Operation, variables: usize) -> Vec<(usize, Figure)> {
    let mut columns: Vec<Column> = (0..peers.len())
        .filter_map(|peer| {
            let meter = calibrate(&mut *peers[peer], operation, variables)?;
            Some(Column { peer, meter, ns: Vec::with_capacity(ROUNDS) })
        })
        .collect();

    let start = Instant::now();
    // The requests wait for other threads, or for the scheduler: more rounds, for a steadier median.
    let rounds = if operation.is_request() { 4 * ROUNDS } else { ROUNDS };
    for round in 0..rounds {
        if round >= FEWEST_ROUNDS && start.elapsed() > PATIENCE * (rounds / ROUNDS) as u32 {
            break;
        }
        // Another one first each time: what the one before leaves in the caches is no one's lot for good.
        let count = columns.len();
        for column in (0..count).map(|place| (place + round) % count.max(1)) {
            let Column { peer, meter, ns } = &mut columns[column];
            let reading = peers[*peer].run(operation, variables, *meter).expect("it could when calibrating");
            ns.push(reading.time.as_nanos() as f64 / reading.operations as f64);
        }
    }

    columns
        .into_iter()
        .map(|Column { peer, mut ns, .. }| {
            let counting = Meter { repeats: 100, count_allocations: true };
            let counted = peers[peer].run(operation, variables, counting).expect("as above");
            let each = |total: u64| total as f64 / counted.operations as f64;
            ns.sort_by(f64::total_cmp);
            let figure = Figure {
                median_ns: ns[ns.len() / 2],
                minimum_ns: ns[0],
                allocated: counted.allocated.map(|all| (each(all.allocations), each(all.bytes))),
            };
            (peer, figure)
        })
        .collect()
}

struct Column {
    peer: usize,
    meter: Meter,
    ns: Vec<f64>,
}

/// Finds how many repeats make a round. None if the peer does not have the operation.
fn calibrate(peer: &mut dyn Peer, operation: Operation, variables: usize) -> Option<Meter> {
    let mut meter = Meter { repeats: 16, count_allocations: false };
    loop {
        let time = peer.run(operation, variables, meter)?.time.max(Duration::from_nanos(100));
        if time >= ROUND / 4 {
            let repeats = meter.repeats as f64 * ROUND.as_secs_f64() / time.as_secs_f64();
            return Some(Meter { repeats: (repeats as u64).max(4), ..meter });
        }
        meter.repeats *= 4;
    }
}
