//! [`hyper`]'s executor, carrying the context along.

use hyper::rt;

use crate::in_context::InContext;
use crate::scoped::Scoped;

/// An executor for hyper that runs each task in a copy of the context that is current where hyper starts it,
/// without the variables that are [not inherited](crate::ContextVar::inherit): an HTTP/2 stream in that of its
/// connection, a client's connection in that of the request it was made for.
///
/// A client that keeps connections in a pool uses each for later requests too. Its task keeps the context of the first
/// one as long. Give such a client hyper-util's executor as it is.
///
/// ```
/// use contextvar::hyper::ContextExecutor;
/// use hyper_util::rt::TokioExecutor;
/// use hyper_util::server::conn::auto;
///
/// let builder = auto::Builder::new(ContextExecutor::new(TokioExecutor::new()));
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextExecutor<E> {
    inner: E,
}

impl<E> ContextExecutor<E> {
    /// Wraps an executor.
    pub fn new(inner: E) -> Self {
        ContextExecutor { inner }
    }
}

impl<E, F> rt::Executor<F> for ContextExecutor<E>
where
    E: rt::Executor<Scoped<F>>,
    F: Future,
{
    fn execute(&self, future: F) {
        self.inner.execute(future.in_inherited_context());
    }
}
