//! Measures the thread that writes the time.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use contextvar::inspect;

use super::programs;
use crate::measure::Meter;
use crate::report::{header, number, row};

const TIME: Duration = Duration::from_secs(1);

/// Longer than the clock waits for a reading before it stops.
const UNTIL_STOPPED: Duration = Duration::from_millis(500);

pub(super) fn table(missed: &mut Vec<String>) -> String {
    inspect::enable();
    poll();
    let mut text = "## The thread that writes the time, per second\n\n".to_owned();
    text += &header("", ["CPU time (ms)", "wake-ups"].into_iter());
    let polled = during(|| {
        let start = Instant::now();
        while start.elapsed() < TIME {
            poll();
        }
    });
    sleep(UNTIL_STOPPED);
    let idle = during(|| sleep(TIME));
    if idle != (Used { cpu_ms: 0.0, wakeups: 0 }) {
        missed.push(format!("the clock goes on while no context is polled: {} wake-ups", idle.wakeups));
    }
    for (name, used) in [("contexts are polled all the time", polled), ("no context is polled", idle)] {
        let cells = [number(used.cpu_ms), used.wakeups.to_string()];
        text += &row(name, cells.into_iter().map(Some));
    }
    text + "\n"
}

fn poll() {
    programs::poll(Meter { repeats: 1000, count_allocations: false });
}

/// What a thread has used.
#[derive(Clone, Copy, PartialEq)]
struct Used {
    cpu_ms: f64,
    wakeups: u64,
}

/// Returns what the clock's thread uses while `f` runs.
fn during(f: impl FnOnce()) -> Used {
    let before = Used::of_clock();
    f();
    let after = Used::of_clock();
    Used { cpu_ms: after.cpu_ms - before.cpu_ms, wakeups: after.wakeups - before.wakeups }
}

impl Used {
    /// Returns what the clock's thread has used, as Linux counts it.
    fn of_clock() -> Used {
        // Linux keeps 15 bytes of a thread's name.
        let is_clock = |thread: &PathBuf| {
            fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.starts_with("contextvar-cloc"))
        };
        let threads = fs::read_dir("/proc/self/task").expect("needs Linux");
        let clock = threads.filter_map(|thread| Some(thread.ok()?.path())).find(is_clock);
        let stat = fs::read_to_string(clock.expect("the clock was started").join("schedstat")).unwrap();
        // Nanoseconds on a core, nanoseconds of waiting for one, and how often it got one.
        let [cpu, _, wakeups] =
            [0, 1, 2].map(|index| stat.split_whitespace().nth(index).unwrap().parse().unwrap());
        Used { cpu_ms: cpu as f64 / 1e6, wakeups }
    }
}
