//! Wraps the work that [`task`](crate::task), [`thread`](crate::thread) and others start, so that it inherits the
//! current context and, with feature `carry`, the ambient values of other libraries.

#[cfg(feature = "carry")]
use crate::carry::Bound;
#[cfg(feature = "carry")]
pub(crate) use crate::carry::Carried;
#[cfg(feature = "tokio")]
use crate::context::Context;
use crate::context::inherit_context;
#[cfg(feature = "tokio")]
use crate::current::task_id;
use crate::hand_over::{Kind, Place};
use crate::scoped::Scoped;

/// Wraps a future or a stream for another task, or a closure for another thread.
#[inline]
#[cfg_attr(feature = "inspect", track_caller)]
pub(crate) fn scope<F>(kind: Kind, work: F) -> Scoped<F> {
    scope_from(kind, Place::here(), work)
}

/// Does what [`scope`] does. `place` is where the work is handed over.
#[inline]
pub(crate) fn scope_from<F>(kind: Kind, place: Place, work: F) -> Scoped<F> {
    let context = inherit_context().hand_over(kind, place);
    Scoped::carrying(context, Carried::capture(), work)
}

/// Wraps a closure for another thread.
#[cfg(any(feature = "carry", feature = "tokio"))]
#[inline]
#[cfg_attr(feature = "inspect", track_caller)]
pub(crate) fn closure<R>(kind: Kind, f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let scope = scope_closure(kind, f);
    move || scope.call(|f| f())
}

/// Wraps the closure of a new thread, which calls the closure outside of all tasks.
#[inline]
#[cfg_attr(feature = "inspect", track_caller)]
pub(crate) fn thread_main<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let scope = scope_closure(Kind::Thread, f);
    // Asking tokio for the task would initialize a thread-local with a destructor.
    move || {
        let (result, context) = scope.call_in_task(None, |f| f());
        drop(context);
        result
    }
}

/// Wraps a closure for another thread. The closure returns its context as well.
#[cfg(feature = "tokio")]
#[cfg_attr(feature = "inspect", track_caller)]
pub(crate) fn closure_returning_context<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> (R, Context) {
    let scope = scope_closure(Kind::BlockingCall, f);
    move || {
        let (result, mut context) = scope.call_in_task(task_id(), |f| f());
        context.unlist();
        (result, context)
    }
}

#[inline(always)]
#[cfg_attr(feature = "inspect", track_caller)]
fn scope_closure<R>(kind: Kind, f: impl FnOnce() -> R) -> Scoped<impl FnOnce() -> R> {
    let context = inherit_context().hand_over(kind, Place::here());
    #[cfg(feature = "carry")]
    let f = {
        let bound = Bound::new(f);
        || bound.call()
    };
    Scoped::new(context, f)
}

/// The ambient values that work carries along: none without feature `carry`.
#[cfg(not(feature = "carry"))]
#[derive(Clone, Default)]
pub(crate) struct Carried;

#[cfg(not(feature = "carry"))]
impl Carried {
    pub(crate) const NOTHING: Carried = Carried;

    #[inline]
    fn capture() -> Carried {
        Carried
    }

    #[inline]
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    #[inline]
    pub(crate) fn run_drop(&self, drop_work: impl FnOnce()) {
        drop_work();
    }

    #[inline]
    pub(crate) fn clear(&mut self) {}
}
