use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use crate::context::Context;

#[cfg(feature = "http-body")]
mod body;
#[cfg(feature = "sink")]
mod sink;
#[cfg(feature = "stream")]
mod stream;

pin_project! {
    /// A future that runs in a context; or a stream (feature `stream`), a sink (feature `sink`) or an HTTP body
    /// (feature `http-body`). Made by [`Context::scope`], [`ContextVar::scope`](crate::ContextVar::scope) and
    /// [`InContext`].
    ///
    /// The context is the current one during each poll, and while the inner future is dropped, finished or
    /// not. What the future sets stays in it: of what a stream sets its consumer sees nothing. When the future is
    /// finished, it and the context are dropped at once; [`and_context`](Self::and_context) hands the context out
    /// instead. A stream and a body are finished when they have ended; a sink is closed, and dropped with
    /// its `Scoped`.
    ///
    /// # Cancel safety
    ///
    /// It adds no state of its own to that of the inner future, and is as cancel safe as that is.
    ///
    /// # Panics
    ///
    /// When polled after it has finished. A stream or body may be polled on: it ends again. A panic in the inner
    /// future passes through; the thread's context is restored before.
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
        context: Context,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                this.context.run(|| this.inner.set(None));
            }
        }
    }
}

impl<F> Scoped<F> {
    pub(crate) fn new(context: Context, inner: F) -> Self {
        Scoped { inner: Some(inner), context }
    }

    /// The context, as the polls so far have left it. An empty one when the future has finished.
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

    /// Lets the future give its context too when it is finished: the output is `(F::Output, Context)`.
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
    /// Runs a closure in its context. One that is dropped without being run is dropped in its context too.
    pub(crate) fn call<R>(self) -> R
    where
        F: FnOnce() -> R,
    {
        let (result, context) = self.call_and_context();
        // Not at the end: if it panics there, the result leaks.
        drop(context);
        result
    }

    pub(crate) fn call_and_context<R>(mut self) -> (R, Context)
    where
        F: FnOnce() -> R,
    {
        let f = self.inner.take().expect("only this takes a closure, and it takes `self`");
        (self.context.run(f), mem::take(&mut self.context))
    }
}

impl<F: Future> Scoped<F> {
    #[inline]
    fn poll_with_context(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<(F::Output, Context)> {
        let mut this = self.project();
        let output = this.context.run(|| {
            let future = this.inner.as_mut().as_pin_mut();
            let output = future.expect("`Scoped` polled after it has finished").poll(cx);
            if output.is_ready() {
                // Here, so that the future's destructors see its context.
                this.inner.set(None);
            }
            output
        });
        output.map(|output| (output, mem::take(this.context)))
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        self.poll_with_context(cx).map(|(output, context)| {
            // Not at the end: if it panics there, the output leaks.
            drop(context);
            output
        })
    }
}

#[cfg(any(feature = "http-body", feature = "stream"))]
impl<F> Scoped<F> {
    /// One step of something that ends with `None`, and is then dropped with its context. From there on it is
    /// fused.
    fn poll_until_none<T>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut F>) -> Poll<Option<T>>,
    ) -> Poll<Option<T>> {
        let mut this = self.project();
        if this.inner.is_none() {
            return Poll::Ready(None);
        }
        let item = this.context.run(|| {
            let item = this.inner.as_mut().as_pin_mut().map_or(Poll::Ready(None), poll);
            if matches!(item, Poll::Ready(None)) {
                this.inner.set(None);
            }
            item
        });
        if matches!(item, Poll::Ready(None)) {
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
    /// A [`Scoped`] that hands its context out at the end. Made by [`Scoped::and_context`].
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
    /// // The second future goes on in the context of the first.
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
        self.project().scope.poll_with_context(cx)
    }
}

impl<F> fmt::Debug for ScopedAndContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedAndContext").field("context", self.scope.context()).finish_non_exhaustive()
    }
}
