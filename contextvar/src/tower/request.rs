use std::convert::Infallible;
use std::fmt::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::{Context, copy_context};
use crate::inherit::Carried;
use crate::request::{RequestFuture, is_in_request, run_request};
use crate::scoped::Scoped;
use crate::var::{ContextValue, ContextVar};

/// Gives each request a context of its own, and sets variables from the request.
///
/// The inner service and the body of its response run in the same context, not in copies. So the layers
/// between a handler and this layer see the values that the handler has set, and so does a body that is
/// streamed.
///
/// Put this layer outside of the layers that read the variables: it is the last `.layer()` of an axum router,
/// and the first of a `tower::ServiceBuilder`. Put a layer that catches panics, such as tower-http's
/// `CatchPanicLayer`, inside of it: axum closes the connection of a handler or extractor that panics without
/// an answer.
///
/// The context is [empty](Self::new) at first, or a [copy](Self::from_current) of the context that is current
/// where the request arrives.
///
/// # Nested layers
///
/// A layer inside another one, for example on a router that is nested in a router, starts from a copy of the
/// current context, whichever constructor made it. So it keeps the values that the outer layer and the layers
/// between them have set. This applies within the task that runs the request. In a task that the request
/// spawns, a layer starts from an empty context again.
///
/// # The type parameter
///
/// It is `Infallible`, and you need not write it, if the layer rejects no request. Such a layer fits services
/// with any response body. [`set_or_reject`](Self::set_or_reject) makes it `Response<B>`, where `B` is the
/// type of the service's bodies.
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
///     .set_or_reject(
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
pub struct ContextLayer<R = Infallible> {
    /// Shared with the services: axum makes one for each request.
    settings: Arc<Settings<R>>,
}

struct Settings<R> {
    copies_current: bool,
    setters: Vec<Setter<R>>,
    #[cfg(feature = "baggage")]
    extracts_trace: bool,
    /// `None` costs a response less than an empty slice.
    response_headers: Option<Arc<[WriteHeader]>>,
}

/// Writes a variable of a context to the headers of a response.
type WriteHeader = Arc<dyn Fn(&Context, &mut HeaderMap) + Send + Sync>;

/// Sets a variable in the current context, or returns the response that rejects the request.
enum Setter<R> {
    Set(Arc<dyn Fn(&Parts) + Send + Sync>),
    SetOrReject(Arc<TrySet<R>>),
}

type TrySet<R> = dyn Fn(&Parts) -> Result<(), R> + Send + Sync;

impl ContextLayer {
    /// Returns a layer that gives each request an empty context, unless it is [nested](Self#nested-layers).
    ///
    /// Values that `main` knows and every request should see are [set](Self::set) on the layer, for example
    /// with `.set(&REGION, move |_| region.clone())`.
    pub fn new() -> Self {
        ContextLayer::starting(false)
    }

    /// Returns a layer that gives each request a copy of the context that is current where the request
    /// arrives: that of its connection, with [`MakeContextService`](super::MakeContextService).
    pub fn from_current() -> Self {
        ContextLayer::starting(true)
    }

    fn starting(copies_current: bool) -> Self {
        let settings = Settings {
            copies_current,
            setters: Vec::new(),
            #[cfg(feature = "baggage")]
            extracts_trace: false,
            response_headers: None,
        };
        ContextLayer { settings: Arc::new(settings) }
    }
}

impl<R> ContextLayer<R> {
    fn with_setter(mut self, set: impl Fn(&Parts) + Send + Sync + 'static) -> Self {
        self.settings_mut().setters.push(Setter::Set(Arc::new(set)));
        self
    }

    fn settings_mut(&mut self) -> &mut Settings<R> {
        Arc::make_mut(&mut self.settings)
    }

    /// Sets a variable from each request. `value` runs in the request's context and sees the variables that
    /// were set before it.
    #[must_use = "this returns the layer"]
    pub fn set<T: ContextValue>(
        self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> T + Send + Sync + 'static,
    ) -> Self {
        self.with_setter(move |request| {
            var.set(value(request));
        })
    }

