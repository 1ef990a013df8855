use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use crate::context::Context;
use crate::current::{TaskId, task_id};
use crate::error::address;
use crate::inherit::Carried;

#[cfg(feature = "http-body")]
mod body;
#[cfg(any(feature = "hyper", feature = "tower"))]
mod request;
#[cfg(feature = "sink")]
mod sink;
#[cfg(feature = "stream")]
mod stream;

pin_project! {
    /// A future that runs in a context; or a stream (feature `stream`), a sink (feature `sink`) or an HTTP
    /// body (feature `http-body`). Made by [`Context::scope`],
    /// [`ContextVar::scope`](crate::ContextVar::scope) and [`InContext`](crate::InContext).
    ///
    /// The context is the current one during each poll and while the inner future is dropped, whether it has
    /// finished or not. The values that the future sets stay in that context: the consumer of a stream does
    /// not see what the stream sets.
    ///
    /// When the future finishes, the future and then the context are dropped before the poll returns.
    /// [`and_context`](Self::and_context) returns the context instead. A stream finishes when it returns `None`. A
    /// body finishes when it returns `None`, or its last frame if its `is_end_stream` says so. A sink and its
    /// context are dropped with the `Scoped`.
    ///
    /// With feature `carry`, a `Scoped` that hands work to another task or thread also holds the values that
    /// are [carried along](crate::InContext::in_inherited_context). They are entered inside the context, at
    /// the same times. They are dropped in the context, after the future.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the inner future: a `Scoped` adds no state of its own.
    ///
    /// # Panics
    ///
    /// Panics when polled after it has finished. A stream or a body can be polled again and returns `None`. A
    /// panic in the inner future propagates after the thread's context has been restored.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::{ContextVar, copy_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// let scope = copy_context().scope(async { USER.set("ada"); });
    /// scope.await;
    /// assert!(!USER.is_set());
    /// # });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Scoped<F> {
        #[pin]
        inner: Option<F>,
        carried: Carried,
        context: Context,
    }

    impl<F> PinnedDrop for Scoped<F> {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            if this.inner.is_some() {
                drop_unfinished(this);
            }
        }
    }
}

/// Not inlined, so that the test before it is.
#[inline(never)]
fn drop_unfinished<F>(scope: Pin<&mut Scoped<F>>) {
    let mut this = scope.project();
    this.context.next_entry_is_no_poll();
    this.context.run(|| {
        this.carried.run_drop(|| this.inner.set(None));
        this.carried.clear();
    });
}

impl<F> Scoped<F> {
    #[inline]
    pub(crate) fn new(context: Context, inner: F) -> Self {
        Scoped::carrying(context, Carried::NOTHING, inner)
    }

    #[inline]
    pub(crate) fn carrying(context: Context, carried: Carried, inner: F) -> Self {
        Scoped { inner: Some(inner), carried, context }
    }

    /// Returns the context with the changes that the polls so far have made. Returns an empty context after
    /// the future has finished.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let scope = Context::new().with_value(&USER, "ada").scope(async {});
    /// assert_eq!(scope.context()[&USER], "ada");
    /// ```
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Wraps the future so that its output includes its context: `(F::Output, Context)`.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// let scope = Context::new().scope(async { USER.set("ada"); 7 });
    /// let (seven, ctx) = scope.and_context().await;
    /// assert_eq!(seven, 7);
    /// assert_eq!(ctx[&USER], "ada");
    /// # });
    /// ```
    pub fn and_context(self) -> ScopedAndContext<F> {
        ScopedAndContext { scope: self }
    }
}

impl<F> Scoped<F> {
    /// Passes the closure to `call`, which calls it, in its context. A closure that is dropped without a call
    /// is dropped in its context as well.
    pub(crate) fn call<R>(self, call: impl FnOnce(F) -> R) -> R {
        let (result, context) = self.call_in_task(task_id(), call);
        // Dropped here and not at the end, where a panic of the drop would leak the result.
        drop(context);
        result
    }

    /// Calls the closure in its context, and returns the context with the result. `task` is the task that this
    /// code runs in.
    pub(crate) fn call_in_task<R>(mut self, task: Option<TaskId>, call: impl FnOnce(F) -> R) -> (R, Context) {
        let f = self.inner.take().expect("a closure is taken once, by a method that takes `self`");
        let result = self.context.run_in_task(task, || {
            let result = self.carried.run(|| call(f));
            self.carried.clear();
            result
        });
        let context = mem::take(&mut self.context);
        // All of its fields are empty.
        mem::forget(self);
        (result, context)
    }

