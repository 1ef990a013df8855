//! How [`task`](crate::task) and [`thread`](crate::thread) hand work over: in what it inherits of the current
//! context, and with features `tracing` and `opentelemetry` in what is current there.

#[cfg(any(feature = "tracing", feature = "opentelemetry"))]
mod surroundings;

#[cfg(feature = "tokio")]
use crate::context::Context;
use crate::context::inherit_context;
#[cfg(feature = "tokio")]
use crate::scoped::Scoped;

/// The closure for another thread.
pub(crate) fn closure<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    inherit_context().bind(surrounded(f))
}

/// The same, which gives its context too.
#[cfg(feature = "tokio")]
pub(crate) fn closure_and_context<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> (R, Context) {
    let scope = inherit_context().scope(surrounded(f));
    move || scope.call_and_context()
}

fn surrounded<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    #[cfg(any(feature = "tracing", feature = "opentelemetry"))]
    let f = {
        let within = surroundings::Surroundings::current().around(f);
        move || within.call()
    };
    f
}

/// The future for another task.
#[cfg(feature = "tokio")]
pub(crate) fn future<F: Future>(future: F) -> Scoped<impl Future<Output = F::Output>> {
    #[cfg(any(feature = "tracing", feature = "opentelemetry"))]
    let future = surroundings::Surroundings::current().around(future);
    inherit_context().scope(future)
}
