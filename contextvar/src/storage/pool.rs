//! Freed blocks that a thread keeps for its next allocations.
//!
//! Most values and nodes live as long as a request or a call. To take a block from a list and to put it back takes a
//! fifth of the instructions of `malloc` and `free`.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr;

use super::counted;
use super::node::Node;

/// The number of blocks that a thread keeps of each size: at most 6 KiB in total.
const KEPT: u32 = 16;

/// The sizes of blocks that are kept, all aligned to 8 bytes: values of 8, 16 and 24 bytes with their headers, such
/// as an `Arc`, a `&str` and a `String`; and nodes.
const SIZES: [usize; 4] = [24, 32, 40, counted::layout::<Node>().0.size()];

/// The freed blocks of each size.
struct Pool([List; SIZES.len()]);

struct List {
    first: Cell<*mut Freed>,
    len: Cell<u32>,
}

/// The first bytes of a freed block.
struct Freed {
    next: *mut Freed,
}

thread_local! {
    static POOL: Pool = const { Pool([const { List { first: Cell::new(ptr::null_mut()), len: Cell::new(0) } }; SIZES.len()]) };
}

/// Returns a block for a `T` with its header, or null if there is no memory.
#[inline]
pub(super) fn allocate<T>() -> *mut u8 {
    let (layout, _) = const { counted::layout::<T>() };
    if let Some(size) = const { size_class(counted::layout::<T>().0) } {
        let block = POOL.try_with(|pool| pool.0[size].pop()).unwrap_or(ptr::null_mut());
        if !block.is_null() {
            return block.cast();
        }
    }
    // SAFETY: the size is not 0, because of the header.
    unsafe { alloc::alloc(layout) }
}

/// # Safety
/// [`allocate`] with the same `T` returned the block, which is not used again.
#[inline]
pub(super) unsafe fn free<T>(block: *mut u8) {
    let (layout, _) = const { counted::layout::<T>() };
    if let Some(size) = const { size_class(counted::layout::<T>().0) } {
        // SAFETY: the block is aligned and large enough.
        if POOL.try_with(|pool| unsafe { pool.0[size].push(block.cast()) }).unwrap_or(false) {
            return;
        }
    }
    // SAFETY: as the caller promises.
    unsafe { alloc::dealloc(block, layout) }
}

/// Returns the index of the list with blocks of this layout. `None` if such blocks are not kept.
///
/// Tools that look for uses of freed memory do not see those of a kept block. `--cfg contextvar_no_pool` is for them.
const fn size_class(layout: Layout) -> Option<usize> {
    let mut class = 0;
    while class < SIZES.len() && !cfg!(contextvar_no_pool) {
        if layout.size() == SIZES[class] && layout.align() == align_of::<usize>() {
            return Some(class);
        }
        class += 1;
    }
    None
}

impl List {
    #[inline]
    fn pop(&self) -> *mut Freed {
        let block = self.first.get();
        if !block.is_null() {
            // SAFETY: `push` wrote it.
            self.first.set(unsafe { (*block).next });
            self.len.set(self.len.get() - 1);
        }
        block
    }

    /// Returns false if the list is full.
    ///
    /// # Safety
    /// The block has room for a `Freed`, and is not used until it is popped.
    #[inline]
    unsafe fn push(&self, block: *mut Freed) -> bool {
        let has_room = self.len.get() < KEPT;
        if has_room {
            // SAFETY: as the caller promises.
            unsafe { block.write(Freed { next: self.first.get() }) };
            self.first.set(block);
            self.len.set(self.len.get() + 1);
        }
        has_room
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (list, size) in self.0.iter().zip(SIZES) {
            let layout = Layout::from_size_align(size, align_of::<usize>()).expect("the layout of a block");
            loop {
                let block = list.pop();
                if block.is_null() {
                    break;
                }
                // SAFETY: blocks of this list have this layout, and were allocated with it.
                unsafe { alloc::dealloc(block.cast(), layout) };
            }
        }
    }
}

#[cfg(all(test, not(contextvar_no_pool)))]
mod tests {
    use super::*;

    #[test]
    fn a_freed_block_is_allocated_next() {
        // SAFETY: each block is freed once.
        unsafe {
            let (first, second) = (allocate::<Node>(), allocate::<Node>());
            free::<Node>(first);
            free::<Node>(second);
            let again = [(); 2].map(|()| allocate::<Node>());
            assert_eq!(again, [second, first]);
            for block in again {
                free::<Node>(block);
            }
        }
    }

    #[test]
    fn a_thread_keeps_few_blocks() {
        std::thread::spawn(|| {
            let blocks = [(); 2 * KEPT as usize].map(|()| allocate::<Node>());
            for block in blocks {
                // SAFETY: each block is freed once.
                unsafe { free::<Node>(block) }
            }
            POOL.with(|pool| assert_eq!(pool.0.each_ref().map(|list| list.len.get()), [0, 0, 0, KEPT]));
        })
        .join()
        .unwrap();
    }
}
