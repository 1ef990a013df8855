//! What the peers' layers are made of.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::IntoResponse;
use axum::routing::Route;
use http_body::{Body as _, Frame, SizeHint};
use opentelemetry::Context;
use tower::layer::layer_fn;
use tower::{Layer, Service};
use tracing::Span;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{self, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::{SHARED_ID, SHARED_TWO, Two};

/// Returns a layer whose service makes the futures that `call` makes of the inner service and a request.
pub(super) fn around<C, F>(call: C) -> impl Layer<Route, Service = Around<C>> + Clone
where
    C: Fn(&mut Route, Request<Body>) -> F + Copy,
{
    layer_fn(move |inner| Around { inner, call })
}

#[derive(Clone)]
pub(super) struct Around<C> {
    inner: Route,
    call: C,
}

impl<C, F, R> Service<Request<Body>> for Around<C>
where
    C: Fn(&mut Route, Request<Body>) -> F,
    F: Future<Output = Result<R, Infallible>>,
    R: IntoResponse,
{
    type Response = R;
    type Error = Infallible;
    type Future = F;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        <Route as Service<Request<Body>>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<Body>) -> F {
        (self.call)(&mut self.inner, request)
    }
}

/// Wraps a body and does nothing else.
pub(super) struct WrappedBody(pub(super) Body);

impl http_body::Body for WrappedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> PolledFrame {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

pub(super) async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// A body whose frames are polled inside of a value.
pub(super) struct BodyIn<E> {
    entered: E,
    body: Body,
}

impl<E> BodyIn<E> {
    pub(super) fn new(entered: E, body: Body) -> Self {
        BodyIn { entered, body }
    }
}

impl<E: Enter + Unpin> http_body::Body for BodyIn<E> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> PolledFrame {
        let BodyIn { entered, body } = &mut *self;
        entered.enter(|| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(super) trait Enter {
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R;
}

impl Enter for Arc<Two> {
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        SHARED_TWO.sync_scope(self.clone(), f)
    }
}

impl Enter for Arc<String> {
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        SHARED_ID.sync_scope(self.clone(), f)
    }
}

impl Enter for Context {
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _attached = self.clone().attach();
        f()
    }
}

impl Enter for Span {
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        self.in_scope(f)
    }
}

/// Installs a subscriber that keeps the two fields of a request's span as text.
pub(super) fn keep_fields_of_spans() {
    tracing_subscriber::registry().with(KeepFields).init();
}

struct KeepFields;

impl tracing_subscriber::Layer<Registry> for KeepFields {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, Registry>) {
        let mut fields = Kept(Two { request_id: String::new(), tenant: String::new() });
        attributes.record(&mut fields);
        context.span(id).expect("a new span").extensions_mut().insert(fields);
    }
}

struct Kept(Two);

impl Visit for Kept {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "request_id" => self.0.request_id = value.to_owned(),
            _ => self.0.tenant = value.to_owned(),
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
