//! hyper.

// Recipe

use contextvar::{context_var, hyper::ContextService, task, tracing::ContextFormat};
use hyper::{Error, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[context_var(name = "tenant", log)]
static TENANT: String = "public".to_owned();

async fn handle(request: Request<Incoming>) -> Result<Response<String>, Error> {
    if let Some(tenant) = request.headers().get("x-tenant").and_then(|tenant| tenant.to_str().ok()) {
        TENANT.set(tenant.to_owned());
    }
    tracing::info!("orders");
    task::spawn(async { tracing::info!("audit") });
    Ok(Response::new(format!("the orders of {}\n", TENANT.get())))
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = ContextService::new(service_fn(handle));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service)); // no context
    }
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    serve(TcpListener::bind("127.0.0.1:3000").await.unwrap()).await.unwrap();
}

// Test

use super::{Log, shown};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends two requests on one connection, of which the second one has no tenant. Returns the answers.
async fn send(address: SocketAddr, tenant: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let requests = format!(
        "GET /orders HTTP/1.1\r\nhost: localhost\r\nx-tenant: {tenant}\r\n\r\n\
         GET /orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    answers
}

#[tokio::test]
async fn each_request_and_its_task_have_their_values() {
    let (log, _guard) = Log::start();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    let answers = tokio::join!(send(address, "acme"), send(address, "globex"));
    for (answers, tenant) in [(answers.0, "acme"), (answers.1, "globex")] {
        let answers: Vec<_> = answers.lines().filter(|line| line.starts_with("the orders")).collect();
        assert_eq!(answers, [&format!("the orders of {tenant}"), "the orders of public"]);
    }
    tokio::task::yield_now().await;

    let mut lines = log.lines(module_path!());
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            " INFO shop: audit",
            " INFO shop: audit",
            " INFO shop: audit tenant=acme",
            " INFO shop: audit tenant=globex",
            " INFO shop: orders",
            " INFO shop: orders",
            " INFO shop: orders tenant=acme",
            " INFO shop: orders tenant=globex",
        ]
    );
    assert_eq!(shown("hyper"), [&*lines[6], &*lines[2]]);
}
