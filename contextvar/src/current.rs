//! The current context of a thread.
//!
//! - `frame`: a context while it is current; entering and leaving it, reading and writing it.
//! - `active_read`: reads by reference that have not returned yet.
//! - `thread_context`: a thread's own context, and its end.
//! - `identity`: what tells contexts apart.
//! - `listed`: the contexts that `inspect` lists, while they are current.
//! - `scope`: a value for the time of one call.
//! - `task`: which tokio task the code runs in, and why a write is refused.
//! - `task_context`: the contexts of the tasks of a runtime with hooks.
//!
//! A context that is entered has a [`Frame`] on the stack of the `run` or `poll` that entered it. A
//! thread-local points to the innermost frame. Below all frames is the thread's own context.
//!
//! All code inside a frame can read it. Only the tokio task that entered the frame can write it: other tasks
//! can be polled inside it, and no value may leak from one task to another. Code outside of every frame and
//! every task uses the thread's own context.
#![allow(unsafe_code)]

mod active_read;
mod frame;
mod identity;
#[cfg(feature = "inspect")]
mod listed;
mod scope;
mod task;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
mod task_context;
mod thread_context;

use active_read::{ActiveRead, EndRead};
pub(crate) use frame::{Contents, Frame, Undo, enter};
use frame::{base_frame, innermost_frame, is_sentinel};
use identity::Identity;
#[cfg(feature = "inspect")]
pub(crate) use identity::number_of;
#[cfg(feature = "inspect")]
pub(crate) use listed::{ListedFrame, innermost_entry, innermost_own_entry};
pub(crate) use scope::scope;
pub use task::{LookupErrorKind, WriteErrorKind};
pub(crate) use task::{TaskId, task_id};
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(crate) use task_context::TaskContext;
#[cfg(all(feature = "runtime-hooks", any(feature = "carry", feature = "observe"), tokio_unstable))]
pub(crate) use task_context::discard_panic;
pub(crate) use thread_context::this_thread;

use crate::storage::{self, LookUp, Map, Value, Variable};

/// Calls `f` with the value of `variable` in the current context, or otherwise with what `default` returns. The
/// value stays alive and unchanged while `f` runs.
///
/// Passes the variable's default to `default` if it is known that it has been computed. Calls `on_no_context` if
/// the variable is not set because the code runs without a context.
#[inline]
pub(crate) fn read<T: 'static, R>(
    variable: &'static Variable<T>,
    on_no_context: impl FnOnce(NoContext),
    default: impl FnOnce(Option<&'static T>) -> Option<&'static T>,
    f: impl FnOnce(&T) -> R,
) -> Option<R> {
    let frame = innermost_frame();
    let (frame, value) = 'set: {
        let default = 'unset: {
            match frame.map().look_up(variable) {
                LookUp::Value(value) => match storage::copy_inline(value) {
                    Some(value) => return Some(f(&value)),
                    None => break 'set (frame, value),
                },
                LookUp::Default(value) => break 'unset default(Some(value))?,
                LookUp::Unknown => (),
            }
            match find_further(frame, variable, on_no_context) {
                (frame, Some(value)) => break 'set (frame, value),
                (_, None) => break 'unset default(None)?,
            }
        };
        return Some(f(default));
    };
    // The value that `f` gets does not depend on the frame's map: it is a copy or a default, or else a write gives
    // the map to the active read.
    Some(match storage::copy_inline(value) {
        Some(value) => f(&value),
        None => {
            let read = ActiveRead::new(frame);
            let end = EndRead(&read);
            let result = read.call(|| f(value));
            end.end();
            result
        }
    })
}

/// Why code runs without a context.
pub(crate) enum NoContext {
    /// A tokio task was given none.
    Task,
    /// The context is a copy that was taken where there was none.
    Copy,
    /// A thread's code runs in the thread's own context.
    Thread,
}

/// Calls `f` with the map of the current context. Does not call it if there is no context or if the map was
/// never written. The map stays alive and unchanged while `f` runs.
pub(crate) fn read_map(f: impl FnOnce(&Map)) {
    let frame = if is_sentinel(innermost_frame()) { base_frame(task_id()) } else { Some(innermost_frame()) };
    let Some(frame) = frame.filter(|frame| !frame.map().is_vacant()) else { return };
    // SAFETY: a write gives the map to the active read.
    let map = unsafe { frame.map().alias() };
    let read = ActiveRead::new(frame);
    let end = EndRead(&read);
    read.call(|| f(&map));
    end.end();
}

