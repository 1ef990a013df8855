//! axum.

// Recipe

use axum::{Router, routing::get};
use contextvar::{context_var, task, tower::ContextLayer, tracing::ContextFormat};
use tracing::info;
use uuid::Uuid;

#[context_var(name = "request_id", log)]
static REQUEST_ID: Uuid;

#[context_var(name = "tenant", log)]
static TENANT: String = "public".to_owned();

fn app() -> Router {
    let context = ContextLayer::new()
        .set(&REQUEST_ID, |_| Uuid::new_v4())
        .set_if_some(&TENANT, |request| Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned()));
    Router::new().route("/orders", get(orders)).layer(context)
}

async fn orders() -> String {
    info!("orders");
    task::spawn(async { info!("audit") }); // in a copy of the request's context
    format!("the orders of {}\n", TENANT.get())
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await.unwrap();
    axum::serve(listener, app()).await.unwrap();
}

// Test

use super::{Log, shown};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

async fn get_orders(app: &Router, tenant: Option<&str>) -> String {
    let request = Request::builder().uri("/orders");
    let request = if let Some(tenant) = tenant { request.header("x-tenant", tenant) } else { request };
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    String::from_utf8(to_bytes(response.into_body(), 100).await.unwrap().into()).unwrap()
}

/// Splits a line into the part before the id, the id, and the part after it.
fn split_id(line: &str) -> [&str; 3] {
    let (start, rest) = line.split_once("request_id=").unwrap();
    let (id, end) = rest.split_once(' ').unwrap_or((rest, ""));
    [start, id, end]
}

#[tokio::test]
async fn each_request_and_its_task_have_their_values() {
    let (log, _guard) = Log::start();
    let app = app();
    let answers = tokio::join!(
        get_orders(&app, Some("acme")),
        get_orders(&app, Some("globex")),
        get_orders(&app, None)
    );
    assert_eq!(
        (&*answers.0, &*answers.1, &*answers.2),
        ("the orders of acme\n", "the orders of globex\n", "the orders of public\n")
    );
    // The tasks run when all requests have been answered.
    tokio::task::yield_now().await;

    let lines = log.lines(module_path!());
    let lines: Vec<_> = lines.iter().map(|line| split_id(line)).collect();
    let starts_and_ends: Vec<_> = lines.iter().map(|[start, _, end]| (*start, *end)).collect();
    assert_eq!(
        starts_and_ends,
        [
            (" INFO shop: orders ", "tenant=acme"),
            (" INFO shop: orders ", "tenant=globex"),
            (" INFO shop: orders ", ""),
            (" INFO shop: audit ", "tenant=acme"),
            (" INFO shop: audit ", "tenant=globex"),
            (" INFO shop: audit ", ""),
        ]
    );
    let ids: Vec<Uuid> = lines.iter().map(|[_, id, _]| id.parse().unwrap()).collect();
    assert_eq!(ids[..3], ids[3..]);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[0]);

    let [first, second] = shown("axum")[..] else { panic!("the page shows one request") };
    let [first, second] = [split_id(first), split_id(second)];
    assert_eq!(first[1], second[1]);
    assert_eq!([first, second].map(|[start, _, end]| (start, end)), [starts_and_ends[0], starts_and_ends[3]]);
}
