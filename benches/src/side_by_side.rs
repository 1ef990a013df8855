//! Measures an operation that runs on several threads at the same time.

use std::fs;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{Meter, Reading};

const ROUNDS: usize = 41;
const PATIENCE: Duration = Duration::from_secs(3);
// Short, because on a busy machine two threads seldom have both cores for long.
const ROUND: Duration = Duration::from_micros(500);

/// Runs an operation on `count` threads at the same time. Returns its nanoseconds: the median of the rounds'
/// means.
pub(crate) fn on_threads(count: usize, measure: impl Fn(Meter) -> Reading + Sync) -> f64 {
    let mut meter = Meter { repeats: 100, count_allocations: false };
    let round = Round::run(count, meter, &measure);
    meter.repeats = (ROUND.as_nanos() as f64 / round.ns).max(16.0) as u64;

    // Other programs can make the threads run one after the other, which shows no contention.
    let start = Instant::now();
    let (mut rounds, mut disturbed) = (Vec::new(), Vec::new());
    while rounds.len() < ROUNDS && start.elapsed() < PATIENCE {
        let round = Round::run(count, meter, &measure);
        if round.is_disturbed { disturbed.push(round.ns) } else { rounds.push(round.ns) }
    }
    if rounds.len() < ROUNDS {
        eprintln!("only {} of {} rounds were undisturbed", rounds.len(), rounds.len() + disturbed.len());
    }
    if rounds.is_empty() {
        rounds = disturbed;
    }
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// One round of an operation on several threads.
struct Round {
    /// The mean of the threads' nanoseconds per operation.
    ns: f64,
    /// True if a thread waited for a core, or if the threads ran side by side for less than 90 % of the time.
    is_disturbed: bool,
}

impl Round {
    fn run(count: usize, meter: Meter, measure: &(impl Fn(Meter) -> Reading + Sync)) -> Self {
        // Waits without giving up the core: a thread that is woken begins some microseconds later.
        let started = AtomicUsize::new(0);
        let one = || {
            started.fetch_add(1, Ordering::SeqCst);
            while started.load(Ordering::SeqCst) < count {
                hint::spin_loop();
            }
            let (waited, start) = (waited_for_core(), Instant::now());
            let reading = measure(meter);
            (start, reading, Instant::now(), waited_for_core() - waited)
        };
        let threads: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (starts, ends) = (threads.iter().map(|thread| thread.0), threads.iter().map(|thread| thread.2));
        let all = ends.clone().max().unwrap() - starts.clone().min().unwrap();
        let side_by_side = ends.min().unwrap().saturating_duration_since(starts.max().unwrap());
        let waited: Duration = threads.iter().map(|thread| thread.3).sum();
        let ns = |reading: Reading| reading.time.as_nanos() as f64 / reading.operations as f64;
        Round {
            ns: threads.iter().map(|thread| ns(thread.1)).sum::<f64>() / count as f64,
            is_disturbed: side_by_side < all.mul_f64(0.9) || waited > ROUND / 100,
        }
    }
}

/// Returns how long this thread has waited for a core so far, as Linux counts it. Zero on other systems.
fn waited_for_core() -> Duration {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = times.split(' ').nth(1).and_then(|waited| waited.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}
