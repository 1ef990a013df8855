//! Layers to compare a `ContextLayer` with: one that does nothing, and one that does the same work without a
//! context.

use std::pin::Pin;
use std::task::{self, Poll, ready};

use axum::http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::Service;

use crate::load::text;

/// Does nothing, and shows what any layer costs in axum.
#[derive(Clone)]
pub(crate) struct DoesNothing<S>(pub(crate) S);

impl<S: Service<R>, R> Service<R> for DoesNothing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

/// Takes the request apart, reads two headers into `String`s, wraps the future, and wraps the body. The
/// strings live as long as the values of a context: until the body is dropped.
#[derive(Clone)]
pub(crate) struct Equivalent<S>(pub(crate) S);

impl<S, A, B> Service<Request<A>> for Equivalent<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Holding<B>>;
    type Error = S::Error;
    type Future = Holding<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Holding<S::Future> {
        let (parts, body) = request.into_parts();
        let values = [text(&parts.headers, "x-request-id"), text(&parts.headers, "x-tenant")];
        Holding { inner: self.0.call(Request::from_parts(parts, body)), values: Some(values) }
    }
}

pin_project! {
    /// A future or a body, and the request's values.
    pub(crate) struct Holding<T> {
        #[pin]
        inner: T,
        values: Option<[String; 2]>,
    }
}

impl<F, B, E> Future for Holding<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Holding<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let values = this.values.take();
        Poll::Ready(Ok(response.map(|inner| Holding { inner, values })))
    }
}

impl<B: Body> Body for Holding<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
