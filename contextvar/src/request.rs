//! Which code runs inside a request that a service of this crate has given a context.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::context::Context;
use crate::current::{TaskId, task_id};
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
    #[derive(Debug)]
    pub struct RequestFuture<F> {
        #[pin]
        future: ScopedAndContext<F>,
    }
}

impl<F> RequestFuture<F> {
    pub(crate) fn new(context: Context, future: F) -> Self {
        RequestFuture { future: context.scope(future).and_context() }
    }
}

impl<F, B, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Scoped<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let _in_request = enter_request();
        let (response, context) = ready!(self.project().future.poll(cx));
        Poll::Ready(response.map(|response| response.map(|body| context.scope(body))))
    }
}