    /// Sets a variable from each request for which `value` returns `Some`. For other requests the variable
    /// stays as it was.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::tower::ContextLayer;
    ///
    /// static TENANT: ContextVar<String> = ContextVar::with_default("tenant", || "public".to_owned());
    ///
    /// let layer = ContextLayer::new()
    ///     .set_if_some(&TENANT, |request| Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned()));
    /// # let _ = layer;
    /// ```
    #[must_use = "this returns the layer"]
    pub fn set_if_some<T: ContextValue>(
        self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.with_setter(move |request| {
            if let Some(value) = value(request) {
                var.set(value);
            }
        })
    }

    /// Sets a variable from each request for which `value` returns `Ok`. Otherwise answers the request with
    /// the response that `reject` makes of the error, and does not call the inner service.
    ///
    /// The body of that response has the type of the inner service's bodies.
    #[must_use = "this returns the layer"]
    pub fn set_or_reject<T: ContextValue, E, B>(
        self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> Result<T, E> + Send + Sync + 'static,
        reject: impl Fn(E) -> Response<B> + Send + Sync + 'static,
    ) -> ContextLayer<Response<B>>
    where
        R: Rejection<B>,
    {
        let settings = Arc::unwrap_or_clone(self.settings);
        let mut setters = R::widen(settings.setters);
        setters.push(Setter::SetOrReject(Arc::new(move |request| {
            var.set(value(request).map_err(&reject)?);
            Ok(())
        })));
        ContextLayer {
            settings: Arc::new(Settings {
                copies_current: settings.copies_current,
                setters,
                #[cfg(feature = "baggage")]
                extracts_trace: settings.extracts_trace,
                response_headers: settings.response_headers,
            }),
        }
    }

    /// Writes a variable to a header of each response, through its `Display`: the value that the variable has
    /// in the request's context when the handler has answered.
    ///
    /// It writes no header if the variable is not set, if the text has characters that are not printable
    /// ASCII, or if the response has a header of this name already. Rejections have the header as well, and
    /// so do the answers of a layer inside of this one that catches panics.
    ///
    /// The `Display` runs in the request's context, outside of the layers inside of this one: such a layer does
    /// not catch its panic.
    ///
    /// # Panics
    ///
    /// Panics if the variable is [secret](ContextVar::secret).
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::tower::ContextLayer;
    /// use http::HeaderName;
    ///
    /// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id");
    ///
    /// let layer = ContextLayer::new()
    ///     .set(&REQUEST_ID, |_| 7)
    ///     .response_header(HeaderName::from_static("x-request-id"), &REQUEST_ID);
    /// # let _ = layer;
    /// ```
    #[must_use = "this returns the layer"]
    #[track_caller]
    pub fn response_header<T: ContextValue + fmt::Display>(
        mut self,
        name: HeaderName,
        var: &'static ContextVar<T>,
    ) -> Self {
        assert!(!var.variable().is_secret(), "a response cannot show `{}`, which is secret", var.name());
        let write: WriteHeader = Arc::new(move |context, headers| {
            let mut text = String::new();
            let is_written = context.get(var).is_some_and(|value| write!(text, "{value}").is_ok());
            let value = HeaderValue::try_from(text).ok().filter(|value| value.to_str().is_ok());
            if let Some(value) = value.filter(|_| is_written) {
                headers.entry(&name).or_insert(value);
            }
        });
        let settings = self.settings_mut();
        let others = settings.response_headers.take();
        settings.response_headers =
            Some(others.iter().flat_map(|others| &**others).cloned().chain([write]).collect());
        self
    }

