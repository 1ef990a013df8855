use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, Response};
use tower_layer::Layer;

use super::response_header::write_header;
use super::service::ContextService;
use super::settings::{Rejection, Setter, Settings};
use crate::error::address;
use crate::hand_over::Place;
use crate::var::{ContextValue, ContextVar};

/// Gives each request a context of its own, and sets variables from the request.
///
/// The inner service and the body of its response run in the same context, not in copies. So the layers
/// between a handler and this layer see the values that the handler has set, and so does a body that is
/// streamed.
///
/// Put this layer outside of the layers that read the variables: it is the last `.layer()` of an axum router,
/// and the first of a `tower::ServiceBuilder`. Put tower-http's `TraceLayer` inside of it, so that the line about the
/// response shows the variables. Put a layer that catches panics, such as `CatchPanicLayer`, inside of it as well: axum
/// closes the connection of a handler or extractor that panics without an answer.
///
/// With [`new`](Self::new) the context is empty at first. With [`from_current`](Self::from_current) it is a copy of
/// the context of the request's connection.
///
/// The methods that set variables run in the order in which you call them, in the request's context. So each closure
/// sees the variables that were set before it. Set the variables that a rejection's log line or header needs before you
/// call [`set_or_reject`](Self::set_or_reject). [`response_header`](Self::response_header) can come at any place.
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

impl ContextLayer {
    /// Returns a layer that gives each request an empty context, unless it is [nested](Self#nested-layers).
    ///
    /// Values that `main` knows and every request should see are [set](Self::set) on the layer, for example
    /// with `.set(&REGION, move |_| region.clone())`.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new() -> Self {
        ContextLayer::starting(false, Place::here())
    }

    /// Returns a layer that gives each request a copy of the context that is current where the request
    /// arrives: that of its connection, with [`MakeContextService`](super::MakeContextService).
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn from_current() -> Self {
        ContextLayer::starting(true, Place::here())
    }

    fn starting(copies_current: bool, place: Place) -> Self {
        ContextLayer { settings: Arc::new(Settings::new(copies_current, place)) }
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
    /// earlier methods of this layer have set.
    #[must_use = "this returns the layer"]
    pub fn set<T: ContextValue>(
        self,
        var: &'static ContextVar<T>,
        value: impl Fn(&Parts) -> T + Send + Sync + 'static,
    ) -> Self {
        self.with_setter(move |request| {
            var.put(value(request));
        })
    }

    /// Sets a variable from each request for which `value` returns `Some`. For other requests the variable keeps the
    /// value that an earlier method of this layer or an outer layer has set, if there is one.
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
                var.put(value);
            }
        })
    }

    /// Sets a variable from each request for which `value` returns `Ok`. Otherwise answers the request with
    /// the response that `reject` makes of the error, and does not call the inner service. `reject` runs in the
    /// request's context, so what it logs has the variables that were set before.
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
        let mut settings = Arc::unwrap_or_clone(self.settings).widen();
        settings.setters.push(Setter::SetOrReject(Arc::new(move |request| {
            var.put(value(request).map_err(&reject)?);
            Ok(())
        })));
        ContextLayer { settings: Arc::new(settings) }
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
        assert!(
            !var.variable().is_secret(),
            "a response cannot show `{}`, which is secret\nsee {}",
            var.name(),
            address!("secret-in-a-response")
        );
        let settings = self.settings_mut();
        let others = settings.response_headers.iter().flat_map(|others| &**others).cloned();
        settings.response_headers = Some(others.chain([write_header(name, var)]).collect());
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
        extract: fn(&http::HeaderMap) -> Vec<crate::baggage::BaggageError>,
        on_error: impl Fn(crate::baggage::BaggageError) + Send + Sync + 'static,
    ) -> Self {
        crate::baggage::declared::declared();
        self.with_setter(move |request| extract(&request.headers).into_iter().for_each(&on_error))
    }
}

impl Default for ContextLayer {
    #[cfg_attr(feature = "inspect", track_caller)]
    fn default() -> Self {
        ContextLayer::new()
    }
}

impl<R> Clone for ContextLayer<R> {
    fn clone(&self) -> Self {
        ContextLayer { settings: self.settings.clone() }
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
        ContextService::new(inner, self.settings.clone())
    }
}
