//! Baggage that comes in with a request.

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::*;
use crate::adapters::baggage::{Headers, read_declared, read_opentelemetry};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("`.extract_baggage(..)`, no header, over the layer without", without_header)
            .over(empty_context)
            .at_most(100)
            .why_not(310, "a setter sees the request's parts: it is taken apart and put together (150)"),
        Row::new("`.extract_baggage(..)` of 3 entries, each read once", extract)
            .over(plain_with_baggage)
            .beside("a layer with OpenTelemetry's propagator and `with_context`", opentelemetry),
    ]
}

fn request_with_baggage() -> Request<Body> {
    let mut request = request();
    let baggage = HeaderValue::from_static(crate::adapters::baggage::HEADER);
    request.headers_mut().insert(HeaderName::from_static("baggage"), baggage);
    request
}

fn plain_with_baggage(meter: Meter) {
    serve_requests(meter, Router::new().route("/", get(hello)), request_with_baggage);
}

fn layer() -> ContextLayer {
    ContextLayer::new().extract_baggage(|error| panic!("{error}"))
}

fn without_header(meter: Meter) {
    serve(meter, Router::new().route("/", get(hello)).layer(layer()));
}

fn extract(meter: Meter) {
    async fn read() -> &'static str {
        read_declared();
        ANSWER
    }
    serve_requests(meter, Router::new().route("/", get(read)).layer(layer()), request_with_baggage);
}

fn opentelemetry(meter: Meter) {
    async fn read() -> &'static str {
        Context::map_current(read_opentelemetry);
        ANSWER
    }
    let layer = around(|inner, request| {
        let propagator = BaggagePropagator::new();
        let context = propagator.extract_with_context(&Context::new(), &Headers(request.headers()));
        inner.call(request).with_context(context)
    });
    serve_requests(meter, Router::new().route("/", get(read)).layer(layer), request_with_baggage);
}
