//! The contexts of tasks whose runtime has hooks. The hooks enter and leave them before and after each poll.

mod ownership;

use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::Arc;

use ownership::Ownership;

use super::abort_on_out_of_order_exit;
use super::active_read::ActiveRead;
use super::frame::{Contents, Frame, enter, enter_sentinel, innermost, is_sentinel};
#[cfg(feature = "inspect")]
use super::listed;
use super::task::{TaskId, task_id};
#[cfg(feature = "inspect")]
use crate::inspect::Entry;
use crate::storage::Map;

/// The context of a task. It is the current context while tokio reports that its task is the current task.
///
/// No lock guards the contents. tokio makes a task current on one thread at a time, to poll it or to drop its
/// future or its output, and each such period happens before the next one. So code of the current task can
/// use the contents, and becomes their owner: see [`Ownership`]. Hooks run outside of the task. On the
/// owner's thread they can use the contents; on other threads they use the map that was published last.
///
/// A thread can have an entry for a task whose poll has ended: from the end of the poll to the hook after it;
/// or longer, if that hook never runs because a panic left the poll or because another hook replaced it. Such
/// a stale entry has no effect while its task is not the current one. The next poll on that thread discards
/// it.
pub(crate) struct TaskContext {
    task: TaskId,
    ownership: Ownership,
    contents: UnsafeCell<Contents>,
    frame: Frame,
    /// The entry of the contents' listing.
    #[cfg(feature = "inspect")]
    entry: Option<Arc<Entry>>,
}

// SAFETY: `task` and `ownership` can be shared. The other fields are used by code of the current task, by
// hooks on the owner's thread while the owner cannot change, as described above, and by the drop of the last
// `Arc`.
unsafe impl Send for TaskContext {}
// SAFETY: as above.
unsafe impl Sync for TaskContext {}

/// The task contexts that a thread has entered and not left, the innermost last.
#[derive(Default)]
struct EnteredContexts(RefCell<Vec<Entered>>);

struct Entered {
    context: Arc<TaskContext>,
    /// The frame that was innermost before.
    outer: *const Frame,
    /// The entry of the listed context that was innermost before.
    #[cfg(feature = "inspect")]
    outer_entry: *const Entry,
}

thread_local! {
    static ENTERED: EnteredContexts = EnteredContexts::default();

    /// The context of the last entry, or null. The entry keeps it alive.
    static TOP: Cell<*const TaskContext> = const { Cell::new(ptr::null()) };
}

impl TaskContext {
    /// Makes a context with these contents. If the user has hooks, publishes the map for them.
    pub(crate) fn new(task: TaskId, contents: Contents, has_hooks: bool) -> Arc<TaskContext> {
        let context = Arc::new(TaskContext {
            task,
            ownership: Ownership::new(has_hooks.then(|| contents.map.clone())),
            #[cfg(feature = "inspect")]
            entry: contents.listing.entry().cloned(),
            contents: UnsafeCell::new(contents),
            frame: Frame::of_task(task),
        });
        let contents = context.contents.get();
        // SAFETY: no other code uses the contents yet. They stay in this allocation together with the frame,
        // and each write that moves the map's root updates the frame.
        context.frame.set_map(unsafe { (*contents).map.alias() });
        context.frame.set_contents(contents);
        context
    }

    /// Makes this the context of the poll that is about to begin on this thread, until
    /// [`leave`](Self::leave). Touches only this thread's entries, not the contents: tokio can still decide
    /// not to poll the task.
    ///
    /// Does nothing on a thread that is exiting: the task has no context there.
    pub(crate) fn enter(self: Arc<Self>) {
        let stale = discard_stale(task_id());
        let _ = ENTERED.try_with(|entered| {
            TOP.set(&raw const *self);
            let outer = enter_sentinel();
            #[cfg(feature = "inspect")]
            let outer_entry =
                self.entry.as_ref().map_or(ptr::null(), |entry| listed::enter_in_hook(entry, self.task));
            entered.0.borrow_mut().push(Entered {
                context: self,
                outer,
                #[cfg(feature = "inspect")]
                outer_entry,
            });
        });
        drop(stale);
    }

    /// Leaves the context of `task`, if this thread has entered it, and returns the `Arc` that kept it alive.
    /// The frame that was innermost before is innermost again.
    pub(crate) fn leave(task: TaskId) -> Option<Arc<TaskContext>> {
        if TOP.get().is_null() {
            return None;
        }
        drop(discard_stale(Some(task)));
        let leave = |entered: &EnteredContexts| {
            let mut entries = entered.0.borrow_mut();
            let index = entries.iter().rposition(|entry| entry.context.task == task)?;
            if index + 1 != entries.len() {
                // A frame is above the entries of polls that have ended.
                abort_on_out_of_order_exit();
            }
            Some(pop(&mut entries))
        };
        ENTERED.try_with(leave).ok()?
    }

    /// Returns the frame. The caller has checked that this is the context of the current task.
    #[inline]
    fn frame_of_current_task(&self) -> Option<*const Frame> {
        self.ownership.acquire().then_some(&raw const self.frame)
    }

    /// Runs `f` in a copy of this context that `f` cannot write. If the last poll ran on this thread, the
    /// copy has the context's present values. Otherwise it has those that a hook last published on the
    /// owner's thread. Call it outside of the task.
    pub(crate) fn run_in_copy(&self, f: impl FnOnce()) {
        /// Drops the copy in the same way as the context itself, also on a panic.
        struct DropInEmptyContext<'a>(&'a TaskContext, Map);

