//! Wraps the work that [`task`](crate::task) and [`thread`](crate::thread) start, so that it inherits the
//! current context; with features `tracing` and `opentelemetry` also the current span and OpenTelemetry's
//! context.

#[cfg(any(feature = "tracing", feature = "opentelemetry"))]
mod surroundings;

#[cfg(feature = "tokio")]
use crate::context::Context;
use crate::context::inherit_context;
#[cfg(feature = "tokio")]
use crate::scoped::Scoped;

/// Wraps a closure for another thread.
pub(crate) fn closure<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    inherit_context().bind(in_surroundings(f))
}

/// Wraps a closure for another thread. The closure returns its context as well.
#[cfg(feature = "tokio")]
pub(crate) fn closure_returning_context<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> (R, Context) {
    let scoped = inherit_context().scope(in_surroundings(f));
    move || scoped.call_and_context(|f| f())
}

fn in_surroundings<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    #[cfg(any(feature = "tracing", feature = "opentelemetry"))]
    let f = {
        let f = surroundings::Surroundings::current().wrap(f);
        move || f.call()
    };
    f
}

/// Wraps a future for another task.
#[cfg(feature = "tokio")]
pub(crate) fn future<F: Future>(future: F) -> Scoped<impl Future<Output = F::Output>> {
    #[cfg(any(feature = "tracing", feature = "opentelemetry"))]
    let future = surroundings::Surroundings::current().wrap(future);
    inherit_context().scope(future)
}
