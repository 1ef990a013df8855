use std::pin::Pin;
use std::task::{self, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::Scope;
use crate::context::{Context, copy_context};

impl<S: Stream> Stream for Scope<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        self.poll_until_none(|stream| stream.poll_next(cx))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), S::size_hint)
    }
}

impl<S: Stream> FusedStream for Scope<S> {
    fn is_terminated(&self) -> bool {
        self.inner.is_none()
    }
}

/// Wraps streams in contexts, as a method of theirs.
pub trait StreamInContext: Stream + Sized {
    /// Wraps the stream so that it runs in `context`, like [`Context::scope`].
    ///
    /// ```
    /// use contextvar::{Context, ContextVar, StreamInContext};
    /// use futures::stream::{self, StreamExt};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// let ctx = Context::new().with(&USER, "ada");
    /// let users = stream::iter(0..2).map(|_| USER.get()).in_context(ctx);
    /// assert_eq!(users.collect::<Vec<_>>().await, ["ada", "ada"]);
    /// # });
    /// ```
    fn in_context(self, context: Context) -> Scope<Self> {
        context.scope(self)
    }

    /// Wraps the stream so that it runs in a copy of the current context, taken at this call.
    ///
    /// ```
    /// use contextvar::{ContextVar, StreamInContext};
    /// use futures::stream::{self, StreamExt};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// USER.set("ada");
    /// let users = stream::iter(0..2).map(|_| USER.get()).in_copied_context();
    /// USER.set("grace");
    /// assert_eq!(users.collect::<Vec<_>>().await, ["ada", "ada"]);
    /// # });
    /// ```
    fn in_copied_context(self) -> Scope<Self> {
        self.in_context(copy_context())
    }

    /// The same without the variables that are [not inherited](crate::ContextVar::inherit): for a stream that another
    /// task is to consume.
    ///
    /// ```
    /// use contextvar::{ContextVar, StreamInContext};
    /// use futures::stream::{self, StreamExt};
    ///
    /// static TRANSACTION: ContextVar<u64> = ContextVar::new("transaction").inherit(false);
    ///
    /// # futures::executor::block_on(async {
    /// TRANSACTION.set(7);
    /// let seen = stream::iter(0..2).map(|_| TRANSACTION.is_set()).in_inherited_context();
    /// assert_eq!(seen.collect::<Vec<_>>().await, [false, false]);
    /// # });
    /// ```
    fn in_inherited_context(self) -> Scope<Self> {
        self.in_context(copy_context().inherited())
    }
}

impl<S: Stream> StreamInContext for S {}
