//! Contexts of whole tasks, for runtimes that enter and leave them by hooks before and after each poll.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Contents, Frame, OUTSIDE, Reading, TaskId, abort_on_suspended_coroutine, enter_for, innermost,
    is_outside, task_id, this_thread,
};
use crate::storage::Map;

/// The context of a task, which is current while tokio says that the task is.
///
/// Only the thread that polls the task uses the map: tokio polls a task on one thread at a time, and all that happened
/// in a poll happened before the next one. A thread can have an entry for a task whose poll is over: from the end of the
/// poll to the hook after it; or for longer, if that hook is never called because a panic left the poll or because
/// another hook took its place. Such a stale entry has no effect, since its task is not the current one. The next poll on
/// that thread discards it.
pub(crate) struct TaskContext {
    task: TaskId,
    /// The [number](this_thread) of the thread that entered it last.
    polled_by: AtomicUsize,
    contents: UnsafeCell<Contents>,
    frame: Frame,
    /// The map at the start of the last poll. Only where a hook of the user's runs after each poll: another thread may
    /// have begun the next poll by then.
    start_of_poll: Option<Mutex<Map>>,
}

// SAFETY: `task`, the atomic and the mutex can be shared. All else is used by the thread that polls the task, as
// described above, and by the last owner.
unsafe impl Send for TaskContext {}
// SAFETY: as above.
unsafe impl Sync for TaskContext {}

/// The task contexts that a thread has entered and not left, the innermost last.
#[derive(Default)]
struct Entered(RefCell<Vec<Entry>>);

struct Entry {
    context: Arc<TaskContext>,
    /// The frame that was current before.
    outer: *const Frame,
}

thread_local! {
    static ENTERED: Entered = Entered::default();

    /// The last entry's context, or null. The entry keeps it alive.
    static TOP: Cell<*const TaskContext> = const { Cell::new(ptr::null()) };
}

impl TaskContext {
    /// Makes a context with the values of `map`. A runtime that calls [`run_after_poll`](Self::run_after_poll) says so.
    pub(crate) fn new(task: TaskId, map: Map, runs_after_poll: bool) -> Arc<TaskContext> {
        let context = Arc::new(TaskContext {
            task,
            polled_by: AtomicUsize::new(0),
            contents: UnsafeCell::new(Contents::new(map)),
            frame: Frame { task: Some(task), ..Frame::empty() },
            start_of_poll: runs_after_poll.then(Mutex::default),
        });
        let contents = context.contents.get();
        // SAFETY: nothing else uses the contents yet. They stay in this allocation, together with the frame, and each
        // write updates the frame.
        context.frame.map.set(unsafe { (*contents).map.alias() });
        context.frame.contents.set(contents);
        context
    }

    /// Makes this the context of the poll that is about to begin on this thread, until [`leave`](Self::leave).
    ///
    /// Does nothing on a thread that is exiting: the task has no context there.
    pub(crate) fn enter(self: Arc<Self>) {
        let stale = discard_stale(task_id());
        if let Some(start_of_poll) = &self.start_of_poll {
            let mut map = lock(start_of_poll);
            let before = mem::replace(&mut *map, self.frame.map().clone());
            self.polled_by.store(this_thread(), Ordering::Relaxed);
            drop(map);
            drop(before);
        } else {
            self.polled_by.store(this_thread(), Ordering::Relaxed);
        }
        let _ = ENTERED.try_with(|entered| {
            TOP.set(&raw const *self);
            let outer = innermost(|it| it.frame.replace(&raw const OUTSIDE.0));
            entered.0.borrow_mut().push(Entry { context: self, outer });
        });
        drop(stale);
    }

    /// Leaves the context of `task`, if this thread has entered it, and hands out what kept it alive. The frame that was
    /// current before is current again.
    pub(crate) fn leave(task: TaskId) -> Option<Arc<TaskContext>> {
        if TOP.get().is_null() {
            return None;
        }
        drop(discard_stale(Some(task)));
        let leave = |entered: &Entered| {
            let mut entries = entered.0.borrow_mut();
            let index = entries.iter().rposition(|entry| entry.context.task == task)?;
            if index + 1 != entries.len() {
                // A frame stands above the entries of polls that are over.
                abort_on_suspended_coroutine();
            }
            Some(pop(&mut entries))
        };
        ENTERED.try_with(leave).ok()?
    }

    /// Runs `f` in a copy of this context that it cannot write. Only for the thread that is about to poll the task, or
    /// that has seen it end.
    pub(crate) fn run_in_copy(&self, f: impl FnOnce()) {
        self.run_in(self.frame.map().clone(), f);
    }

    /// Runs `f` in a copy of this context, as the poll has left it that has just ended on this thread. `f` cannot write
    /// the copy.
    pub(crate) fn run_after_poll(&self, f: impl FnOnce()) {
        let map = self.start_of_poll.as_ref().map(|start_of_poll| {
            let start_of_next = lock(start_of_poll);
            // Another thread that polls the task next must take the lock before it can write.
            let has_next = self.polled_by.load(Ordering::Relaxed) != this_thread();
            if has_next { start_of_next.clone() } else { self.frame.map().clone() }
        });
        self.run_in(map.unwrap_or_default(), f);
    }

    fn run_in(&self, map: Map, f: impl FnOnce()) {
        enter_for(&mut Contents::new(map), Some(self.task), f);
    }

