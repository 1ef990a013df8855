//! The targets: limits that contextvar must not exceed.

use crate::instructions::Counts;
use crate::measure::Figures;
use crate::operation::Operation::{self, *};
use crate::peers::{CONTEXTVAR, FLOOR, OPENTELEMETRY, Peer, TASK_LOCAL};

/// Operation, variables set, peer, and the limit as a multiple of the peer's time.
const RATIOS: [(Operation, usize, usize, f64); 10] = [
    (Get, 8, TASK_LOCAL, 3.0),
    (Get, 8, OPENTELEMETRY, 0.4),
    (ReadString, 8, OPENTELEMETRY, 0.5),
    (GetUnset, 8, OPENTELEMETRY, 0.6),
    (SetNumber, 8, OPENTELEMETRY, 0.12),
    (SetString, 8, OPENTELEMETRY, 0.3),
    (Copy, 8, OPENTELEMETRY, 0.75),
    (RunInCopy, 8, OPENTELEMETRY, 0.4),
    (CopyOnWrite, 8, OPENTELEMETRY, 0.8),
    (CopyOnWrite, 1000, OPENTELEMETRY, 0.06),
];

/// Operation, peer, and the peer's number of variables: with eight variables set, contextvar's wrapper adds
/// at most as much time to the plain future or task as the peer's.
const EXTRAS: [(Operation, usize, usize); 5] = [
    (Poll, TASK_LOCAL, 1),
    (SpawnCurrentThread, TASK_LOCAL, 1),
    (SpawnCurrentThread, OPENTELEMETRY, 8),
    (SpawnMultiThread, TASK_LOCAL, 1),
    (SpawnMultiThread, OPENTELEMETRY, 8),
];

/// Operation, variables set, allocations.
const ALLOCATIONS: [(Operation, usize, f64); 8] = [
    (SetNumber, 8, 0.0),
    (SetNumber, 1000, 0.0),
    (SetString, 8, 1.0),
    (Copy, 8, 0.0),
    (Copy, 1000, 0.0),
    (RunInCopy, 8, 0.0),
    (Poll, 8, 0.0),
    (Poll, 1000, 0.0),
];

/// Bytes added to a future.
const ADDED_BYTES: usize = 24;

/// The time that the context adds to the plain request, as a fraction of the time that the best peer adds.
/// There is no target for the total, most of which is the plain request for all peers.
const REQUEST: f64 = 0.4;

/// Operation, variables set, instructions.
const INSTRUCTIONS: [(Operation, usize, f64); 17] = [
    (Get, 8, 12.0),
    (Get, 1000, 12.0),
    (GetInTurn, 1000, 47.0),
    (ReadString, 8, 12.0),
    (GetUnset, 8, 13.0),
    (SetNumber, 8, 90.0),
    (SetNumber, 1000, 90.0),
    (SetString, 8, 165.0),
    (SyncScopeNumber, 8, 68.0),
    (SyncScopeString, 8, 145.0),
    (Copy, 8, 16.0),
    (Copy, 1000, 16.0),
    (RunInCopy, 8, 26.0),
    (Poll, 8, 51.0),
    (Poll, 1000, 51.0),
    (CopyOnWrite, 8, 218.0),
    (CopyOnWrite, 1000, 258.0),
];

/// Operation, variables set, and the instructions that we would like to reach. Missing one is no failure.
const GOALS: [(Operation, usize, f64); 2] = [(SyncScopeNumber, 8, 55.0), (Poll, 8, 44.0)];

/// Returns a line for each target of time, allocations or size that was missed.
pub(crate) fn missed(peers: &[Box<dyn Peer>], figures: &Figures) -> Vec<String> {
    let mut missed = Missed::default();
    let median = |operation, variables, peer| figures[&(operation, variables, peer)].median_ns;
    let extra =
        |operation, variables, peer| median(operation, variables, peer) - median(operation, variables, FLOOR);

    for (operation, variables, peer, ratio) in RATIOS {
        let (ours, theirs) = (median(operation, variables, CONTEXTVAR), median(operation, variables, peer));
        let limit = format!("{ratio} x {}", peers[peer].name());
        missed.compare(operation, variables, "ns", ours, ratio * theirs, &limit);
    }
    for (operation, peer, variables) in EXTRAS {
        let (ours, theirs) = (extra(operation, 8, CONTEXTVAR), extra(operation, variables, peer));
        let limit = format!("{} with {variables} set", peers[peer].name());
        missed.compare(operation, 8, "ns added", ours, theirs, &limit);
    }
    for (operation, variables, limit) in ALLOCATIONS {
        let (allocations, _) = figures[&(operation, variables, CONTEXTVAR)].allocated.unwrap_or_default();
        missed.compare(operation, variables, "allocations", allocations, limit, "the target");
    }
    for variables in [1, 1000] {
        let added = peers[CONTEXTVAR].added_bytes(variables).unwrap_or_default();
        missed.compare(Poll, variables, "bytes added", added as f64, ADDED_BYTES as f64, "the target");
    }
    // Without the blocking call, whose noise is larger than the difference.
    let others = (TASK_LOCAL..peers.len())
        .filter(|&peer| figures.contains_key(&(RequestWithoutBlocking, 8, peer)))
        .map(|peer| extra(RequestWithoutBlocking, 8, peer));
    let best = others.fold(f64::INFINITY, f64::min);
    let ours = extra(RequestWithoutBlocking, 8, CONTEXTVAR);
    missed.compare(RequestWithoutBlocking, 8, "ns added", ours, REQUEST * best, "0.4 x the best peer");
    missed.0
}

/// Returns a line for each target of instructions that was missed.
pub(crate) fn missed_instructions(counts: &Counts) -> Vec<String> {
    let mut missed = Missed::default();
    for (operation, variables, limit) in INSTRUCTIONS {
        let count = counts[&(operation, variables, CONTEXTVAR)];
        // The counts have a fraction, from events that happen once in many repeats.
        missed.compare(operation, variables, "instructions", count.round(), limit, "the target");
    }
    for operation in [Request, RequestWithoutBlocking] {
        let extra = |peer| counts[&(operation, 8, peer)] - counts[&(operation, 8, FLOOR)];
        let best = extra(TASK_LOCAL).min(extra(OPENTELEMETRY));
        let limit = "0.4 x the best peer";
        missed.compare(operation, 8, "instructions added", extra(CONTEXTVAR), REQUEST * best, limit);
    }
    missed.0
}

/// Returns a line for each goal that was not reached.
pub(crate) fn goals_not_reached(counts: &Counts) -> Vec<String> {
    let mut missed = Missed::default();
    for (operation, variables, goal) in GOALS {
        let count = counts[&(operation, variables, CONTEXTVAR)];
        missed.compare(operation, variables, "instructions", count.round(), goal, "the goal");
    }
    missed.0
}

#[derive(Default)]
struct Missed(Vec<String>);

impl Missed {
    fn compare(
        &mut self,
        operation: Operation,
        variables: usize,
        unit: &str,
        ours: f64,
        limit: f64,
        reason: &str,
    ) {
        if ours > limit {
            let title = operation.title();
            self.0.push(format!("{title}, {variables} set: {ours:.1} {unit}, at most {limit:.1} ({reason})"));
        }
    }
}
