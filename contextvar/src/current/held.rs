use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{CURRENT, Contents, Frame, TaskId};
use crate::storage::Map;

/// A task's context that is entered and left by calls: for polls that somebody else makes, with a hook before and a
/// hook after each.
pub(crate) struct Held {
    task: TaskId,
    /// Whether a thread is in it. Who sets this has all below, until it clears it.
    entered: AtomicBool,
    contents: UnsafeCell<Contents>,
    frame: Frame,
    /// What was current before.
    outer: Cell<*const Frame>,
    /// The one that this thread was in before.
    below: Cell<*const Held>,
}

// SAFETY: but for `task`, which is never written, only the thread that has set `entered` uses what is in it, and the
// last owner.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

thread_local! {
    /// The one that this thread entered last, of those it has not left. It counts in the `Arc`.
    static LAST: Cell<*const Held> = const { Cell::new(ptr::null()) };
}

impl Held {
    pub(crate) fn new(task: TaskId, map: Map) -> Arc<Held> {
        Arc::new(Held {
            task,
            entered: AtomicBool::new(false),
            contents: UnsafeCell::new(Contents::new(map)),
            frame: Frame { task: Some(task), ..Frame::empty() },
            outer: Cell::new(ptr::null()),
            below: Cell::new(ptr::null()),
        })
    }

    /// Makes it the current context of this thread, until [`leave`](Self::leave).
    ///
    /// A task may have been handed to this thread before the one that polled it last is through with the hook after
    /// that poll. It is a moment away from leaving, and waited for.
    pub(crate) fn enter(self: Arc<Self>) {
        if self.is_last() {
            return;
        }
        // Acquire: what was done in it before.
        while self.entered.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        // SAFETY: it is this thread's now, and nothing refers to the contents. They stay in place, since this
        // counts, and the frame is told what is written.
        self.frame.map.set(unsafe { (*self.contents.get()).map.alias() });
        self.frame.contents.set(self.contents.get());
        self.outer.set(CURRENT.replace(&self.frame));
        let this = Arc::into_raw(self);
        // SAFETY: it was just now an `Arc`, whose count it has kept.
        unsafe { &*this }.below.set(LAST.replace(this));
    }

    /// Leaves the context of `task`, if that is the one this thread has entered last: what was current before is so
    /// again. Hands out what counted meanwhile; the last to drop it drops the values.
    pub(crate) fn leave(task: TaskId) -> Option<Arc<Held>> {
        let last = LAST.get();
        // SAFETY: what is there counts.
        let held = unsafe { last.as_ref() }.filter(|held| held.task == task)?;
        CURRENT.set(held.outer.get());
        LAST.set(held.below.get());
        // Release: what was done in it.
        held.entered.store(false, Ordering::Release);
        // SAFETY: it came from `into_raw`, and is there no more.
        Some(unsafe { Arc::from_raw(last) })
    }

    /// Lets go of the values, where this thread is in it. Elsewhere its last owner does.
    ///
    /// The task has ended: it reads nothing any more.
    pub(crate) fn end(self: Arc<Self>) {
        if self.is_last() {
            drop(self.frame.take());
        }
    }

    /// Whether this thread has entered it last.
    fn is_last(&self) -> bool {
        ptr::eq(LAST.get(), self)
    }
}
