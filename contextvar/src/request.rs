//! Which code runs inside a request that a service of this crate has given a context.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::context::Context;
use crate::current::{TaskId, task_id};
use crate::inherit::Carried;
use crate::on_drop::OnDrop;
use crate::scoped::{Scoped, ScopedAndContext};

thread_local! {
    /// The task that runs a request on this thread: `Some(None)` for code of no task, `None` outside of a
    /// request.
    static REQUEST_TASK: Cell<Option<Option<TaskId>>> = const { Cell::new(None) };
}

/// Returns true if this task runs a request.
pub(crate) fn is_in_request() -> bool {
    REQUEST_TASK.get() == Some(task_id())
}

/// Runs `f` in `context` as a part of a request.
pub(crate) fn run_request<R>(context: &mut Context, f: impl FnOnce() -> R) -> R {
    let _in_request = enter_request();
    context.run(f)
}

/// Makes [`is_in_request`] true for this task until the guard is dropped.
fn enter_request() -> impl Drop {
    let outer = REQUEST_TASK.replace(Some(task_id()));
    OnDrop(move || REQUEST_TASK.set(outer))
}

pin_project! {
    /// Runs the future of a response in a request's context. The response's body runs in the same context.
    pub struct RequestFuture<F> {
        #[pin]
        future: ScopedAndContext<F>,
        carried: Carried,
    }
}

impl<F> fmt::Debug for RequestFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFuture").field("future", &self.future).finish_non_exhaustive()
    }
}

impl<F> RequestFuture<F> {
    /// Makes the future, and later the body, also run inside the ambient values that are `carried`.
    pub(crate) fn new(context: Context, carried: Carried, future: F) -> Self {
        RequestFuture { future: Scoped::carrying(context, carried.clone(), future).and_context(), carried }
    }
}

impl<F, B, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Scoped<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let _in_request = enter_request();
        let this = self.project();
        let (response, context) = ready!(this.future.poll(cx));
        let carried = mem::take(this.carried);
        Poll::Ready(response.map(|response| response.map(|body| Scoped::carrying(context, carried, body))))
    }
}