        impl Drop for DropInEmptyContext<'_> {
            fn drop(&mut self) {
                self.0.drop_values(mem::take(&mut self.1));
            }
        }

        let copy = DropInEmptyContext(self, self.publish());
        enter(&mut Contents::new(copy.1.clone()), Some(self.task), f);
    }

    /// Publishes the map if this thread is the owner. Returns the published map.
    fn publish(&self) -> Map {
        let (map, replaced) = self.ownership.publish(|| self.frame.map().clone());
        if let Some(replaced) = replaced {
            self.drop_values(replaced);
        }
        map
    }

    /// Drops the values of a task that has ended if the task's last poll was on this thread. Otherwise the
    /// last `Arc` drops them.
    pub(crate) fn end(&self) {
        if self.ownership.end() {
            if ActiveRead::is_active_in(&self.frame) {
                abort_on_out_of_order_exit();
            }
            self.drop_values(self.frame.take_map());
        }
        if let Some(map) = self.ownership.take_published() {
            self.drop_values(map);
        }
    }

    /// Drops values in an empty context, so that no other code sees what their destructors set.
    fn drop_values<T>(&self, values: T) {
        enter(&mut Contents::new(Map::EMPTY), Some(self.task), || discard_panic(|| drop(values)));
    }
}

/// Runs `f` and discards a panic: no caller could handle it, and the panic hook has already run.
pub(crate) fn discard_panic(f: impl FnOnce()) {
    drop(panic::catch_unwind(AssertUnwindSafe(f)));
}

impl Drop for TaskContext {
    fn drop(&mut self) {
        // The listing has a copy of the map.
        let contents = mem::replace(self.contents.get_mut(), Contents::new(Map::EMPTY));
        self.drop_values(contents);
        if let Some(map) = self.ownership.take_published_mut() {
            self.drop_values(map);
        }
    }
}

impl Drop for EnteredContexts {
    fn drop(&mut self) {
        TOP.set(ptr::null());
        #[cfg(feature = "inspect")]
        listed::forget();
        let entries = mem::take(self.0.get_mut());
        // A coroutine may be suspended in a read on a stack of its own, which outlives the thread.
        if ActiveRead::is_any_active() {
            mem::forget(entries);
        }
    }
}

/// Returns the frame that the sentinel stands for on this thread: that of the current task's context, or the
/// one that was innermost before the stale entries were made. `None` if there is no such frame.
#[inline]
pub(super) fn frame_behind_sentinel(task: Option<TaskId>) -> Option<*const Frame> {
    // SAFETY: its entry keeps it alive.
    let top = unsafe { TOP.get().as_ref() }?;
    if Some(top.task) == task { top.frame_of_current_task() } else { frame_behind_stale(task) }
}

#[cold]
fn frame_behind_stale(task: Option<TaskId>) -> Option<*const Frame> {
    let find = |entered: &EnteredContexts| {
        let entries = entered.0.borrow();
        if task.is_some_and(|task| entries.iter().all(|entry| entry.context.task != task)) {
            // A task that was not entered, such as one of a `LocalSet`. Entries of tasks around it are not
            // stale.
            return None;
        }
        for entry in entries.iter().rev() {
            if Some(entry.context.task) == task {
                return entry.context.frame_of_current_task();
            }
            // A read that begins now would hide one that a coroutine is suspended in.
            if ActiveRead::is_active_in(&entry.context.frame) {
                abort_on_out_of_order_exit();
            }
            if !is_sentinel(entry.outer) {
                return Some(entry.outer);
            }
        }
        None
    };
    ENTERED.try_with(find).ok()?
}

/// Removes the entries of polls that have ended, with `task` as the current task. Called before a poll and
/// when one is left.
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

/// Removes the stale entries that were made since `frame` was innermost.
#[cold]
pub(super) fn discard_above(frame: &Frame) -> Vec<Arc<TaskContext>> {
    let task = task_id();
    discard_while(|entries| {
        let is_current_task = entries.last().is_some_and(|entry| Some(entry.context.task) == task);
        !is_current_task && !ptr::eq(innermost(|it| it.frame.get()), frame)
    })
}

/// Removes entries while `is_stale` returns true and no frame is above them.
fn discard_while(is_stale: impl Fn(&[Entered]) -> bool) -> Vec<Arc<TaskContext>> {
    let discard = |entered: &EnteredContexts| {
        let mut entries = entered.0.borrow_mut();
        let mut stale = Vec::new();
        while !entries.is_empty() && is_sentinel(innermost(|it| it.frame.get())) && is_stale(&entries) {
            stale.push(pop(&mut entries));
        }
        stale
    };
    ENTERED.try_with(discard).unwrap_or_default()
}

/// Removes the innermost entry, of a poll that has ended.
fn pop(entries: &mut Vec<Entered>) -> Arc<TaskContext> {
    let entered = entries.pop().expect("the caller has found an entry");
    let (context, outer) = (entered.context, entered.outer);
    // A poll leaves the contexts that it enters and ends the reads that it begins. Only a coroutine with a
    // stack of its own can be suspended inside.
    if !is_sentinel(innermost(|it| it.frame.get())) || ActiveRead::is_active_in(&context.frame) {
        abort_on_out_of_order_exit();
    }
    innermost(|it| it.frame.set(outer));
    #[cfg(feature = "inspect")]
    if let Some(entry) = &context.entry {
        listed::leave_in_hook(entry, entered.outer_entry);
    }
    TOP.set(entries.last().map_or(ptr::null(), |entry| Arc::as_ptr(&entry.context)));
    context
}
