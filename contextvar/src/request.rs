//! Which code runs inside a request that a service of this crate has given a context.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll};

use http::Response;
use pin_project_lite::pin_project;

use crate::context::{Context, copy_context};
use crate::current::{TaskId, task_id};
use crate::inherit::Carried;
use crate::scoped::Scoped;

thread_local! {
    /// The task that runs a request on this thread: `Some(None)` for code of no task, `None` outside of a
    /// request.
    static REQUEST_TASK: Cell<Option<Option<TaskId>>> = const { Cell::new(None) };
}

/// Returns true if this task runs a request.
#[cfg(feature = "report")]
pub(crate) fn is_in_request() -> bool {
    REQUEST_TASK.get() == Some(task_id())
}

/// Makes [`is_in_request`] true for the current task until it is dropped.
pub(crate) struct InRequest {
    task: Option<TaskId>,
    outer: Option<Option<TaskId>>,
}

impl InRequest {
    #[inline]
    pub(crate) fn enter() -> Self {
        let task = task_id();
        InRequest { task, outer: REQUEST_TASK.replace(Some(task)) }
    }

    /// Returns the context that the request starts in: a copy of the current one if `copies_current` is true or if
    /// the request is inside another one, and otherwise an empty one.
    #[inline]
    pub(crate) fn new_context(&self, copies_current: bool) -> Context {
        if copies_current || self.outer == Some(self.task) { copy_context() } else { Context::new() }
    }

    /// Runs `f` in the request's context, inside the ambient values that are `carried`.
    #[inline]
    pub(crate) fn run<R>(&self, context: &mut Context, carried: &Carried, f: impl FnOnce() -> R) -> R {
        context.run_in_task(self.task, || carried.run(f))
    }
}

impl Drop for InRequest {
    #[inline]
    fn drop(&mut self) {
        REQUEST_TASK.set(self.outer);
    }
}

pin_project! {
    /// Runs the future of a response in a request's context. The response's body runs in the same context.
    pub struct RequestFuture<F> {
        #[pin]
        scope: Scoped<F>,
    }
}

impl<F> fmt::Debug for RequestFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFuture").field("future", &self.scope).finish_non_exhaustive()
    }
}

impl<F> RequestFuture<F> {
    #[inline]
    pub(crate) fn new(context: Context, carried: Carried, future: F) -> Self {
        RequestFuture { scope: Scoped::carrying(context, carried, future) }
    }

    /// Does what `poll` does, and calls `finish` with the response, in the request's context.
    #[inline]
    pub(crate) fn poll_response<B, E>(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        finish: impl FnOnce(&mut Response<B>),
    ) -> Poll<Result<Response<Scoped<B>>, E>>
    where
        F: Future<Output = Result<Response<B>, E>>,
    {
        let in_request = InRequest::enter();
        self.project().scope.poll_response(in_request.task, cx, finish)
    }
}

impl<F, B, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Scoped<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.poll_response(cx, |_| ())
    }
}

/// Replaces a value when it is dropped, unless that is prevented by `mem::forget`: the value is dropped where the
/// code fails, and not where the value is.
pub(crate) struct ReplaceOnFailure<'a, T>(pub(crate) &'a mut T, pub(crate) fn() -> T);

impl<T> Drop for ReplaceOnFailure<'_, T> {
    fn drop(&mut self) {
        *self.0 = (self.1)();
    }
}