    /// Calls the closure in its context, and wraps the future that the closure returns in the same context.
    pub(crate) fn call_and_scope<Fut>(self, call: impl FnOnce(F) -> Fut) -> Scoped<Fut> {
        let (future, context) = self.call_in_task(task_id(), call);
        Scoped::new(context, future)
    }
}

impl<F: Future> Scoped<F> {
    /// Polls the future in its context. `task` is the task that this code runs in.
    #[inline(always)]
    pub(crate) fn poll_in_task(
        self: Pin<&mut Self>,
        task: Option<TaskId>,
        cx: &mut task::Context<'_>,
    ) -> Poll<F::Output> {
        self.poll_with_context(task, cx).map(|(output, context)| {
            // Dropped here and not at the end, where a panic of the drop would leak the output.
            drop(context);
            output
        })
    }

    #[inline(always)]
    fn poll_with_context(
        self: Pin<&mut Self>,
        task: Option<TaskId>,
        cx: &mut task::Context<'_>,
    ) -> Poll<(F::Output, Context)> {
        let this = self.project();
        let (inner, carried) = (this.inner, this.carried);
        let output = this.context.run_in_task(task, move || {
            let output = carried.run(move || poll_and_drop_if_ready(inner, cx));
            if output.is_ready() {
                carried.clear();
            }
            output
        });
        output.map(|output| (output, mem::take(this.context)))
    }
}

const POLLED_AFTER_END: &str =
    concat!("`Scoped` polled after it has finished\nsee ", address!("polled-after-its-end"));

#[inline]
fn poll_and_drop_if_ready<F: Future>(
    mut inner: Pin<&mut Option<F>>,
    cx: &mut task::Context<'_>,
) -> Poll<F::Output> {
    let future = inner.as_mut().as_pin_mut();
    let output = future.expect(POLLED_AFTER_END).poll(cx);
    if output.is_ready() {
        // Dropped in here, so that the future's destructors see its context.
        inner.set(None);
    }
    output
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    // A call would take 10 instructions, a fifth of the poll.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        self.poll_in_task(task_id(), cx)
    }
}

#[cfg(any(feature = "http-body", feature = "stream"))]
impl<F> Scoped<F> {
    /// Polls a stream or a body once. Drops it and its context when it returns `None`, or an item after which
    /// `is_end` returns true. Later polls return `None`.
    #[inline]
    fn poll_item<T>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut F>) -> Poll<Option<T>>,
        is_end: impl FnOnce(&F) -> bool,
    ) -> Poll<Option<T>> {
        // Set in place: a closure's result would be copied, and it is large.
        let mut item = Poll::Ready(None);
        let this = self.project();
        if this.inner.is_none() {
            return item;
        }
        let (mut inner, carried) = (this.inner, this.carried);
        let mut has_finished = false;
        this.context.run(|| {
            carried.run(|| {
                let mut unfinished = inner.as_mut().as_pin_mut().expect("checked above");
                item = poll(unfinished.as_mut());
                has_finished = match &item {
                    Poll::Pending => false,
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(_)) => is_end(&unfinished),
                };
                if has_finished {
                    inner.set(None);
                }
            });
            if has_finished {
                carried.clear();
            }
        });
        if has_finished {
            drop(mem::take(this.context));
        }
        item
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("context", &self.context).finish_non_exhaustive()
    }
}

pin_project! {
    /// A [`Scoped`] whose output includes the context. Made by [`Scoped::and_context`].
    ///
    /// ```
    /// use contextvar::{ContextVar, InContext};
    ///
    /// static VISITS: ContextVar<u32> = ContextVar::with_default("visits", || 0);
    ///
    /// async fn visit() {
    ///     VISITS.set(VISITS.get() + 1);
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// // The second future continues in the context of the first.
    /// let ((), ctx) = visit().in_copied_context().and_context().await;
    /// let ((), ctx) = visit().in_context(ctx).and_context().await;
    /// assert_eq!(ctx[&VISITS], 2);
    /// assert_eq!(VISITS.get(), 0);
    /// # });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ScopedAndContext<F> {
        #[pin]
        scope: Scoped<F>,
    }
}

impl<F: Future> Future for ScopedAndContext<F> {
    type Output = (F::Output, Context);

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.project().scope.poll_with_context(task_id(), cx).map(|(output, mut context)| {
            context.unlist();
            (output, context)
        })
    }
}

impl<F> fmt::Debug for ScopedAndContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedAndContext").field("context", self.scope.context()).finish_non_exhaustive()
    }
}
