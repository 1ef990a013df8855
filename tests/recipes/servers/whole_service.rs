//! A test of a whole service.

// Recipe

use std::sync::Arc;

use axum::{Router, body, body::Body, extract::State, http::Request, routing::get};
use contextvar::{context_var, task, tower::ContextLayer};
use tokio::sync::Barrier;
use tower::ServiceExt;

#[context_var]
static TENANT: String;

async fn orders(State(both): State<Arc<Barrier>>) -> String {
    both.wait().await; // until two requests are open
    task::spawn(async { format!("the orders of {}", TENANT.get()) }).await.unwrap()
}

async fn send(app: Router, tenant: &str) -> String {
    let request = Request::get("/orders").header("x-tenant", tenant).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    String::from_utf8(body::to_bytes(response.into_body(), 1024).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn overlapping_requests_see_their_own_tenants() {
    let context = ContextLayer::new()
        .set_if_some(&TENANT, |request| Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned()));
    let both = Arc::new(Barrier::new(2));
    let app = Router::new().route("/orders", get(orders)).with_state(both).layer(context);
    let (acme, globex) = tokio::join!(send(app.clone(), "acme"), send(app, "globex"));
    assert_eq!([acme, globex], ["the orders of acme", "the orders of globex"]);
}

// Test

/// A service with a plain spawn would fail the test: its task finds no tenant.
#[tokio::test]
async fn a_plain_spawn_would_fail_the_test() {
    let app = Router::new()
        .route(
            "/orders",
            get(|| async { tokio::spawn(async { TENANT.try_get().is_err().to_string() }).await.unwrap() }),
        )
        .layer(ContextLayer::new().set(&TENANT, |_| "acme".to_owned()));
    assert_eq!(send(app, "acme").await, "true");
}
