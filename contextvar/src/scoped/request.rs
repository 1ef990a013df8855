use std::mem;
use std::pin::Pin;
use std::task::{self, Poll};

use http::Response;

use super::{Scoped, poll_and_drop_if_ready};
use crate::current::TaskId;
use crate::request::ReplaceOnFailure;

impl<F> Scoped<F> {
    /// Polls the future of a response once. When the future has finished, calls `finish` in the context, and
    /// moves the context and the ambient values to the body. `task` is the current one.
    #[inline]
    pub(crate) fn poll_response<B, E>(
        self: Pin<&mut Self>,
        task: Option<TaskId>,
        cx: &mut task::Context<'_>,
        finish: impl FnOnce(&mut Response<B>),
    ) -> Poll<Result<Response<Scoped<B>>, E>>
    where
        F: Future<Output = Result<Response<B>, E>>,
    {
        let mut this = self.project();
        // Set in place: a closure's result would be copied, and it is large.
        let mut output = Poll::Pending;
        this.context.run_in_task(task, || {
            this.carried.run(|| {
                output = poll_and_drop_if_ready(this.inner.as_mut(), cx);
                if let Poll::Ready(Ok(_)) = &output {
                    let output = ReplaceOnFailure(&mut output, || Poll::Pending);
                    if let Poll::Ready(Ok(response)) = &mut *output.0 {
                        finish(response);
                    }
                    mem::forget(output);
                }
            });
            if matches!(output, Poll::Ready(Err(_))) {
                this.carried.clear();
            }
        });
        output.map(|result| {
            let (context, carried) = (mem::take(this.context), mem::take(this.carried));
            let response = result?;
            context.becomes_that_of_body();
            Ok(response.map(|body| Scoped::carrying(context, carried, body)))
        })
    }
}
