//! Requests: a small axum service, called in process by a task. The response's body is read to its end.

#[cfg(feature = "adapters")]
mod baggage;
#[cfg(feature = "adapters")]
mod ids;
mod layers;

use std::hint::black_box;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use axum::routing::get;
use contextvar::context_var;
use contextvar::tower::ContextLayer;
use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use tower::layer::layer_fn;
use tower::{Layer, Service};
use tracing::{Instrument, info_span};

use self::layers::{BodyIn, WrappedBody, around};
use super::row::Row;
use crate::measure::Meter;
use crate::work;

pub(super) fn rows() -> Vec<Row> {
    let request_id = Row::new("a request id from a header, read once", request_id)
        .over(plain)
        .beside("a layer with `task_local!` around future and body", task_local_id_and_body)
        .why_not(1.16, ONE_LAYER);
    #[cfg(feature = "adapters")]
    let request_id = ids::beside_tower_http(request_id);

    let two = "two `String`s from headers, each read once";
    #[allow(unused_mut, reason = "the feature `adapters` adds rows")]
    let mut rows = vec![
        Row::new("wrap the response's body, size hint kept", wraps_body).over(plain),
        Row::new("a layer that does nothing", does_nothing).over(plain),
        Row::new("read two headers into `String`s, over a layer that does nothing", reads_headers)
            .over(does_nothing),
        Row::new("`ContextLayer::new()`, over a layer that wraps the body", empty_context).over(wraps_body),
        Row::new("`ContextLayer::new()`, over a layer with an `Arc` that wraps the body", empty_context)
            .over(has_arc_and_wraps_body)
            .at_most(350)
            .why_not(520, NEW_LAYER),
        Row::new("two `String`s from headers, each read once, over `ContextLayer::new()`", two_strings)
            .over(empty_context)
            .at_most(900)
            .why_not(1420, "870 to 880 of them read the headers: see the row above"),
        Row::new(two, two_strings)
            .over(plain)
            .beside("a layer with `task_local!` around the future", task_local)
            .why_not(1.7, "the peer's body runs outside of the values")
            .beside("a layer with `task_local!` around future and body", task_local_and_body)
            .why_not(1.2, ONE_LAYER)
            .beside("a layer with OpenTelemetry's `with_context`", opentelemetry)
            .why_not(1.2, "the peer's body runs outside of the values")
            .beside("`with_context`, and the body in the context", opentelemetry_and_body)
            .beside("a layer with a span whose subscriber keeps both fields", span)
            .beside("the span, and the body in the span", span_and_body),
        request_id,
    ];
    #[cfg(feature = "adapters")]
    rows.extend(ids::rows().into_iter().chain(baggage::rows()));
    rows
}

const NEW_LAYER: &str = "axum moves a response of more than 128 bytes by `memcpy` (60 to 90); with all features a request \
                         can carry a trace";

const ONE_LAYER: &str = "axum clones a layer for each request, and one that has anything takes an allocation (180); \
                         setters see the request's parts, so it is taken apart and put together (150)";

#[context_var(name = "request_id")]
static REQUEST_ID: String;
#[context_var(name = "tenant")]
static TENANT: String;

// Names that are made once: a lookup by `&str` parses the name each time.
static ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
static TENANT_HEADER: HeaderName = HeaderName::from_static("x-tenant");

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What the peers keep of a request.
#[derive(Debug)]
struct Two {
    request_id: String,
    tenant: String,
}

impl Two {
    fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        Two { request_id: text(headers, &ID_HEADER), tenant: text(headers, &TENANT_HEADER) }
    }

    fn read(&self) {
        black_box(self.request_id.len() + self.tenant.len());
    }
}

tokio::task_local! {
    static TWO: Two;
    static SHARED_TWO: Arc<Two>;
    static SHARED_ID: Arc<String>;
}

const ANSWER: &str = "hello";

async fn hello() -> &'static str {
    ANSWER
}

fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let headers = request.headers_mut();
    headers.insert(&ID_HEADER, HeaderValue::from_static("r-123456"));
    headers.insert(&TENANT_HEADER, HeaderValue::from_static("acme"));
    request
}

/// Measures requests to a service, in a task.
fn serve(meter: Meter, router: Router) {
    serve_requests(meter, router, request);
}

fn serve_requests(meter: Meter, mut router: Router, request: fn() -> Request<Body>) {
    let requests = async move {
        let start = meter.start();
        for _ in 0..meter.repeats {
            let Ok(response) = router.call(request()).await;
            let mut body = response.into_body();
            assert_eq!(body.size_hint().exact(), Some(ANSWER.len() as u64));
            while let Some(frame) = layers::next_frame(&mut body).await {
                let _ = black_box(frame);
            }
        }
        start.stop()
    };
    work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() });
}