    /// Sets the variables that are declared as [baggage](crate::baggage) from the headers of each request,
    /// and keeps the other entries for the requests that the handler sends, as
    /// [`extract_headers`](crate::baggage::extract_headers) does. Calls `on_error` for each entry that was
    /// ignored.
    ///
    /// The span that the headers `traceparent` and `tracestate` name is current while the request runs, unless a
    /// span of the same trace is current already: see [the trace](crate::baggage#the-trace).
    ///
    /// Use it only where clients may choose these values: see [Trust](crate::baggage#trust).
    ///
    /// # Panics
    ///
    /// Panics if two variables of the process declare the same key.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::tower::ContextLayer;
    ///
    /// let layer = ContextLayer::new().extract_baggage(|error| eprintln!("{error}"));
    /// # let _ = layer;
    /// ```
    #[cfg(feature = "baggage")]
    #[must_use = "this returns the layer"]
    #[track_caller]
    pub fn extract_baggage(
        self,
        on_error: impl Fn(crate::baggage::BaggageError) + Send + Sync + 'static,
    ) -> Self {
        let mut layer = self.extracting_baggage(crate::baggage::extract_headers, on_error);
        layer.settings_mut().extracts_trace = true;
        layer
    }

    /// Sets the variables that are declared as [baggage](crate::baggage) from the headers of each request, as
    /// [`extract_baggage`](Self::extract_baggage) does. Does not hand on other entries, and ignores the client's
    /// trace.
    ///
    /// # Panics
    ///
    /// Panics if two variables of the process declare the same key.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::tower::ContextLayer;
    ///
    /// let layer = ContextLayer::new().extract_declared_baggage(|error| eprintln!("{error}"));
    /// # let _ = layer;
    /// ```
    #[cfg(feature = "baggage")]
    #[must_use = "this returns the layer"]
    #[track_caller]
    pub fn extract_declared_baggage(
        self,
        on_error: impl Fn(crate::baggage::BaggageError) + Send + Sync + 'static,
    ) -> Self {
        self.extracting_baggage(crate::baggage::extract_declared_headers, on_error)
    }

    #[cfg(feature = "baggage")]
    #[track_caller]
    fn extracting_baggage(
        self,
        extract: fn(&HeaderMap) -> Vec<crate::baggage::BaggageError>,
        on_error: impl Fn(crate::baggage::BaggageError) + Send + Sync + 'static,
    ) -> Self {
        crate::baggage::declared::declared();
        self.with_setter(move |request| extract(&request.headers).into_iter().for_each(&on_error))
    }
}

/// The type of a [`ContextLayer`]'s rejections: `Infallible` if it rejects nothing, or `Response<B>`.
#[diagnostic::on_unimplemented(
    message = "the layer rejects requests with another type of body than the service's",
    note = "`ContextLayer::set_or_reject` needs a `Response` with the type of body that the inner service responds with"
)]
pub trait Rejection<B>: sealed::Widen<B> {}

impl<B> Rejection<B> for Infallible {}
impl<B> Rejection<B> for Response<B> {}

mod sealed {
    use std::convert::Infallible;

    use http::Response;

    use super::Setter;

    pub trait Widen<B>: Sized {
        fn into_response(self) -> Response<B>;

        /// Converts the setters of a layer to those of a layer that can reject.
        #[expect(private_interfaces, reason = "sealed")]
        fn widen(setters: Vec<Setter<Self>>) -> Vec<Setter<Response<B>>>;
    }

    impl<B> Widen<B> for Infallible {
        fn into_response(self) -> Response<B> {
            match self {}
        }

        #[expect(private_interfaces, reason = "sealed")]
        fn widen(setters: Vec<Setter<Self>>) -> Vec<Setter<Response<B>>> {
            let widen = |setter| match setter {
                Setter::Set(set) => Setter::Set(set),
                Setter::SetOrReject(_) => unreachable!("a layer of `Infallible` has none that reject"),
            };
            setters.into_iter().map(widen).collect()
        }
    }

    impl<B> Widen<B> for Response<B> {
        fn into_response(self) -> Response<B> {
            self
        }

