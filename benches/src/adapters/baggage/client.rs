//! A client that is a tower service, with a layer that adds baggage to its requests.

use std::convert::Infallible;
use std::hint::black_box;
use std::task::{self, Poll};

use axum::http::Request;
use contextvar::Context;
use contextvar::tower::InjectBaggageLayer;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;
use tower::{Layer, Service};

use super::{HeadersMut, INJECT_NOTHING, ours, theirs};
use crate::adapters::row::Row;
use crate::measure::Meter;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("`InjectBaggageLayer`, 3 entries", three)
            .over(plain)
            .beside("a layer with `BaggagePropagator`", three_peer),
        Row::new("`InjectBaggageLayer`, nothing set", nothing)
            .over(plain)
            .beside("a layer with `BaggagePropagator`", nothing_peer)
            .why_not(3.2, INJECT_NOTHING),
    ]
}

/// A client that drops its requests.
struct Client;

impl Service<Request<()>> for Client {
    type Response = ();
    type Error = Infallible;
    type Future = std::future::Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(request);
        std::future::ready(Ok(()))
    }
}

/// Adds baggage by hand.
struct Injects<S>(S);

impl<S: Service<Request<()>>> Service<Request<()>> for Injects<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<()>) -> S::Future {
        BaggagePropagator::new().inject(&mut HeadersMut(request.headers_mut()));
        self.0.call(request)
    }
}

fn requests(meter: Meter, mut client: impl Service<Request<()>>) {
    meter.time(|| drop(client.call(Request::new(()))));
}

fn plain(meter: Meter) {
    requests(meter, Client);
}

fn three(meter: Meter) {
    ours().run(|| requests(meter, InjectBaggageLayer::new().layer(Client)));
}

fn three_peer(meter: Meter) {
    let _attached = theirs().attach();
    requests(meter, Injects(Client));
}

fn nothing(meter: Meter) {
    Context::new().run(|| requests(meter, InjectBaggageLayer::new().layer(Client)));
}

fn nothing_peer(meter: Meter) {
    requests(meter, Injects(Client));
}