fn plain(meter: Meter) {
    serve(meter, Router::new().route("/", get(hello)));
}

fn wraps_body(meter: Meter) {
    let layer = around(|inner, request| {
        let response = inner.call(request);
        async move { response.await.map(|response| response.map(WrappedBody)) }
    });
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}

/// axum clones a layer for each request. One that has anything takes an allocation.
fn has_arc_and_wraps_body(meter: Meter) {
    let arc = Arc::new(());
    let layer = layer_fn(move |inner| {
        let _arc = arc.clone();
        Layer::layer(
            &around(|inner, request| {
                let response = inner.call(request);
                async move { response.await.map(|response| response.map(WrappedBody)) }
            }),
            inner,
        )
    });
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}

fn does_nothing(meter: Meter) {
    let layer = around(|inner, request| inner.call(request));
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}

fn reads_headers(meter: Meter) {
    let layer = around(|inner, request| {
        Two::of(&request).read();
        inner.call(request)
    });
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}

fn empty_context(meter: Meter) {
    serve(meter, Router::new().route("/", get(hello)).layer(ContextLayer::new()));
}

fn id_layer() -> ContextLayer {
    ContextLayer::new().set(&REQUEST_ID, |request: &Parts| text(&request.headers, &ID_HEADER))
}

async fn read_id() -> &'static str {
    black_box(REQUEST_ID.with(|id| id.len()));
    ANSWER
}

fn request_id(meter: Meter) {
    serve(meter, Router::new().route("/", get(read_id)).layer(id_layer()));
}

fn two_strings(meter: Meter) {
    async fn read() -> &'static str {
        black_box(REQUEST_ID.with(|id| id.len()) + TENANT.with(|tenant| tenant.len()));
        ANSWER
    }
    let layer = id_layer().set(&TENANT, |request: &Parts| text(&request.headers, &TENANT_HEADER));
    serve(meter, Router::new().route("/", get(read)).layer(layer));
}

fn task_local(meter: Meter) {
    async fn read() -> &'static str {
        TWO.with(Two::read);
        ANSWER
    }
    let layer = around(|inner, request| {
        let two = Two::of(&request);
        TWO.scope(two, inner.call(request))
    });
    serve(meter, Router::new().route("/", get(read)).layer(layer));
}

fn task_local_and_body(meter: Meter) {
    async fn read() -> &'static str {
        SHARED_TWO.with(|two| two.read());
        ANSWER
    }
    let layer = around(|inner, request| {
        let two = Arc::new(Two::of(&request));
        let response = SHARED_TWO.scope(two.clone(), inner.call(request));
        async move { response.await.map(|response| response.map(|body| BodyIn::new(two, body))) }
    });
    serve(meter, Router::new().route("/", get(read)).layer(layer));
}

fn task_local_id_and_body(meter: Meter) {
    async fn read() -> &'static str {
        black_box(SHARED_ID.with(|id| id.len()));
        ANSWER
    }
    let layer = around(|inner, request| {
        let id = Arc::new(text(request.headers(), &ID_HEADER));
        let response = SHARED_ID.scope(id.clone(), inner.call(request));
        async move { response.await.map(|response| response.map(|body| BodyIn::new(id, body))) }
    });
    serve(meter, Router::new().route("/", get(read)).layer(layer));
}

async fn read_opentelemetry() -> &'static str {
    Context::map_current(|context| context.get::<Two>().unwrap().read());
    ANSWER
}

fn opentelemetry(meter: Meter) {
    let layer = around(|inner, request| {
        let context = Context::new().with_value(Two::of(&request));
        inner.call(request).with_context(context)
    });
    serve(meter, Router::new().route("/", get(read_opentelemetry)).layer(layer));
}

fn opentelemetry_and_body(meter: Meter) {
    let layer = around(|inner, request| {
        let context = Context::new().with_value(Two::of(&request));
        let response = inner.call(request).with_context(context.clone());
        async move { response.await.map(|response| response.map(|body| BodyIn::new(context, body))) }
    });
    serve(meter, Router::new().route("/", get(read_opentelemetry)).layer(layer));
}

fn span(meter: Meter) {
    layers::keep_fields_of_spans();
    let layer = around(|inner, request| {
        let span = span_of(&request);
        inner.call(request).instrument(span)
    });
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}

fn span_and_body(meter: Meter) {
    layers::keep_fields_of_spans();
    let layer = around(|inner, request| {
        let span = span_of(&request);
        let response = inner.call(request).instrument(span.clone());
        async move { response.await.map(|response| response.map(|body| BodyIn::new(span, body))) }
    });
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}

fn span_of(request: &Request<Body>) -> tracing::Span {
    let header = |name: &HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    info_span!("request", request_id = header(&ID_HEADER), tenant = header(&TENANT_HEADER))
}
