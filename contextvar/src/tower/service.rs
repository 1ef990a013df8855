use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::response_header::{WriteHeader, write_headers};
use super::settings::{Rejection, Settings};
use crate::context::Context;
use crate::error::address;
use crate::hand_over::Kind;
use crate::inherit::Carried;
use crate::request::{InRequest, ReplaceOnFailure, RequestFuture};
use crate::scoped::Scoped;

const POLLED_AFTER_END: &str =
    concat!("`ResponseFuture` polled after it has finished\nsee ", address!("polled-after-its-end"));

/// A service whose requests each have a context. Made by [`ContextLayer`](super::ContextLayer).
pub struct ContextService<S, R = Infallible> {
    inner: S,
    /// Shared with the layer: axum makes a service for each request.
    settings: Arc<Settings<R>>,
}

impl<S, R> ContextService<S, R> {
    #[inline]
    pub(super) fn new(inner: S, settings: Arc<Settings<R>>) -> Self {
        ContextService { inner, settings }
    }
}

impl<S: Clone, R> Clone for ContextService<S, R> {
    fn clone(&self) -> Self {
        ContextService::new(self.inner.clone(), self.settings.clone())
    }
}

impl<S: fmt::Debug, R> fmt::Debug for ContextService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, A, B, R> Service<Request<A>> for ContextService<S, R>
where
    S: Service<Request<A>, Response = Response<B>>,
    R: Rejection<B>,
{
    type Response = Response<Scoped<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> ResponseFuture<S::Future, B> {
        let settings = &*self.settings;
        let in_request = InRequest::enter();
        let context = in_request.new_context(settings.copies_current);
        let mut context = context.hand_over(Kind::Request, settings.place);
        let carried = settings.carried(request.headers());
        // Taking a request apart and putting it together copies it.
        if settings.setters.is_empty() {
            return self.call_inner(&in_request, context, carried, || request);
        }
        let mut request = Some(request.into_parts());
        let set = || -> Result<(), Response<B>> {
            // A request that is rejected is dropped in its context, and so is one whose setter panics.
            let request = ReplaceOnFailure(&mut request, || None);
            let (parts, _) = request.0.as_ref().expect("set above");
            settings.set_variables(parts).map_err(|rejection| {
                let mut response = R::into_response(rejection);
                write_headers(&settings.response_headers, &mut response);
                response
            })?;
            mem::forget(request);
            Ok(())
        };
        context.next_entry_is_no_poll();
        match in_request.run(&mut context, &carried, set) {
            Ok(()) => self.call_inner(&in_request, context, carried, || {
                let (parts, body) = request.expect("not rejected");
                Request::from_parts(parts, body)
            }),
            Err(response) => {
                context.becomes_that_of_body();
                let response = response.map(|body| Scoped::carrying(context, carried, body));
                ResponseFuture { state: State::Rejected { response: Some(response) } }
            }
        }
    }
}

impl<S, R> ContextService<S, R> {
    /// Calls the inner service with the request that `request` returns.
    ///
    /// Inlined, because a request and a future are large, and each call that passes them on copies them.
    #[inline(always)]
    fn call_inner<A, B>(
        &mut self,
        in_request: &InRequest,
        mut context: Context,
        carried: Carried,
        request: impl FnOnce() -> Request<A>,
    ) -> ResponseFuture<S::Future, B>
    where
        S: Service<Request<A>>,
    {
        let headers = self.settings.response_headers.clone();
        context.next_entry_is_no_poll();
        let future = in_request.run(&mut context, &carried, || self.inner.call(request()));
        ResponseFuture {
            state: State::Called { future: RequestFuture::new(context, carried, future), headers },
        }
    }
}

pin_project! {
    /// The future of [`ContextService`].
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Called {
            #[pin]
            future: RequestFuture<F>,
            headers: Option<Arc<[WriteHeader]>>,
        },
        Rejected { response: Option<Response<Scoped<B>>> },
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Scoped<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { future, headers } => {
                future.poll_response(cx, |response| write_headers(headers, response))
            }
            StateProjection::Rejected { response } => {
                Poll::Ready(Ok(response.take().expect(POLLED_AFTER_END)))
            }
        }
    }
}
