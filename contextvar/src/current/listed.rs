//! The listed contexts that a thread has entered.

use std::cell::{Cell, UnsafeCell};
use std::panic::RefUnwindSafe;
use std::ptr;
use std::sync::Arc;

use super::frame::Frame;
use super::task::{TaskId, task_id};
use crate::inspect::Entry;

thread_local! {
    /// The entry of the innermost listed context, or null. The entry is alive while this thread is inside the
    /// context. The cell has no destructor, so that it can be used at any time.
    static INNERMOST: Cell<*const Entry> = const { Cell::new(ptr::null()) };
}

/// The frame of a listed context while it is current, in place of a frame on the stack.
///
/// The code that leaves a context checks that its own frame is innermost. This frame fails that check, so that
/// a poll in a context that is not listed needs no check of its own.
pub(crate) struct ListedFrame {
    frame: UnsafeCell<Frame>,
    /// The entry of the listed context around this one.
    outer: Cell<*const Entry>,
}

// SAFETY: only the thread that has entered the context uses it. No two threads enter a context at the same time,
// and each entry happens before the next one. Hooks, which can overlap, do not change it.
unsafe impl Send for ListedFrame {}
// SAFETY: as above.
unsafe impl Sync for ListedFrame {}

// A panic that unwinds through a context leaves its frame.
impl RefUnwindSafe for ListedFrame {}

impl ListedFrame {
    pub(crate) fn new() -> ListedFrame {
        ListedFrame { frame: UnsafeCell::new(Frame::empty()), outer: Cell::new(ptr::null()) }
    }

    /// Makes this frame a copy of `frame`, and returns this frame. It is valid until the thread leaves the context.
    pub(super) fn set(&self, frame: Frame) -> *const Frame {
        // SAFETY: the context is not entered, so no code uses the frame.
        unsafe { *self.frame.get() = frame };
        self.frame.get()
    }

    pub(super) fn get(&self) -> *const Frame {
        self.frame.get()
    }

    /// Returns true if the context was entered with this frame, and not by hooks. Call it on the thread that has
    /// entered the context.
    fn is_set(&self) -> bool {
        // SAFETY: only this thread uses the frame, or else no thread changes it.
        unsafe { (*self.frame.get()).has_contents() }
    }
}

/// Records that this thread enters a context in `task`. Call [`leave`] when it leaves.
pub(super) fn enter(entry: &Arc<Entry>, task: Option<TaskId>) {
    entry.frame.outer.set(INNERMOST.replace(Arc::as_ptr(entry)));
    entry.begin_poll(task);
}

/// Records that this thread leaves the innermost listed context.
pub(super) fn leave(entry: &Entry) {
    INNERMOST.set(entry.frame.outer.get());
    entry.end_poll();
}

/// Does the same as [`enter`], in a hook before a poll. Returns the entry of the listed context around this one, for
/// [`leave_in_hook`]. The entry can't store it: the hook after the last poll may still run on another thread.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(super) fn enter_in_hook(entry: &Arc<Entry>, task: TaskId) -> *const Entry {
    entry.begin_poll(Some(task));
    INNERMOST.replace(Arc::as_ptr(entry))
}

/// Does the same as [`leave`], in a hook after a poll.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(super) fn leave_in_hook(entry: &Entry, outer: *const Entry) {
    INNERMOST.set(outer);
    entry.end_poll_in_hook();
}

/// Forgets the contexts that this thread has entered. Called when the thread exits.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(super) fn forget() {
    INNERMOST.set(ptr::null());
}

impl Entry {
    /// Returns true if code in `task` can read the context, which this thread has entered last.
    fn is_current(&self, task: Option<TaskId>) -> bool {
        self.frame.is_set() || self.is_of_task(task)
    }
}

/// Returns the innermost listed context that the calling code can read: one that the current task has entered, or one
/// around the current task. A context that hooks gave to another task is not readable.
pub(crate) fn innermost_entry() -> Option<Arc<Entry>> {
    let entry = INNERMOST.get();
    // SAFETY: it is alive, as above.
    let is_current = unsafe { entry.as_ref() }?.is_current(task_id());
    // SAFETY: all entries are in an `Arc`, and this one is alive.
    is_current.then(|| unsafe {
        Arc::increment_strong_count(entry);
        Arc::from_raw(entry)
    })
}

/// Returns the innermost listed context if the current task has entered it and can change it.
pub(crate) fn innermost_own_entry() -> Option<Arc<Entry>> {
    innermost_entry().filter(|entry| entry.is_of_task(task_id()))
}