        #[expect(private_interfaces, reason = "sealed")]
        fn widen(setters: Vec<Setter<Self>>) -> Vec<Setter<Response<B>>> {
            setters
        }
    }
}

impl Default for ContextLayer {
    fn default() -> Self {
        ContextLayer::new()
    }
}

impl<R> Clone for ContextLayer<R> {
    fn clone(&self) -> Self {
        ContextLayer { settings: self.settings.clone() }
    }
}

impl<R> Clone for Settings<R> {
    fn clone(&self) -> Self {
        Settings {
            copies_current: self.copies_current,
            setters: self.setters.clone(),
            #[cfg(feature = "baggage")]
            extracts_trace: self.extracts_trace,
            response_headers: self.response_headers.clone(),
        }
    }
}

impl<R> Clone for Setter<R> {
    fn clone(&self) -> Self {
        match self {
            Setter::Set(set) => Setter::Set(set.clone()),
            Setter::SetOrReject(set) => Setter::SetOrReject(set.clone()),
        }
    }
}

impl<R> fmt::Debug for ContextLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextLayer")
            .field("copies_current", &self.settings.copies_current)
            .finish_non_exhaustive()
    }
}

impl<S, R> Layer<S> for ContextLayer<R> {
    type Service = ContextService<S, R>;

    fn layer(&self, inner: S) -> ContextService<S, R> {
        ContextService { inner, settings: self.settings.clone() }
    }
}

/// A service whose requests each have a context. Made by [`ContextLayer`].
pub struct ContextService<S, R = Infallible> {
    inner: S,
    settings: Arc<Settings<R>>,
}

impl<S: Clone, R> Clone for ContextService<S, R> {
    fn clone(&self) -> Self {
        ContextService { inner: self.inner.clone(), settings: self.settings.clone() }
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
        let mut context =
            if settings.copies_current || is_in_request() { copy_context() } else { Context::new() };
        let (parts, body) = request.into_parts();
        let carried = settings.carried(&parts.headers);
        let called = run_request(&mut context, || {
            carried.run(|| {
                for setter in &settings.setters {
                    match setter {
                        Setter::Set(set) => set(&parts),
                        Setter::SetOrReject(set) => set(&parts)?,
                    }
                }
                Ok(self.inner.call(Request::from_parts(parts, body)))
            })
        });
        let (future, rejection) = match called {
            Ok(future) => (Some(RequestFuture::new(context, carried, future)), None),
            Err(rejection) => (None, Some((R::into_response(rejection), context))),
        };
        ResponseFuture { future, rejection, headers: settings.response_headers.clone() }
    }
}

impl<R> Settings<R> {
    /// Returns the trace that the request belongs to, if the layer extracts it.
    fn carried(&self, _headers: &HeaderMap) -> Carried {
        #[cfg(feature = "baggage")]
        if self.extracts_trace {
            let trace = crate::baggage::trace::extract_headers(_headers);
            return trace.map_or(Carried::NOTHING, Carried::opentelemetry);
        }
        Carried::NOTHING
    }
}

pin_project! {
    /// The future of [`ContextService`].
    pub struct ResponseFuture<F, B> {
        #[pin]
        future: Option<RequestFuture<F>>,
        rejection: Option<(Response<B>, Context)>,
        headers: Option<Arc<[WriteHeader]>>,
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
        let this = self.project();
        let mut response = match this.future.as_pin_mut() {
            Some(future) => ready!(future.poll(cx))?,
            None => {
                let rejection = this.rejection.take();
                let (response, context) = rejection.expect("`ResponseFuture` polled after it has finished");
                response.map(|body| context.scope(body))
            }
        };
        if let Some(headers) = this.headers.take() {
            let (mut parts, body) = response.into_parts();
            let context = body.context();
            // `Display` can read variables.
            context.clone().run(|| headers.iter().for_each(|write| write(context, &mut parts.headers)));
            response = Response::from_parts(parts, body);
        }
        Poll::Ready(Ok(response))
    }
}
