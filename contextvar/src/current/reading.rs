//! Reads by reference that are under way.
//!
//! The rule for every function in this crate: no function that may free a value has an argument that reaches the value.
//! An argument that is a reference, also one that a closure argument has captured, must stay valid until the function
//! returns: Stacked Borrows and Tree Borrows demand it, and LLVM optimizes by it. So a read calls the user's function
//! first, and ends the reading after that call has returned: never in a function that was given the user's function.

use std::cell::Cell;
use std::mem;
use std::ptr;

use super::{Frame, abort_on_suspended_coroutine, innermost};
use crate::storage::Map;

/// A use of a value in a frame's map that is under way. It lives on the reader's stack.
///
/// The readings of a thread are a stack, in the order of their frames: a reading begins in the innermost frame, and no
/// frame is left while a reading of it is under way. So if any reading of the innermost frame is under way, the
/// innermost reading is one.
pub(super) struct Reading {
    frame: *const Frame,
    /// The reading around this one.
    outer: *const Reading,
    /// The map that the value is in, once the frame has been written since.
    kept: Cell<Option<Map>>,
}

/// Ends a reading when dropped: the value may be freed then.
pub(super) struct EndReading<'a>(pub(super) &'a Reading);

impl Reading {
    /// A reading of `frame` that has not begun. It must not move once it has.
    #[inline]
    pub(super) fn of(frame: &Frame) -> Reading {
        Reading { frame, outer: innermost(|it| it.reading.get()), kept: Cell::new(None) }
    }

    /// Begins the reading and calls `f`. Does not end the reading.
    #[inline]
    pub(super) fn begin<R>(&self, f: impl FnOnce() -> R) -> R {
        innermost(|it| it.reading.set(self));
        f()
    }

    /// Whether any reading is under way on this thread.
    #[inline]
    pub(super) fn is_any_under_way() -> bool {
        !innermost(|it| it.reading.get()).is_null()
    }

    /// Whether a reading of `frame` is under way, where `frame` is the innermost.
    #[inline]
    pub(super) fn is_under_way_in(frame: &Frame) -> bool {
        // SAFETY: a reading is on the list only while it is on the stack.
        unsafe { innermost(|it| it.reading.get()).as_ref() }
            .is_some_and(|reading| ptr::eq(reading.frame, frame))
    }

    /// Gives a share of `map` to the innermost reading, if that is a reading of `frame`: nothing that the reader sees is
    /// then changed in place or dropped. To be called before each write.
    #[inline]
    pub(super) fn keep(frame: &Frame, map: &Map) {
        // SAFETY: a reading is on the list only while it is on the stack.
        match unsafe { innermost(|it| it.reading.get()).as_ref() } {
            Some(reading) if ptr::eq(reading.frame, frame) => reading.keep_copy(map),
            _ => (),
        }
    }

    #[cold]
    fn keep_copy(&self, map: &Map) {
        self.keep_unless_older(map.clone());
    }

    /// Keeps `map`, unless an older one is kept: the value that the reader sees is in the oldest.
    fn keep_unless_older(&self, map: Map) {
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
        if !ptr::eq(innermost(|it| it.reading.replace(self.outer)), self) {
            abort_on_suspended_coroutine();
        }
        if let Some(map) = self.kept.take() {
            self.hand_on(map);
        }
    }

    /// Hands the kept map to the reading around this one, which may see values of the same map, or drops it.
    #[cold]
    fn hand_on(&self, map: Map) {
        // SAFETY: the outer reading is further up the same stack.
        match unsafe { self.outer.as_ref() } {
            Some(outer) if ptr::eq(outer.frame, self.frame) => outer.keep_unless_older(map),
            _ => drop(map),
        }
    }
}

impl EndReading<'_> {
    /// Ends the reading. On a panic the drop does; not here, where the result of the read would leak if the drop of a
    /// value panics.
    #[inline]
    pub(super) fn end(self) {
        let reading = self.0;
        mem::forget(self);
        reading.end();
    }
}

impl Drop for EndReading<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.end();
    }
}
