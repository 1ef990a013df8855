use std::cell::UnsafeCell;
use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::active_read::ActiveRead;
use super::frame::{Contents, Frame};
use crate::storage::Map;

/// A thread's own context.
struct ThreadContext {
    /// Its pointer to `contents` is set at each use.
    frame: Frame,
    contents: UnsafeCell<Contents>,
}

thread_local! {
    /// Has no destructor, so that it can be used at any time. `CLEAR_AT_EXIT` drops the values.
    static THREAD_CONTEXT: ManuallyDrop<ThreadContext> = const {
        ManuallyDrop::new(ThreadContext { frame: Frame::empty(), contents: UnsafeCell::new(Contents::new(Map::EMPTY)) })
    };

    /// Unsets all variables of the thread's own context when the thread exits. Initialized by the first
    /// write.
    static CLEAR_AT_EXIT: ClearAtExit = const { ClearAtExit };
}

struct ClearAtExit;

impl Drop for ClearAtExit {
    fn drop(&mut self) {
        // From now on `CLEAR_AT_EXIT` cannot be used, so nothing is written to the context any more.
        let map = frame().take_map();
        // A thread exits during a read in two cases. In `process::exit` its stack stays, with references to
        // the values. A coroutine with a stack of its own can be suspended in a read.
        if ActiveRead::is_any_active() { mem::forget(map) } else { drop(map) }
    }
}

/// Returns the frame of the thread's own context.
pub(super) fn frame<'a>() -> &'a Frame {
    let context: *const ThreadContext = THREAD_CONTEXT.with(|context| &raw const **context);
    // SAFETY: a thread-local without a destructor lives as long as its thread.
    let context: &'a ThreadContext = unsafe { &*context };
    context.frame.set_contents(context.contents.get());
    &context.frame
}

/// Returns true if `frame` is that of the thread's own context.
pub(super) fn owns(other: &Frame) -> bool {
    ptr::eq(other, frame())
}

/// Ensures that the thread's own context is cleared when the thread exits. Returns false if that has already
/// happened.
pub(super) fn ensure_cleared_at_exit() -> bool {
    CLEAR_AT_EXIT.try_with(|_| ()).is_ok()
}

/// Returns a number that no other thread has while this one is alive. It is neither 0 nor 1.
#[inline]
pub(crate) fn this_thread() -> usize {
    thread_local! {
        static ADDRESS: u16 = const { 0 };
    }
    ADDRESS.with(|address| ptr::from_ref(address).addr())
}
