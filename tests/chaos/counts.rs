//! What the test counts: events, and bytes allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) const fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    pub(crate) fn add_one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) static LIVES: Count = Count::new();
/// Panics that the test raises deliberately.
pub(crate) static DELIBERATE_PANICS: Count = Count::new();
/// All other panics, which are failed checks. The panic hook counts them, because a task can swallow the
/// panic itself.
pub(crate) static FAILED_CHECKS: Count = Count::new();
pub(crate) static ABORTED: Count = Count::new();
/// Futures that a task runs with `block_on` inside its own poll.
pub(crate) static NESTED: Count = Count::new();

pub(crate) static RUNTIMES: Count = Count::new();
/// Runtimes that were shut down while tasks were pending.
pub(crate) static SHUT_DOWN: Count = Count::new();
/// Tasks that were pending when their runtime was shut down.
pub(crate) static PENDING: Count = Count::new();

pub(crate) static VALUES_MADE: Count = Count::new();
pub(crate) static VALUES_DROPPED: Count = Count::new();
pub(crate) static VALUES_DROPPED_TWICE: Count = Count::new();

/// Counts the bytes that are allocated.
struct CountingAllocator(AtomicI64);

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator(AtomicI64::new(0));

pub(crate) fn allocated_bytes() -> i64 {
    ALLOCATOR.0.load(Ordering::SeqCst)
}

// SAFETY: both functions forward to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
