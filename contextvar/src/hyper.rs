//! Contexts for servers and clients that use [`hyper`] directly.
//!
//! A connection is not a request: the requests of one connection must not share a context. In an accept loop,
//! wrap the service in a [`ContextService`].

use http::{Request, Response};
use hyper::rt;
use hyper::service::Service;

use crate::hand_over::{Kind, Place};
use crate::inherit::{self, Carried};
use crate::request::InRequest;
pub use crate::request::RequestFuture;
use crate::scoped::Scoped;

/// Gives each request of a connection a context of its own: the counterpart of
/// `contextvar::tower::ContextLayer` for a service of hyper.
///
/// The service and the body of its response run in the same context, which is empty at first. Inside another
/// request it is a copy of the current context.
///
/// ```
/// use std::convert::Infallible;
///
/// use contextvar::ContextVar;
/// use contextvar::hyper::ContextService;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response, body::Incoming};
///
/// static USER: ContextVar<String> = ContextVar::new("user");
///
/// async fn handler(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
///     USER.set(request.uri().path().to_owned());
///     Ok(Response::new(USER.get()))
/// }
///
/// // In the accept loop, for each connection:
/// let service = ContextService::new(service_fn(handler));
/// // let connection = http1::Builder::new().serve_connection(io, service);
/// # let _ = service;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ContextService<S> {
    inner: S,
    copies_current: bool,
    /// Where the service was made.
    place: Place,
}

impl<S> ContextService<S> {
    /// Wraps a service so that each request starts from an empty context.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new(inner: S) -> Self {
        ContextService { inner, copies_current: false, place: Place::here() }
    }

    /// Wraps a service so that each request starts from a copy of the context that is current where the
    /// request arrives: that of the connection's task.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn from_current(inner: S) -> Self {
        ContextService { inner, copies_current: true, place: Place::here() }
    }
}

impl<S, A, B> Service<Request<A>> for ContextService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Scoped<B>>;
    type Error = S::Error;
    type Future = RequestFuture<S::Future>;

    fn call(&self, request: Request<A>) -> RequestFuture<S::Future> {
        let in_request = InRequest::enter();
        let context = in_request.new_context(self.copies_current);
        let mut context = context.hand_over(Kind::Request, self.place);
        context.next_entry_is_no_poll();
        let future = in_request.run(&mut context, &Carried::NOTHING, || self.inner.call(request));
        RequestFuture::new(context, Carried::NOTHING, future)
    }
}

/// Runs each of hyper's tasks in a copy of the context that is current where hyper starts it, without the
/// variables that are [not inherited](crate::ContextVar::inherit).
///
/// An HTTP/2 stream inherits from its connection. A client's connection inherits from the request that opened
/// it. With feature `carry`, each task also runs in the ambient values of other libraries that are current
/// there, such as the span.
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
#[derive(Clone, Copy, Debug)]
pub struct ContextExecutor<E> {
    inner: E,
    /// Where the executor was made.
    place: Place,
}

impl<E> ContextExecutor<E> {
    /// Wraps an executor, for example hyper-util's `TokioExecutor`.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new(inner: E) -> Self {
        ContextExecutor { inner, place: Place::here() }
    }
}

impl<E: Default> Default for ContextExecutor<E> {
    #[cfg_attr(feature = "inspect", track_caller)]
    fn default() -> Self {
        ContextExecutor::new(E::default())
    }
}

impl<E, F> rt::Executor<F> for ContextExecutor<E>
where
    E: rt::Executor<Scoped<F>>,
    F: Future,
{
    fn execute(&self, future: F) {
        self.inner.execute(inherit::scope_from(Kind::Task, self.place, future));
    }
}
