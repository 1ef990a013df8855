use axum::{Router, http::request::Parts, routing::get};
use contextvar::{context_var, task, tower::ContextLayer, tracing::ContextFormat};
use tracing::info;

#[context_var(name = "request_id", log)]
static REQUEST_ID: u64;

#[context_var(name = "tenant", log)]
static TENANT: String = "public".to_owned();

async fn orders() -> String {
    info!("orders");
    task::spawn(audit()); // like `tokio::spawn`, and the task gets a copy of the context
    format!("the orders of {}\n", TENANT.get())
}

async fn audit() {
    info!("audit");
}

fn tenant(request: &Parts) -> Option<String> {
    Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned())
}

fn app() -> Router {
    let context = ContextLayer::new() // gives each request a context
        .set(&REQUEST_ID, |_| rand::random())
        .set_if_some(&TENANT, tenant);
    Router::new().route("/orders", get(orders)).layer(context)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app()).await
}
