//! The current context of a thread.
//!
//! - `frame`: a context while it is current; entering and leaving it, reading and writing it.
//! - `active_read`: reads by reference that have not returned yet.
//! - `thread_context`: a thread's own context, and its end.
//! - `identity`: what tells contexts apart.
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
mod task;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
mod task_context;
mod thread_context;

use active_read::{ActiveRead, EndRead};
pub(crate) use frame::{Contents, Frame, Undo, enter};
use frame::{base_frame, innermost_frame, is_sentinel};
pub use task::{LookupErrorKind, WriteErrorKind};
pub(crate) use task::{TaskId, task_id};
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(crate) use task_context::TaskContext;
#[cfg(all(feature = "runtime-hooks", any(feature = "carry", feature = "observe"), tokio_unstable))]
pub(crate) use task_context::discard_panic;
pub(crate) use thread_context::this_thread;

use crate::storage::{self, Map, Variable};

/// Calls `f` with the value of `variable` in the current context, or otherwise with the value that `default`
/// returns. The value stays alive and unchanged while `f` runs.
///
/// Calls `on_no_context` if the variable is not set because the code runs without a context.
#[inline]
pub(crate) fn read<T: 'static, R>(
    variable: &Variable<T>,
    on_no_context: impl FnOnce(NoContext),
    default: impl FnOnce() -> Option<&'static T>,
    f: impl FnOnce(&T) -> R,
) -> Option<R> {
    let (frame, value) = find(variable, on_no_context);
    // The value that `f` gets does not depend on the frame's map: it is a default or a copy, or else a write
    // gives the map to the active read.
    Some(match value {
        None => f(default()?),
        Some(value) => match storage::copy_inline(value) {
            Some(value) => f(&value),
            None => {
                let read = ActiveRead::new(frame);
                let end = EndRead(&read);
                let result = read.call(|| f(value));
                end.end();
                result
            }
        },
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
    let frame = if is_sentinel(innermost_frame()) { base_frame() } else { Some(innermost_frame()) };
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
pub(crate) fn is_set<T: 'static>(variable: &Variable<T>) -> bool {
    find(variable, |_| ()).1.is_some()
}

/// Returns a copy of the current context's map. It is empty and [lost](Map::is_lost) if there is no context.
#[inline]
pub(crate) fn copy_map() -> Map {
    #[cold]
    fn copy_base_map() -> Map {
        let frame = if is_sentinel(innermost_frame()) { base_frame() } else { Some(innermost_frame()) };
        frame.map_or(Map::LOST, |frame| frame.map().clone())
    }

    let map = innermost_frame().map();
    if map.is_vacant() { copy_base_map() } else { map.clone() }
}

/// Returns the frame that reads use, and the variable's value there. The value can be used until the frame is
/// written.
#[inline]
fn find<'a, T: 'static>(
    variable: &Variable<T>,
    on_no_context: impl FnOnce(NoContext),
) -> (&'a Frame, Option<&'a T>) {
    /// Continues after the innermost frame, the sentinel or that of a lost context, did not have the value.
    #[cold]
    fn find_further<'a, T: 'static>(
        frame: &'a Frame,
        variable: &Variable<T>,
        on_no_context: impl FnOnce(NoContext),
    ) -> (&'a Frame, Option<&'a T>) {
        let base = if is_sentinel(frame) { base_frame() } else { Some(frame) };
        let Some(frame) = base else {
            on_no_context(NoContext::Task);
            return (frame, None);
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

    let frame = innermost_frame();
    match frame.map().get_or_is_lost(variable) {
        Ok(value) => (frame, Some(value)),
        // The sentinel's map is lost, too.
        Err(true) => find_further(frame, variable, on_no_context),
        Err(false) => (frame, None),
    }
}

/// Returns the reason why a variable has no value in the current context.
#[cold]
pub(crate) fn lookup_error_kind() -> LookupErrorKind {
    let frame = innermost_frame();
    match if is_sentinel(frame) { base_frame() } else { Some(frame) } {
        None => LookupErrorKind::NoContext,
        Some(frame) if frame.map().is_lost() => LookupErrorKind::LostContext,
        Some(frame) if frame.task() != task_id() => LookupErrorKind::OtherTask,
        Some(frame) if thread_context::owns(frame) && !thread_context::ensure_cleared_at_exit() => {
            LookupErrorKind::ThreadExit
        }
        Some(_) => LookupErrorKind::NotSet,
    }
}

/// Calls `f` with the frame that writes change, or with the reason why there is none.
#[inline(always)]
pub(crate) fn write<R>(f: impl FnOnce(Result<&Frame, WriteErrorKind>) -> R) -> R {
    #[cold]
    fn other_frame<'a>(frame: &Frame) -> Result<&'a Frame, &'static WriteErrorKind> {
        if !is_sentinel(frame) {
            return Err(&WriteErrorKind::OtherTask);
        }
        match base_frame() {
            None => Err(&WriteErrorKind::NoContext),
            Some(frame) if frame.task() != task_id() => Err(&WriteErrorKind::OtherTask),
            Some(frame) if thread_context::owns(frame) && !thread_context::ensure_cleared_at_exit() => {
                Err(&WriteErrorKind::ThreadExit)
            }
            Some(frame) => Ok(frame),
        }
    }

    let frame = innermost_frame();
    let frame = if !is_sentinel(frame) && frame.task() == task_id() { Ok(frame) } else { other_frame(frame) };
    // Two calls, so that the compiler specializes `f` for each.
    match frame {
        Ok(frame) => f(Ok(frame)),
        Err(kind) => f(Err(*kind)),
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
