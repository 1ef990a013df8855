//! A `ContextLayer` inside another one: a router that is nested in a router.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{Request as HttpRequest, Response as HttpResponse};
use axum::routing::get;
use bytes::Bytes;
use contextvar::tower::ContextLayer;
use contextvar::{Context, context_var, task, with_copied_context};
use futures::FutureExt;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::Body as HttpBody;
use tokio::task::LocalSet;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{on_both_flavors, panic_text};

#[context_var]
static USER: &str;

#[context_var]
static ROUTE: &str;

fn seen() -> String {
    format!("{:?} {:?}", USER.try_get().ok(), ROUTE.try_get().ok())
}

/// Calls a service with a layer of its own, as an inner router does.
async fn inner() -> String {
    let layer = ContextLayer::new().set(&ROUTE, |_| "inner");
    let service = service_fn(|_: HttpRequest<()>| async { Ok::<_, Infallible>(response(seen())) });
    text(layer.layer(service).oneshot(HttpRequest::new(())).await.unwrap()).await
}

fn response(text: String) -> HttpResponse<Full<Bytes>> {
    HttpResponse::new(Full::from(text))
}

async fn text<B: HttpBody<Data = Bytes, Error: std::fmt::Debug>>(response: HttpResponse<B>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn ask(app: Router, path: &str) -> String {
    text(app.oneshot(HttpRequest::builder().uri(path).body(Body::empty()).unwrap()).await.unwrap()).await
}

#[with_copied_context(ROUTE = "annotated")]
async fn annotated() -> String {
    inner().await
}

fn app() -> Router {
    let nested = Router::new()
        .route("/here", get(async || seen()))
        .layer(ContextLayer::new().set_if_some(&ROUTE, |_| Some("nested")));
    Router::new()
        .nest("/nested", nested)
        .route("/inner", get(inner))
        .route("/annotated", get(annotated))
        .route("/spawned", get(async || task::spawn(inner()).await.unwrap()))
        .route("/isolated", get(async || Context::new().scope(inner()).await))
        .layer(ContextLayer::new().set(&USER, |_| "ada").set(&ROUTE, |_| "outer"))
}

#[test]
fn a_nested_layer_starts_from_the_outer_context() {
    on_both_flavors(|| async {
        USER.set("the server's");
        assert_eq!(ask(app(), "/nested/here").await, r#"Some("ada") Some("nested")"#);
        assert_eq!(ask(app(), "/inner").await, r#"Some("ada") Some("inner")"#);
        assert_eq!(ask(app(), "/annotated").await, r#"Some("ada") Some("inner")"#);
        assert_eq!(ask(app(), "/isolated").await, r#"None Some("inner")"#);
    });
}

#[test]
fn a_layer_in_a_spawned_task_starts_from_an_empty_context() {
    on_both_flavors(|| async {
        assert_eq!(ask(app(), "/spawned").await, r#"None Some("inner")"#);
    });
}

#[test]
fn a_layer_in_a_task_that_is_polled_inside_a_request_starts_from_an_empty_context() {
    on_both_flavors(|| async {
        let service = service_fn(async |_: HttpRequest<()>| {
            let local = LocalSet::new();
            let task = local.spawn_local(inner());
            Ok::<_, Infallible>(response(local.run_until(task).await.unwrap()))
        });
        let layer = ContextLayer::new().set(&USER, |_| "ada");
        let response = layer.layer(service).oneshot(HttpRequest::new(())).await.unwrap();
        assert_eq!(text(response).await, r#"None Some("inner")"#);
    });
}

#[test]
fn a_layer_beside_a_request_starts_from_an_empty_context() {
    on_both_flavors(|| async {
        USER.set("the server's");
        // Two requests that one task polls in turn, as the requests of one HTTP/2 connection could be.
        let layer = ContextLayer::new();
        let service = service_fn(async |request: HttpRequest<&'static str>| {
            let before = seen();
            USER.set(request.into_body());
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(response(format!("{before}, then {}", seen())))
        });
        let mut service = layer.layer(service);
        let calls = ["ada", "grace"].map(|user| service.call(HttpRequest::new(user)));
        for (response, user) in join_all(calls).await.into_iter().zip(["ada", "grace"]) {
            assert_eq!(text(response.unwrap()).await, format!("None None, then Some({user:?}) None"));
        }
        assert_eq!(USER.get(), "the server's");
    });
}

#[test]
fn a_panic_leaves_the_request() {
    let layer = ContextLayer::new().set(&USER, |_| "ada");
    let mut service =
        layer.layer(service_fn(async |_: HttpRequest<Body>| -> Result<HttpResponse<Body>, Infallible> {
            panic!("on purpose")
        }));
    let mut future = Box::pin(service.call(HttpRequest::new(Body::empty())));
    assert_eq!(panic_text(|| (&mut future).now_or_never().is_some()), "on purpose");
    // No layer runs a request here any more.
    USER.set("the thread's");
    assert_eq!(inner().now_or_never().unwrap(), r#"None Some("inner")"#);
}
