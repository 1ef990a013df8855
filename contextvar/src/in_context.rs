#[cfg(feature = "stream")]
use futures_core::Stream;

use crate::context::{Context, copy_context};
use crate::hand_over::Kind;
#[cfg(feature = "stream")]
use crate::hand_over::Place;
use crate::inherit;
use crate::scoped::Scoped;

/// Wraps futures so that they run in a context.
#[doc(alias = "instrument")]
pub trait InContext: Future + Sized {
    /// Wraps the future so that it runs in `context`. Does the same as [`Context::scope`].
    ///
    /// ```
    /// use contextvar::{Context, ContextVar, InContext};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// let ctx = Context::new().with_value(&USER, "ada");
    /// assert_eq!(async { USER.get() }.in_context(ctx).await, "ada");
    /// # });
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    fn in_context(self, context: Context) -> Scoped<Self> {
        context.scope(self)
    }

    /// Wraps the future so that it runs in a copy of the current context, taken at this call.
    ///
    /// ```
    /// use contextvar::{ContextVar, InContext};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// USER.set("ada");
    /// let future = async { USER.get() }.in_copied_context();
    /// USER.set("grace");
    /// assert_eq!(future.await, "ada");
    /// # });
    /// ```
    #[doc(alias = "in_current_context")]
    #[cfg_attr(feature = "inspect", track_caller)]
    fn in_copied_context(self) -> Scoped<Self> {
        self.in_context(copy_context())
    }

    /// Wraps the future for another task: it runs in a copy of the current context without the variables that
    /// are [not inherited](Context::inherited). The copy is taken at this call.
    ///
    /// Use it with any API that starts tasks: a `JoinSet`, a `TaskTracker`, a runtime's handle.
    ///
    /// With feature `carry`, the future also runs in the ambient values of other libraries that are current
    /// at this call: with feature `tracing` the span, with feature `opentelemetry` OpenTelemetry's context,
    /// and what was registered with `contextvar::carry`. These are nearer to the future than what is around
    /// the returned future. So enter a new span inside: `f().instrument(span).in_inherited_context()`.
    ///
    /// ```
    /// use contextvar::{ContextVar, InContext};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # #[cfg(feature = "tokio")] {
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// USER.set("ada");
    /// let mut tasks = tokio::task::JoinSet::new();
    /// tasks.spawn(async { USER.get() }.in_inherited_context());
    /// assert_eq!(tasks.join_all().await, ["ada"]);
    /// # }
    /// # main();
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    fn in_inherited_context(self) -> Scoped<Self> {
        inherit::scope(Kind::Task, self)
    }
}

impl<F: Future> InContext for F {}

/// Wraps streams so that they run in a context.
#[cfg(feature = "stream")]
pub trait StreamInContext: Stream + Sized {
    /// Wraps the stream so that it runs in `context`. Does the same as [`Context::scope`].
    ///
    /// ```
    /// use contextvar::{Context, ContextVar, StreamInContext};
    /// use futures::stream::{self, StreamExt};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// let ctx = Context::new().with_value(&USER, "ada");
    /// let users = stream::iter(0..2).map(|_| USER.get()).in_context(ctx);
    /// assert_eq!(users.collect::<Vec<_>>().await, ["ada", "ada"]);
    /// # });
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    fn in_context(self, context: Context) -> Scoped<Self> {
        Scoped::new(context.hand_over(Kind::Stream, Place::here()), self)
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
    #[doc(alias = "in_current_context")]
    #[cfg_attr(feature = "inspect", track_caller)]
    fn in_copied_context(self) -> Scoped<Self> {
        self.in_context(copy_context())
    }

    /// Wraps the stream for another task that consumes it: it runs in a copy of the current context without
    /// the variables that are [not inherited](crate::ContextVar::inherit). The copy is taken at this call.
    ///
    /// With feature `carry`, the stream also runs in the ambient values of other libraries, as
    /// [`InContext::in_inherited_context`] says.
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
    #[cfg_attr(feature = "inspect", track_caller)]
    fn in_inherited_context(self) -> Scoped<Self> {
        inherit::scope(Kind::Stream, self)
    }
}

#[cfg(feature = "stream")]
impl<S: Stream> StreamInContext for S {}
