//! Measures in short rounds, with the columns by turns.
//!
//! criterion and divan finish one benchmark before they begin the next, and gungraun counts instructions but
//! does not time. On a shared machine the speed drifts by more than the differences of interest, so a
//! benchmark that runs in a slow minute loses. Here every column gets many rounds of about a millisecond, in
//! turns. The drift affects all columns alike, and the ratios of their medians hold.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::alloc::{self, Allocated};
use crate::operation::{Operation, SIZES};
use crate::peers::Peer;

/// Measures an operation. A peer does its setup and then passes the operation to one of these methods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    /// The number of times that the operation runs.
    pub(crate) repeats: u64,
    /// Counts allocations, which distorts the time.
    pub(crate) count_allocations: bool,
}

/// The result of a [`Meter`] for all repeats together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) operations: u64,
    pub(crate) time: Duration,
    /// `None` if allocations were not counted.
    pub(crate) allocated: Option<Allocated>,
}

impl Meter {
    /// Runs `operation` repeatedly. The loop costs two or three instructions per repeat.
    ///
    /// Never inlined, so that the code around the loop does not affect the loop's registers.
    #[inline(never)]
    pub(crate) fn time<R>(self, mut operation: impl FnMut() -> R) -> Reading {
        let start = self.start();
        for _ in 0..self.repeats {
            black_box(operation());
        }
        start.stop()
    }

    /// Runs `sweep` repeatedly, each call of which runs the operation `length` times.
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

/// The result of all rounds of one peer, operation and number of variables, per operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) median_ns: f64,
    pub(crate) minimum_ns: f64,
    /// The number of allocations, and their bytes.
    pub(crate) allocated: Option<(f64, f64)>,
}

/// The figures for each operation, number of variables, and index of a peer.
pub(crate) type Figures = BTreeMap<(Operation, usize, usize), Figure>;

const ROUNDS: usize = 101;
const ROUND: Duration = Duration::from_millis(1);
/// The limit for one row. Rows whose setup takes long, such as a thousand scopes, get fewer rounds.
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

/// Measures one operation with all peers that have it, by turns.
fn side_by_side(peers: &mut [Box<dyn Peer>], operation: Operation, variables: usize) -> Vec<(usize, Figure)> {
    let mut columns: Vec<Column> = (0..peers.len())
        .filter_map(|peer| {
            let meter = calibrate(&mut *peers[peer], operation, variables)?;
            Some(Column { peer, meter, ns: Vec::with_capacity(ROUNDS) })
        })
        .collect();

    let start = Instant::now();
    // The requests wait for other threads or for the scheduler. More rounds give a steadier median.
    let rounds = if operation.is_request() { 4 * ROUNDS } else { ROUNDS };
    for round in 0..rounds {
        if round >= FEWEST_ROUNDS && start.elapsed() > PATIENCE * (rounds / ROUNDS) as u32 {
            break;
        }
        // Each round begins with another column, because the cache contents depend on the column before.
        let count = columns.len();
        for column in (0..count).map(|place| (place + round) % count.max(1)) {
            let Column { peer, meter, ns } = &mut columns[column];
            let reading =
                peers[*peer].run(operation, variables, *meter).expect("`calibrate` ran this operation");
            ns.push(reading.time.as_nanos() as f64 / reading.operations as f64);
        }
    }

    columns
        .into_iter()
        .map(|Column { peer, mut ns, .. }| {
            let counting = Meter { repeats: 100, count_allocations: true };
            let counted =
                peers[peer].run(operation, variables, counting).expect("`calibrate` ran this operation");
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

/// Returns a meter with the number of repeats for a round, or `None` if the peer does not have the operation.
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
