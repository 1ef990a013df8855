//! An executor for [`hyper`] whose tasks inherit the context.

use hyper::rt;

use crate::in_context::InContext;
use crate::scoped::Scoped;

/// Runs each of hyper's tasks in a copy of the context that is current where hyper starts it, without the
/// variables that are [not inherited](crate::ContextVar::inherit).
///
/// An HTTP/2 stream inherits from its connection. A client's connection inherits from the request that opened
/// it.
///
/// A client with a pool uses a connection for later requests as well. The connection's task keeps the first
/// request's context alive until the connection closes. Give such a client hyper-util's executor without this
/// wrapper.
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
    /// Wraps an executor, for example hyper-util's `TokioExecutor`.
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
