//! Servers, requests that overlap, and processes of their own.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

/// Serves `app` in a task that was given no context, as a program does.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// What a server has answered. All is empty if it has closed the connection without an answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: String,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request with one header, on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, path: &str, header: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        assert_eq!(answer, "");
        return Answer::default();
    };
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].to_owned();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Returns routes whose requests to `/` are answered with `text()`, in pairs: the handler calls `text` when
/// two requests are open, and both stay open until it has returned twice.
pub(crate) fn in_pairs(text: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    let both = Arc::new(Barrier::new(2));
    let handler = async move || {
        both.wait().await;
        let text = text();
        both.wait().await;
        text
    };
    Router::new().route("/", get(handler))
}

/// Sends two requests to `/` that are open at the same time.
pub(crate) async fn ask_both(address: SocketAddr, headers: [&str; 2]) -> [Answer; 2] {
    tokio::join!(ask(address, "/", headers[0]), ask(address, "/", headers[1])).into()
}

const OWN_PROCESS: &str = "CONTEXTVAR_TEST_OWN_PROCESS";

/// What a process has written.
pub(crate) struct Output {
    stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Returns the lines on standard output that contain `text`.
    pub(crate) fn lines(&self, text: &str) -> Vec<&str> {
        self.stdout.lines().filter(|line| line.contains(text)).collect()
    }
}

/// Runs `f`, which is the body of `test`, in a process of its own: a process has one global subscriber and
/// one panic hook. Returns the output of that process, and `None` in it.
pub(crate) fn in_own_process<F: Future<Output = ()>>(test: &str, f: impl FnOnce() -> F) -> Option<Output> {
    if std::env::var_os(OWN_PROCESS).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(f());
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]);
    command.env(OWN_PROCESS, "1").env("RUST_BACKTRACE", "0").env("NO_COLOR", "1");
    let output = command.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
    Some(Output { stdout, stderr })
}
