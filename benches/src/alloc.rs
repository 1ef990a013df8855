//! The global allocator: the system's, with counters that can be switched on.
//!
//! Timed rounds run with the counters off, which costs all columns the same load and branch.
//!
//! Where instructions are counted, blocks of tokio's tasks are recycled. A task's block is aligned to 128
//! bytes. glibc searches its heap for such a block, which takes a few hundred instructions more or less,
//! depending on the neighbors that other blocks have left, and not on what is measured.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, AtomicUsize};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Blocks of this alignment and more take the slow path: all blocks while allocations are counted, and otherwise
/// those that can be recycled. So the fast path has one test.
static SLOW_FROM: AtomicUsize = AtomicUsize::new(ALIGNMENT);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// The allocations on all threads since `start_counting`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allocated {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    /// Bytes allocated minus bytes freed.
    pub(crate) live: i64,
}

pub(crate) fn start_counting() {
    ALLOCATIONS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    LIVE.store(0, Relaxed);
    SLOW_FROM.store(1, Relaxed);
}

pub(crate) fn stop_counting() -> Allocated {
    SLOW_FROM.store(ALIGNMENT, Relaxed);
    Allocated { allocations: ALLOCATIONS.load(Relaxed), bytes: BYTES.load(Relaxed), live: LIVE.load(Relaxed) }
}

/// Makes the allocator recycle the blocks that are aligned to 128 bytes.
pub(crate) fn recycle_aligned_blocks() {
    RECYCLES.store(true, Relaxed);
}

const ALIGNMENT: usize = 128;
/// Larger blocks are not recycled.
const LARGEST: usize = 64 * ALIGNMENT;

static RECYCLES: AtomicBool = AtomicBool::new(false);
/// True while a thread uses `FREE`.
static LOCKED: AtomicBool = AtomicBool::new(false);
/// For each size in units of 128 bytes, the first free block. Each block has the address of the next one in
/// its first word.
static FREE: [AtomicPtr<u8>; LARGEST / ALIGNMENT + 1] =
    [const { AtomicPtr::new(ptr::null_mut()) }; LARGEST / ALIGNMENT + 1];

/// Returns the size in units, if blocks of this layout are recycled.
fn units(layout: Layout) -> Option<usize> {
    let recycles = layout.align() == ALIGNMENT && layout.size() <= LARGEST && RECYCLES.load(Relaxed);
    recycles.then(|| layout.size().div_ceil(ALIGNMENT))
}

fn with_free_block<R>(units: usize, f: impl FnOnce(&AtomicPtr<u8>) -> R) -> R {
    while LOCKED.swap(true, Acquire) {
        hint::spin_loop();
    }
    let result = f(&FREE[units]);
    LOCKED.store(false, Release);
    result
}

fn pop(units: usize) -> *mut u8 {
    with_free_block(units, |free| {
        let block = free.load(Relaxed);
        if !block.is_null() {
            // SAFETY: `push` has written the word, and nobody has used the block since.
            free.store(unsafe { block.cast::<*mut u8>().read() }, Relaxed);
        }
        block
    })
}

/// # Safety
///
/// Nobody uses the block, which has at least one unit.
unsafe fn push(block: *mut u8, units: usize) {
    with_free_block(units, |free| {
        // SAFETY: as the caller promises.
        unsafe { block.cast::<*mut u8>().write(free.load(Relaxed)) };
        free.store(block, Relaxed);
    });
}

/// Returns the layout of whole units, so that a block fits all layouts with as many units.
fn in_units(layout: Layout) -> Layout {
    if layout.align() == ALIGNMENT { layout.pad_to_align() } else { layout }
}

struct Counting;

impl Counting {
    fn count(allocated: usize, freed: usize) {
        if SLOW_FROM.load(Relaxed) != 1 {
            return;
        }
        if allocated > 0 {
            ALLOCATIONS.fetch_add(1, Relaxed);
            BYTES.fetch_add(allocated as u64, Relaxed);
        }
        LIVE.fetch_add(allocated as i64 - freed as i64, Relaxed);
    }

    #[cold]
    unsafe fn alloc_slowly(layout: Layout) -> *mut u8 {
        Counting::count(layout.size(), 0);
        let free = units(layout).map_or(ptr::null_mut(), pop);
        if !free.is_null() {
            return free;
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(in_units(layout)) }
    }

    #[cold]
    unsafe fn dealloc_slowly(memory: *mut u8, layout: Layout) {
        Counting::count(0, layout.size());
        // SAFETY: as the caller promises. The block was allocated `in_units`.
        unsafe {
            match units(layout) {
                Some(units) => push(memory, units),
                None => System.dealloc(memory, in_units(layout)),
            }
        }
    }

    #[cold]
    unsafe fn realloc_slowly(memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            if layout.align() != ALIGNMENT {
                Counting::count(size, layout.size());
                return System.realloc(memory, layout, size);
            }
            let moved = Counting::alloc_slowly(Layout::from_size_align_unchecked(size, ALIGNMENT));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(memory, moved, layout.size().min(size));
                Counting::dealloc_slowly(memory, layout);
            }
            moved
        }
    }
}

// SAFETY: every block comes from the system's allocator, with the layout of `in_units`, and goes back to it with
// the same one. A recycled block has as many units as the layout for which it is used. Neither the counters
// nor the free blocks allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            match layout.align() >= SLOW_FROM.load(Relaxed) {
                true => Counting::alloc_slowly(layout),
                false => System.alloc(layout),
            }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe {
            match layout.align() >= SLOW_FROM.load(Relaxed) {
                true => Counting::dealloc_slowly(memory, layout),
                false => System.dealloc(memory, layout),
            }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            match layout.align() >= SLOW_FROM.load(Relaxed) {
                true => Counting::realloc_slowly(memory, layout, size),
                false => System.realloc(memory, layout, size),
            }
        }
    }
}
