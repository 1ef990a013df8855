//! hyper.

// Recipe

use contextvar::{context_var, hyper::ContextService, task, tracing::ContextFormat};
use hyper::{Error, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tracing::info;

#[context_var(name = "path", log)]
static PATH: String;

async fn handle(request: Request<Incoming>) -> Result<Response<String>, Error> {
    PATH.set(request.uri().path().to_owned());
    info!("request");
    task::spawn(async { info!("audit") });
    Ok(Response::new(format!("this is {}\n", PATH.get())))
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

/// Sends two requests on one connection. Returns the answers.
async fn send(address: SocketAddr, first: &str, second: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let requests = format!(
        "GET {first} HTTP/1.1\r\nhost: localhost\r\n\r\n\
         GET {second} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
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
    let answers = tokio::join!(send(address, "/acme", "/globex"), send(address, "/ada", "/grace"));
    for (answers, paths) in [(answers.0, ["/acme", "/globex"]), (answers.1, ["/ada", "/grace"])] {
        let answers: Vec<_> = answers.lines().filter_map(|line| line.strip_prefix("this is ")).collect();
        assert_eq!(answers, paths);
    }
    tokio::task::yield_now().await;

    let mut lines = log.lines(module_path!());
    lines.sort_unstable();
    let expected = ["audit", "request"].map(|message| {
        ["/acme", "/ada", "/globex", "/grace"].map(|path| format!(" INFO shop: {message} path={path}"))
    });
    assert_eq!(lines, expected.concat());
    assert_eq!(shown("hyper"), [&*lines[4], &*lines[0]]);
}
