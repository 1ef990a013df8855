//! The threads that poll listed contexts.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use slab::Slab;

/// The number of all threads that are exiting and whose names are no longer kept.
const EXITING: u32 = u32::MAX;

thread_local! {
    /// The number of this thread, or 0 before it has one. Has no destructor, so that it can be used at any time.
    static NUMBER: Cell<u32> = const { Cell::new(0) };

    /// The number of the last context that this thread has listed.
    static LAST_CONTEXT: Cell<u64> = const { Cell::new(0) };

    static REMOVE_AT_EXIT: RemoveAtExit = const { RemoveAtExit };
}

/// The names of the threads that have a number: number - 1 is the key.
static NAMES: Mutex<Slab<Arc<str>>> = Mutex::new(Slab::new());

/// Returns this thread's number, which is not 0. No other running thread has the same number, except
/// [`EXITING`].
#[inline]
pub(super) fn number() -> u32 {
    match NUMBER.get() {
        0 => add(),
        number => number,
    }
}

#[cold]
#[inline(never)]
fn add() -> u32 {
    let number = if REMOVE_AT_EXIT.try_with(|_| ()).is_ok() {
        let name: Arc<str> = thread::current().name().unwrap_or("unnamed thread").into();
        let key = NAMES.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        u32::try_from(key + 1).expect("fewer than 2^32 threads")
    } else {
        EXITING
    };
    NUMBER.set(number);
    number
}

struct RemoveAtExit;

impl Drop for RemoveAtExit {
    fn drop(&mut self) {
        let number = NUMBER.replace(EXITING);
        if number != 0 && number != EXITING {
            let name = NAMES.lock().unwrap_or_else(PoisonError::into_inner).try_remove(number as usize - 1);
            drop(name);
        }
    }
}

/// Returns the name of the thread with this number.
pub(super) fn name(number: u32) -> Arc<str> {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.get((number as usize).wrapping_sub(1)).cloned().unwrap_or_else(|| "exiting thread".into())
}

/// Returns a number that no context has had. Each thread takes a batch of numbers at a time.
pub(super) fn next_context_number() -> u64 {
    const BATCH: u64 = 64;
    static BATCHES: AtomicU64 = AtomicU64::new(0);

    let mut last = LAST_CONTEXT.get();
    if last % BATCH == 0 {
        last = BATCHES.fetch_add(1, Ordering::Relaxed) * BATCH;
    }
    // A batch starts at 1 and not at 0, so that no number is 0.
    LAST_CONTEXT.set(last + 1);
    last + 1
}