/// Returns true if `variable` is set in the current context.
#[inline]
pub(crate) fn is_set<T: 'static>(variable: &'static Variable<T>) -> bool {
    let frame = innermost_frame();
    match frame.map().look_up(variable) {
        LookUp::Value(_) => true,
        LookUp::Default(_) => false,
        LookUp::Unknown => find_further(frame, variable, |_| ()).1.is_some(),
    }
}

/// Returns a copy of the current context's map. It is empty and [lost](Map::is_lost) if there is no context.
#[inline]
pub(crate) fn copy_map() -> Map {
    #[cold]
    fn copy_base_map() -> Map {
        let frame =
            if is_sentinel(innermost_frame()) { base_frame(task_id()) } else { Some(innermost_frame()) };
        frame.map_or(Map::LOST, |frame| frame.map().clone())
    }

    let map = innermost_frame().map();
    if map.is_vacant() { copy_base_map() } else { map.clone() }
}

/// Returns the frame that reads use, and the variable's value there, after a look at the root of `innermost`. The
/// value can be used until the frame is written.
#[inline]
fn find_further<'a, T: 'static>(
    innermost: &'a Frame,
    variable: &Variable<T>,
    on_no_context: impl FnOnce(NoContext),
) -> (&'a Frame, Option<&'a T>) {
    match innermost.map().get_below_root(variable) {
        // The sentinel's map is lost, too.
        None if innermost.map().is_lost() => find_in_base(innermost, variable, on_no_context),
        value => (innermost, value),
    }
}

/// Continues after `innermost`, the sentinel or the frame of a lost context, did not have the value.
#[cold]
#[inline(never)]
fn find_in_base<'a, T: 'static>(
    innermost: &'a Frame,
    variable: &Variable<T>,
    on_no_context: impl FnOnce(NoContext),
) -> (&'a Frame, Option<&'a T>) {
    let base = if is_sentinel(innermost) { base_frame(task_id()) } else { Some(innermost) };
    let Some(frame) = base else {
        on_no_context(NoContext::Task);
        return (innermost, None);
    };
    let value = frame.map().get(variable);
    if value.is_none() {
        if frame.map().is_lost() {
            on_no_context(NoContext::Copy);
        } else if frame.task().is_none() {
            on_no_context(NoContext::Thread);
        }
    }
    (frame, value)
}

/// Returns true if this thread has entered no context.
#[cfg(feature = "python")]
pub(crate) fn is_outside_of_contexts() -> bool {
    is_sentinel(innermost_frame())
}

/// Returns the reason why a variable has no value in the current context.
#[cold]
pub(crate) fn lookup_error_kind() -> LookupErrorKind {
    let frame = innermost_frame();
    match if is_sentinel(frame) { base_frame(task_id()) } else { Some(frame) } {
        None => LookupErrorKind::NoContext,
        Some(frame) if frame.map().is_lost() => LookupErrorKind::LostContext,
        Some(frame) if frame.task() != task_id() => LookupErrorKind::OtherTask,
        Some(frame) if thread_context::owns(frame) && !thread_context::ensure_cleared_at_exit() => {
            LookupErrorKind::ThreadExit
        }
        Some(_) => LookupErrorKind::NotSet,
    }
}

/// Returns the frame that writes change, or the reason why there is none.
#[inline]
pub(crate) fn writable_frame<'a>() -> Result<&'a Frame, &'static WriteErrorKind> {
    writable_frame_in(task_id())
}