    /// Drops the values, if the poll that ends the task is still under way on this thread. Otherwise the last owner drops
    /// them.
    pub(crate) fn clear(&self) {
        if ptr::eq(TOP.get(), self) && self.polled_by.load(Ordering::Relaxed) == this_thread() {
            if Reading::is_under_way_in(&self.frame) {
                abort_on_suspended_coroutine();
            }
            self.drop_values(self.frame.take());
        }
    }

    /// Drops values in an empty context, so that what their destructors set is not seen elsewhere.
    fn drop_values(&self, map: Map) {
        self.run_in(Map::EMPTY, || discard_panic(|| drop(map)));
    }
}

/// Runs `f` and discards a panic: no caller could handle it, and the panic hook has already run.
pub(crate) fn discard_panic(f: impl FnOnce()) {
    drop(panic::catch_unwind(AssertUnwindSafe(f)));
}

impl Drop for TaskContext {
    fn drop(&mut self) {
        let map = mem::take(&mut self.contents.get_mut().map);
        self.drop_values(map);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        TOP.set(ptr::null());
        let entries = mem::take(self.0.get_mut());
        // A coroutine may be suspended in a read on a stack of its own, which outlives the thread.
        if Reading::is_any_under_way() {
            mem::forget(entries);
        }
    }
}

/// Returns the frame that stands behind [`OUTSIDE`] on this thread: that of the current task's context; or, if no task is
/// current, the one that was current before the stale entries were made. `None` if there is no such frame.
#[inline]
pub(super) fn behind_outside(task: Option<TaskId>) -> Option<*const Frame> {
    // SAFETY: its entry keeps it alive.
    let top = unsafe { TOP.get().as_ref() }?;
    if Some(top.task) == task { top.frame_if_polled_here() } else { behind_stale(task) }
}

#[cold]
fn behind_stale(task: Option<TaskId>) -> Option<*const Frame> {
    ENTERED
        .try_with(|entered| {
            let entries = entered.0.borrow();
            let index = task.map(|task| entries.iter().rposition(|entry| entry.context.task == task));
            let (stale, frame) = match index {
                // A task that was not entered, such as one of a `LocalSet`. The entries may not be stale.
                Some(None) => return None,
                Some(Some(index)) => (&entries[index + 1..], entries[index].context.frame_if_polled_here()),
                None => {
                    let outer = entries.first()?.outer;
                    (&entries[..], (!ptr::eq(outer, &raw const OUTSIDE.0)).then_some(outer))
                }
            };
            // A reading that begins now would hide theirs.
            if stale.iter().any(|entry| Reading::is_under_way_in(&entry.context.frame)) {
                abort_on_suspended_coroutine();
            }
            frame
        })
        .ok()?
}

impl TaskContext {
    /// The task may also be current because its output is dropped elsewhere, after its last poll.
    #[inline]
    fn frame_if_polled_here(&self) -> Option<*const Frame> {
        (self.polled_by.load(Ordering::Relaxed) == this_thread()).then_some(&raw const self.frame)
    }
}

/// Removes the entries of polls that are over, where `task` is current. To be called before a poll.
#[inline]
fn discard_stale(task: Option<TaskId>) -> Vec<Arc<TaskContext>> {
    #[cold]
    fn discard(task: Option<TaskId>) -> Vec<Arc<TaskContext>> {
        discard_while(|entries| {
            let keep = match task {
                None => 0,
                Some(task) => match entries.iter().rposition(|entry| entry.context.task == task) {
                    Some(index) => index + 1,
                    None => entries.len(),
                },
            };
            entries.len() > keep
        })
    }

    // SAFETY: its entry keeps it alive.
    match unsafe { TOP.get().as_ref() } {
        Some(top) if Some(top.task) != task => discard(task),
        _ => Vec::new(),
    }
}

/// Removes the entries that were made since `frame` was current, all of which are stale. Returns `None` if `frame` does
/// not become current by that.
#[cold]
pub(super) fn discard_above(frame: &Frame) -> Option<Vec<Arc<TaskContext>>> {
    let stale = discard_while(|_| !ptr::eq(innermost(|it| it.frame.get()), frame));
    ptr::eq(innermost(|it| it.frame.get()), frame).then_some(stale)
}

/// Removes entries while `is_stale` returns true and no frame stands above them.
fn discard_while(is_stale: impl Fn(&[Entry]) -> bool) -> Vec<Arc<TaskContext>> {
    let discard = |entered: &Entered| {
        let mut entries = entered.0.borrow_mut();
        let mut stale = Vec::new();
        while !entries.is_empty() && is_outside(innermost(|it| it.frame.get())) && is_stale(&entries) {
            stale.push(pop(&mut entries));
        }
        stale
    };
    ENTERED.try_with(discard).unwrap_or_default()
}

/// Removes the innermost entry, of a poll that is over.
fn pop(entries: &mut Vec<Entry>) -> Arc<TaskContext> {
    let Entry { context, outer } = entries.pop().expect("the caller has found an entry");
    // What a poll enters and reads, it leaves: only a coroutine on a stack of its own can stay in there.
    if !is_outside(innermost(|it| it.frame.get())) || Reading::is_under_way_in(&context.frame) {
        abort_on_suspended_coroutine();
    }
    innermost(|it| it.frame.set(outer));
    TOP.set(entries.last().map_or(ptr::null(), |entry| Arc::as_ptr(&entry.context)));
    context
}

fn lock(map: &Mutex<Map>) -> impl std::ops::DerefMut<Target = Map> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
