//! The live view.

// Recipe

use std::net::SocketAddr;

use axum::{Router, extract::ConnectInfo, routing::get};
use contextvar::{context_var, inspect, task, tower::ContextLayer};

#[context_var]
static TENANT: String;

async fn orders() -> &'static str {
    task::spawn(std::future::pending::<()>()); // a leak: this task outlives its request
    "the orders\n"
}

fn app() -> Router {
    let context = ContextLayer::new()
        .set_if_some(&TENANT, |request| Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned()));
    let page = inspect::page().peer(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
    // The route comes after the layer, so the page does not list its own requests.
    Router::new().route("/orders", get(orders)).layer(context).route_service("/debug/contexts", page)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app().into_make_service_with_connect_info::<SocketAddr>()).await
}

// Test

use axum::body::{self, Body};
use axum::http::Request;
use tower::ServiceExt;

async fn send(request: axum::http::request::Builder) -> String {
    let request =
        request.extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)))).body(Body::empty()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    String::from_utf8(body::to_bytes(response.into_body(), 1 << 24).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn the_page_shows_the_leak_and_its_tenant() {
    let request = || Request::get("/debug/contexts?contexts").header("host", "localhost:3000");
    send(request()).await; // turns the list on
    assert_eq!(send(Request::get("/orders").header("x-tenant", "leaky")).await, "the orders\n");
    let contexts = send(request()).await;
    assert!(contexts.contains(r#"\"leaky\""#) && contexts.contains("live_view.rs"), "{contexts}");
}
