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

/// The sizes of blocks that are kept: values of one, two and three words with their headers, such as an `Arc`, a `&str`
/// and a `String`; and nodes.
const SIZES: [usize; 4] = [
    counted::layout::<[usize; 1]>().0.size(),
    counted::layout::<[usize; 2]>().0.size(),
    counted::layout::<[usize; 3]>().0.size(),
    counted::layout::<Node>().0.size(),
];

/// The alignment of blocks that are kept, whatever their type demands.
const ALIGN: usize = align_of::<Node>();

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
    static POOL: Pool = const { Pool([const { List::new() }; SIZES.len()]) };
}

/// Returns a block for a `T` with its header, or null if there is no memory.
#[inline]
pub(super) fn allocate<T>() -> *mut u8 {
    let (layout, list) = const { block::<T>() };
    if let Some(list) = list {
        let block = POOL.try_with(|pool| pool.0[list].pop()).unwrap_or(ptr::null_mut());
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
    let (layout, list) = const { self::block::<T>() };
    if let Some(list) = list {
        // SAFETY: the block is aligned and large enough.
        if POOL.try_with(|pool| unsafe { pool.0[list].push(block.cast()) }).unwrap_or(false) {
            return;
        }
    }
    // SAFETY: as the caller promises.
    unsafe { alloc::dealloc(block, layout) }
}

/// Returns the layout of a block for a `T` with its header, and the index of the list that keeps such blocks, if any.
///
/// Tools that look for uses of freed memory do not see those of a kept block. `--cfg contextvar_no_pool` is for them.
const fn block<T>() -> (Layout, Option<usize>) {
    let (layout, _) = counted::layout::<T>();
    let mut list = 0;
    while list < SIZES.len() && !cfg!(contextvar_no_pool) {
        if layout.size() == SIZES[list] && layout.align() <= ALIGN {
            return (kept_layout(list), Some(list));
        }
        list += 1;
    }
    (layout, None)
}

const fn kept_layout(list: usize) -> Layout {
    match Layout::from_size_align(SIZES[list], ALIGN) {
        Ok(layout) => layout,
        Err(_) => panic!("the size of a node is small"),
    }
}

impl List {
    const fn new() -> List {
        List { first: Cell::new(ptr::null_mut()), len: Cell::new(0) }
    }

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
        for (index, list) in self.0.iter().enumerate() {
            loop {
                let block = list.pop();
                if block.is_null() {
                    break;
                }
                // SAFETY: blocks of this list were allocated with this layout.
                unsafe { alloc::dealloc(block.cast(), kept_layout(index)) };
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
