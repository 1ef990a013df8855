use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::{Context, copy_context};
use crate::scope::{Scope, ScopeAndContext};
use crate::var::{ContextVar, Value};

/// Gives each request a context of its own, and fills variables from the request.
///
/// The inner service, and the body of its response, run in the context: the same one, not a copy. So what a handler
/// sets is seen by the layers between it and this one when it has returned, and by a body that is streamed. Put
/// this layer outside of those that are to see the variables.
///
/// The context is [empty](Self::new) at first, or a [copy](Self::copied) of the one that is current where the request
/// comes in.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use axum::http::StatusCode;
/// use axum::response::IntoResponse;
/// use axum::routing::get;
/// use contextvar::ContextVar;
/// use contextvar::tower::ContextLayer;
///
/// static REQUEST_ID: ContextVar<String> = ContextVar::new("request_id");
/// static TENANT: ContextVar<String> = ContextVar::new("tenant");
///
/// let layer = ContextLayer::new()
///     .set(&REQUEST_ID, |request| request.uri.path().to_owned())
///     .try_set(
///         &TENANT,
///         |request| request.headers.get("x-tenant").ok_or("who are you?")?.to_str().map_err(|_| "what?").map(str::to_owned),
///         |error| (StatusCode::BAD_REQUEST, error).into_response(),
///     );
/// let app: Router = Router::new().route("/hello", get(|| async { TENANT.get() })).layer(layer);
/// # use tower::ServiceExt;
/// # let request = axum::http::Request::builder().uri("/hello").body(axum::body::Body::empty()).unwrap();
/// # let response = futures::executor::block_on(app.oneshot(request)).unwrap();
/// assert_eq!(response.status(), StatusCode::BAD_REQUEST);
/// ```
pub struct ContextLayer<B> {
    copied: bool,
    setters: Vec<Setter<B>>,
}

/// Sets a variable in the current context, or says what to answer instead.
type Setter<B> = Arc<dyn Fn(&Parts) -> Result<(), Response<B>> + Send + Sync>;

impl<B> ContextLayer<B> {
    /// Each request starts from an empty context.
    pub fn new() -> Self {
        ContextLayer { copied: false, setters: Vec::new() }
    }

    /// Each request starts from a copy of the context that is current where it comes in: that of its connection,
    /// with [`MakeInContext`](super::MakeInContext).
    pub fn copied() -> Self {
        ContextLayer { copied: true, setters: Vec::new() }
    }

    /// Sets a variable from each request. `value` runs in the request's context, and sees what was set before it.
    #[must_use = "this hands back the layer"]
    pub fn set<T: Value>(
        mut self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> T + Send + Sync + 'static,
    ) -> Self {
        self.setters.push(Arc::new(move |request| {
            var.set(value(request));
            Ok(())
        }));
        self
    }

    /// Sets a variable from each request that has something to set it to. In others it is left as it is: not set, or
    /// what was set before it.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::tower::ContextLayer;
    ///
    /// static TENANT: ContextVar<String> = ContextVar::with_default("tenant", || "public".to_owned());
    ///
    /// let layer = ContextLayer::<String>::new()
    ///     .set_if_some(&TENANT, |request| Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned()));
    /// # let _ = layer;
    /// ```
    #[must_use = "this hands back the layer"]
    pub fn set_if_some<T: Value>(
        mut self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.setters.push(Arc::new(move |request| {
            if let Some(value) = value(request) {
                var.set(value);
            }
            Ok(())
        }));
        self
    }

    /// Sets a variable from each request; or, where there is an error, answers the request with what `refuse` makes of
    /// it. The inner service is not called then.
    #[must_use = "this hands back the layer"]
    pub fn try_set<T: Value, E>(
        mut self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> Result<T, E> + Send + Sync + 'static,
        refuse: impl Fn(E) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        self.setters.push(Arc::new(move |request| {
            var.set(value(request).map_err(&refuse)?);
            Ok(())
        }));
        self
    }

    /// Sets the variables that are declared as [baggage](crate::baggage) from the headers of each request. Entries that
    /// a variable can't be set from are handed to `ignored`.
    ///
    /// Only where the clients may say who they are: see [there](crate::baggage#trust).
    ///
    /// ```
    /// use contextvar::tower::ContextLayer;
    ///
    /// let layer = ContextLayer::<String>::new().baggage(|error| eprintln!("{error}"));
    /// # let _ = layer;
    /// ```
    #[cfg(feature = "baggage")]
    #[must_use = "this hands back the layer"]
    pub fn baggage(mut self, ignored: impl Fn(crate::baggage::BaggageError) + Send + Sync + 'static) -> Self {
        self.setters.push(Arc::new(move |request| {
            crate::baggage::extract_headers(&request.headers).into_iter().for_each(&ignored);
            Ok(())
        }));
        self
    }
}

impl<B> Default for ContextLayer<B> {
    fn default() -> Self {
        ContextLayer::new()
    }
}

impl<B> Clone for ContextLayer<B> {
    fn clone(&self) -> Self {
        ContextLayer { copied: self.copied, setters: self.setters.clone() }
    }
}

impl<B> fmt::Debug for ContextLayer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextLayer").field("copied", &self.copied).finish_non_exhaustive()
    }
}

impl<S, B> Layer<S> for ContextLayer<B> {
    type Service = ContextService<S, B>;

    fn layer(&self, inner: S) -> ContextService<S, B> {
        ContextService { inner, copied: self.copied, setters: self.setters.clone().into() }
    }
}

/// A service whose requests each have a context. Made by [`ContextLayer`].
pub struct ContextService<S, B> {
    inner: S,
    copied: bool,
    setters: Arc<[Setter<B>]>,
}

impl<S: Clone, B> Clone for ContextService<S, B> {
    fn clone(&self) -> Self {
        ContextService { inner: self.inner.clone(), copied: self.copied, setters: self.setters.clone() }
    }
}

impl<S: fmt::Debug, B> fmt::Debug for ContextService<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, A, B> Service<Request<A>> for ContextService<S, B>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Scope<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> ResponseFuture<S::Future, B> {
        let mut context = if self.copied { copy_context() } else { Context::new() };
        let (parts, body) = request.into_parts();
        let called = context.run(|| {
            self.setters.iter().try_for_each(|set| set(&parts))?;
            Ok(self.inner.call(Request::from_parts(parts, body)))
        });
        match called {
            Ok(future) => {
                let future = Some(context.scope(future).and_context());
                ResponseFuture { future, refused: None }
            }
            Err(response) => ResponseFuture { future: None, refused: Some((response, context)) },
        }
    }
}

pin_project! {
    /// The future of [`ContextService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F, B> {
        #[pin]
        future: Option<ScopeAndContext<F>>,
        refused: Option<(Response<B>, Context)>,
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Scope<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (response, context) = match this.future.as_pin_mut() {
            Some(future) => {
                let (response, context) = ready!(future.poll(cx));
                (response?, context)
            }
            None => this.refused.take().expect("`ResponseFuture` polled after it has finished"),
        };
        Poll::Ready(Ok(response.map(|body| context.scope(body))))
    }
}