/// Does what [`writable_frame`] does. `task` is the task that this code runs in.
#[inline]
fn writable_frame_in<'a>(task: Option<TaskId>) -> Result<&'a Frame, &'static WriteErrorKind> {
    #[cold]
    fn other_frame<'a>(frame: &Frame, task: Option<TaskId>) -> Result<&'a Frame, &'static WriteErrorKind> {
        if !is_sentinel(frame) {
            return Err(&WriteErrorKind::OtherTask);
        }
        match base_frame(task) {
            None => Err(&WriteErrorKind::NoContext),
            Some(frame) if frame.task() != task => Err(&WriteErrorKind::OtherTask),
            Some(frame) if thread_context::owns(frame) && !thread_context::ensure_cleared_at_exit() => {
                Err(&WriteErrorKind::ThreadExit)
            }
            Some(frame) => Ok(frame),
        }
    }

    let frame = innermost_frame();
    if !is_sentinel(frame) && frame.task() == task { Ok(frame) } else { other_frame(frame, task) }
}

/// Returns the frame that a `set` changes, and the identity of its context; or the reason why there is none. Calls
/// `on_watched` if another task made the context for this one, and there is a reporter.
#[inline(always)]
fn frame_for_set<'a>(on_watched: impl FnOnce()) -> Result<(&'a Frame, Identity), &'static WriteErrorKind> {
    // The errors are references, so that the result fits into registers.
    #[cold]
    #[inline(never)]
    fn other_frame<'a>(task: Option<TaskId>) -> Result<&'a Frame, &'static WriteErrorKind> {
        writable_frame_in(task)
    }

    #[cold]
    #[inline(never)]
    fn assign_identity(frame: &Frame, on_watched: impl FnOnce()) {
        frame.assign_identity(on_watched);
    }

    let frame = innermost_frame();
    let task = task_id();
    if frame.task() == task {
        // The sentinel has no identity.
        if let Some(identity) = frame.plain_identity() {
            return Ok((frame, identity));
        }
    }
    let frame = other_frame(task)?;
    assign_identity(frame, on_watched);
    Ok((frame, frame.identity().expect("assigned")))
}

/// Sets `variable`. Returns the value and the reason if it cannot be set. `on_watched` is as in [`frame_for_set`].
#[inline(always)]
pub(crate) fn set<T: 'static>(
    variable: &'static Variable<T>,
    value: T,
    on_watched: impl FnOnce(),
) -> Result<Undo<T>, (WriteErrorKind, T)> {
    match frame_for_set(on_watched) {
        Ok((frame, identity)) => Ok(frame.set(variable, Value::new(variable, value), identity)),
        Err(kind) => Err((*kind, value)),
    }
}

/// Sets `variable` and returns the old value. Returns the value and the reason if it cannot be set.
#[cfg(feature = "tower")]
#[inline]
pub(crate) fn put<T: 'static>(
    variable: &'static Variable<T>,
    value: T,
) -> Result<Option<Value<T>>, (WriteErrorKind, T)> {
    match writable_frame() {
        Ok(frame) => Ok(frame.put(variable, Value::new(variable, value))),
        Err(kind) => Err((*kind, value)),
    }
}

/// Undoes a `set` of `variable`. Returns `undo` if another context is current, or if the current one cannot be
/// written.
#[inline(always)]
pub(crate) fn reset<T: 'static>(variable: &'static Variable<T>, undo: Undo<T>) -> Result<(), Undo<T>> {
    #[cold]
    #[inline(never)]
    fn reset_in_other_frame<T: 'static>(
        variable: &'static Variable<T>,
        undo: Undo<T>,
    ) -> Result<(), Undo<T>> {
        match writable_frame() {
            Ok(frame) if frame.is_origin_of(&undo) => {
                frame.reset(variable, undo);
                Ok(())
            }
            _ => Err(undo),
        }
    }

    let frame = innermost_frame();
    // Not the sentinel, which has no identity.
    if frame.is_origin_of(&undo) && frame.task() == task_id() {
        frame.reset(variable, undo);
        Ok(())
    } else {
        reset_in_other_frame(variable, undo)
    }
}

/// Aborts the process: code left a context, or a read returned, before another one that began later.
///
/// Frames and active reads end in the reverse order of their beginning, as calls on one stack do. Coroutines
/// with stacks of their own that share a thread can break that order. If the process went on, a pointer to a
/// freed frame or value would remain.
#[cold]
fn abort_on_out_of_order_exit() -> ! {
    eprintln!(
        "contextvar: a context or a value was left out of order by a coroutine with a stack of its own, which had been \
         suspended inside `Context::run` or `ContextVar::with`; end such calls before you suspend the coroutine"
    );
    std::process::abort();
}
