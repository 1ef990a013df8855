//! A clock that adds less than a nanosecond to a poll.
//!
//! Two readings of the system's clock would take longer than the rest of a poll. Instead, a thread writes the time
//! every millisecond. The thread stops after a while without a reading, and the next reading restarts it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A time in microseconds since shortly before the first reading. 0 stands for no time.
pub(super) type Time = u64;

/// How often the time is written.
const TICK: Duration = Duration::from_millis(1);

/// The number of ticks without a reading after which the clock stops.
const IDLE_TICKS: u32 = 100;

/// The time, or 0 while the clock has stopped.
static NOW: AtomicU64 = AtomicU64::new(0);

/// True if the time was read since the last tick.
static WAS_READ: AtomicBool = AtomicBool::new(false);

/// The thread that writes the time, after it has been started.
static TICKER: Mutex<Option<Thread>> = Mutex::new(None);

/// Returns the time to within a millisecond.
#[inline]
pub(super) fn now() -> Time {
    match NOW.load(Ordering::Relaxed) {
        0 => start(),
        now => {
            // A store by each reader would move the cache line from core to core.
            if !WAS_READ.load(Ordering::Relaxed) {
                WAS_READ.store(true, Ordering::Relaxed);
            }
            now
        }
    }
}

/// Returns the exact time.
pub(super) fn exact() -> Time {
    static START: OnceLock<Instant> = OnceLock::new();
    1 + START.get_or_init(Instant::now).elapsed().as_micros() as Time
}

/// Starts the clock, if the system can start a thread, and returns the exact time.
#[cold]
#[inline(never)]
fn start() -> Time {
    // Miri demands that all threads end before the main one does.
    if !cfg!(miri) {
        let mut ticker = TICKER.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have started the clock meanwhile.
        let now = NOW.load(Ordering::Relaxed);
        if now != 0 {
            return now;
        }
        if ticker.is_none() {
            let spawned = thread::Builder::new().name("contextvar-clock".to_owned()).spawn(tick);
            *ticker = spawned.ok().map(|spawned| spawned.thread().clone());
        }
        if let Some(ticker) = &*ticker {
            let now = exact();
            WAS_READ.store(true, Ordering::Relaxed);
            NOW.store(now, Ordering::Relaxed);
            ticker.unpark();
            return now;
        }
    }
    exact()
}

fn tick() {
    let mut idle_ticks = 0;
    loop {
        idle_ticks = if WAS_READ.swap(false, Ordering::Relaxed) { 0 } else { idle_ticks + 1 };
        if idle_ticks < IDLE_TICKS {
            NOW.store(exact(), Ordering::Relaxed);
            thread::park_timeout(TICK);
        } else {
            NOW.store(0, Ordering::Relaxed);
            // A reader that has seen 0 in the meantime has unparked this thread, so this call returns at once.
            thread::park();
        }
    }
}
