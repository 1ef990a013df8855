//! Reads by reference that have not returned yet.
//!
//! The rule for every function in this crate: no function that may free a value has an argument that reaches
//! the value. An argument that is a reference, or a closure that has captured one, must stay valid until the
//! function returns: Stacked Borrows and Tree Borrows demand it, and LLVM optimizes by it. So a read calls
//! the user's function first, and ends the active read after that call has returned: never in a function
//! whose closure argument has captured the value.

use std::cell::Cell;
use std::mem;
use std::ptr;

use super::abort_on_out_of_order_exit;
use super::frame::{Frame, innermost};
use crate::storage::Map;

/// A use of a value in a frame's map that has not ended. It lives on the reader's stack.
///
/// The active reads of a thread form a stack, in the order of their frames: a read begins in the innermost
/// frame, and no frame is left while a read of it is active. So if any read of the innermost frame is active,
/// the innermost active read is one.
pub(super) struct ActiveRead {
    frame: *const Frame,
    /// The active read around this one.
    outer: *const ActiveRead,
    /// The map that has the value. `None` until the frame is written during the read.
    kept: Cell<Option<Map>>,
}

/// Ends an active read when it is dropped. From then on the value can be freed.
pub(super) struct EndRead<'a>(pub(super) &'a ActiveRead);

impl ActiveRead {
    /// Returns a read of `frame` that is not active yet. It must not move once it is.
    #[inline]
    pub(super) fn new(frame: &Frame) -> ActiveRead {
        ActiveRead { frame, outer: innermost(|it| it.read.get()), kept: Cell::new(None) }
    }

    /// Makes the read active and calls `f`. Does not end the read.
    #[inline]
    pub(super) fn call<R>(&self, f: impl FnOnce() -> R) -> R {
        innermost(|it| it.read.set(self));
        f()
    }

    /// Returns true if any read is active on this thread.
    #[inline]
    pub(super) fn is_any_active() -> bool {
        !innermost(|it| it.read.get()).is_null()
    }

    /// Returns true if a read of `frame`, the innermost frame, is active.
    #[inline]
    pub(super) fn is_active_in(frame: &Frame) -> bool {
        // SAFETY: the list holds a read only while the read is on the stack.
        unsafe { innermost(|it| it.read.get()).as_ref() }.is_some_and(|read| ptr::eq(read.frame, frame))
    }

    /// Gives a copy of `map` to the innermost active read if it reads `frame`, so that the next write changes
    /// or drops nothing that the reader sees. Call it before each write.
    #[inline]
    pub(super) fn keep_for_reader(frame: &Frame, map: &Map) {
        // SAFETY: the list holds a read only while the read is on the stack.
        match unsafe { innermost(|it| it.read.get()).as_ref() } {
            Some(read) if ptr::eq(read.frame, frame) => read.keep_copy(map),
            _ => (),
        }
    }

    #[cold]
    fn keep_copy(&self, map: &Map) {
        self.keep_oldest(map.clone());
    }

    /// Keeps `map`, unless an older one is kept: the oldest map has the value that the reader sees.
    fn keep_oldest(&self, map: Map) {
        let older = self.kept.take();
        let (kept, unneeded) = match older {
            Some(older) => (older, Some(map)),
            None => (map, None),
        };
        self.kept.set(Some(kept));
        drop(unneeded);
    }

    #[inline]
    fn end(&self) {
        if !ptr::eq(innermost(|it| it.read.replace(self.outer)), self) {
            abort_on_out_of_order_exit();
        }
        if let Some(map) = self.kept.take() {
            self.release(map);
        }
    }

    /// Gives the kept map to the active read around this one if both read the same frame, because it can see
    /// values of the same map. Otherwise drops the map.
    #[cold]
    fn release(&self, map: Map) {
        // SAFETY: the outer read is further up the same stack.
        match unsafe { self.outer.as_ref() } {
            Some(outer) if ptr::eq(outer.frame, self.frame) => outer.keep_oldest(map),
            _ => drop(map),
        }
    }
}

impl EndRead<'_> {
    /// Ends the active read. The drop does the same after a panic. Without a panic it would leak the result
    /// of the read if the drop of a value panicked.
    #[inline]
    pub(super) fn end(self) {
        let read = self.0;
        mem::forget(self);
        read.end();
    }
}

impl Drop for EndRead<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.end();
    }
}
